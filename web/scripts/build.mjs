import { buildSite, dist } from "./site.mjs";

await buildSite(dist);
