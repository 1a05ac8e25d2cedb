// Fails when dist is not what the sources give: the binary embeds dist, so a stale one would ship.
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSite, dist, files } from "./site.mjs";

const fresh = await mkdtemp(join(tmpdir(), "doorbell-web-"));
try {
  await buildSite(fresh);
  const wrong = [];
  for (const name of files) {
    const want = await readFile(join(fresh, name));
    const have = await readFile(join(dist, name)).catch(() => null);
    if (have === null || !want.equals(have)) wrong.push(name);
  }
  const extra = (await readdir(dist).catch(() => [])).filter((name) => !files.includes(name));
  if (wrong.length > 0 || extra.length > 0) {
    for (const name of wrong) console.error(`dist/${name} is stale or missing`);
    for (const name of extra) console.error(`dist/${name} does not belong there`);
    console.error("run: npm run build");
    process.exitCode = 1;
  }
} finally {
  await rm(fresh, { recursive: true });
}
