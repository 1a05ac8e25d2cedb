// What the page is made of, and how it is built. Shared by the build and by the check that dist is current.
import { build } from "esbuild";
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const dist = join(root, "dist");

/** The Rust binary embeds exactly these names. */
export const files = ["index.html", "app.js", "style.css", "favicon.svg"];

/** Writes the four files to `out`. The same sources give the same bytes on every machine. */
export async function buildSite(out) {
  await mkdir(out, { recursive: true });
  await build({
    absWorkingDir: root,
    entryPoints: { app: "src/main.ts", style: "src/style/index.css" },
    outdir: out,
    bundle: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    logLevel: "warning",
  });
  for (const name of ["index.html", "favicon.svg"]) {
    await copyFile(join(root, "static", name), join(out, name));
  }
}
