// Puts dist/site/ together: the page's own modules as they are, Pyodide, the compiled standard library, the client.
// Everything under assets/ lies below a name made of its content, so it can be cached for ever; index.html is the only
// page file that changes under one name.
import { cpSync, existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { DIST, ROOT, cached, mark, publish, walk } from "./files.mjs";
import { NODE_PYODIDE, buildPack, buildStdlib } from "./python.mjs";
import { buildSnapshot } from "./snapshot.mjs";
import { publishWheels } from "./wheels.mjs";

const WEB = join(ROOT, "web");
const SITE = join(DIST, "site");
const NEW = join(DIST, "site.new");
const RUNTIME = ["pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm"];
const TOP = ["favicon.svg"];
const RECIPE = ["compile.py", "python.mjs"].map((name) => readFileSync(join(WEB, "build", name)));
const VERSION = JSON.parse(readFileSync(join(NODE_PYODIDE, "package.json"))).version;

const text = (path) => readFileSync(path, "utf8");

/** Pyodide's files in a folder named after their content. */
async function runtime() {
  const files = RUNTIME.map((name) => [name, readFileSync(join(NODE_PYODIDE, name))]);
  const folder = `pyodide-${mark(...files.map(([, bytes]) => bytes))}`;
  for (const [name, bytes] of files) await publish(join(NEW, "assets", folder, name), withoutMap(name, bytes));
  return `../${folder}/`;
}

/** Source maps are not shipped, so nothing should ask for them. */
const withoutMap = (name, bytes) =>
  name.endsWith(".mjs") ? Buffer.from(bytes.toString("utf8").replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n")) : bytes;

async function one(kind, suffix, bytes) {
  const name = `${kind}-${mark(bytes)}.${suffix}`;
  await publish(join(NEW, "assets", name), bytes);
  return `../${name}`;
}

/** web/manifest.js of the build: where boot.js finds what it boots. */
async function manifest(wheels) {
  const { info } = JSON.parse(text(join(NODE_PYODIDE, "pyodide-lock.json")));
  const bytes = wheels.map((path) => readFileSync(path));
  const stdlib = await cached("stdlib", mark(VERSION, ...RECIPE), buildStdlib);
  const pack = await cached("pack", mark(VERSION, ...RECIPE, ...bytes), () => buildPack(wheels));
  const lock = { info, packages: {} };
  const build = mark(VERSION, stdlib, pack);
  const values = {
    BUILD: build,
    LOCK: lock,
    PYODIDE: await runtime(),
    STDLIB: await one("stdlib", "zip", stdlib),
    PACK: await one("client", "pack", pack),
    SNAPSHOT: await one("heap", "snapshot", await snapshot({ stdlib, pack, lock, build })),
  };
  const lines = Object.entries(values).map(([name, value]) => `export const ${name} = ${JSON.stringify(value)};`);
  return Buffer.from(`// Made by web/build/site.mjs.\n${lines.join("\n")}\n`);
}

function snapshot(parts) {
  const recipe = ["build/snapshot.mjs", "build/snapshot.py", "pack.js"].map((name) => readFileSync(join(WEB, name)));
  const scratch = join(DIST, "stdlib.zip.part");
  return cached("snapshot", mark(parts.build, ...recipe), () => buildSnapshot({ ...parts, scratch })).finally(() => rmSync(scratch, { force: true }));
}

/** The page's modules and styles, as they are, in a folder named after all of them. */
async function page(manifestText) {
  const kept = (path) => !path.startsWith("build/") && !TOP.includes(path) && path !== "index.html" && !path.endsWith(".json");
  const files = walk(WEB).filter(kept).map((path) => [path, readFileSync(join(WEB, path))]);
  files.push(["manifest.js", manifestText]);
  const folder = `assets/app-${mark(...files.flatMap(([path, bytes]) => [path, bytes]))}`;
  for (const [path, bytes] of files) await publish(join(NEW, folder, path), bytes);
  await publish(join(NEW, "index.html"), Buffer.from(index(`/${folder}`)));
  for (const name of TOP) await publish(join(NEW, name), readFileSync(join(WEB, name)));
}

/** Modules that main.js needs, so that the browser asks for all of them at once. */
function imports(entry, found = new Set()) {
  for (const [, path] of text(join(WEB, entry)).matchAll(/\bfrom\s*"(\.[^"]+)"/g)) {
    const target = posix.join(dirname(entry), path);
    if (!found.has(target)) imports(target, found.add(target));
  }
  return found;
}

function index(folder) {
  const preloads = [...imports("main.js"), "main.js"].sort().map((path) => `<link rel="modulepreload" href="${folder}/${path}" />`);
  return text(join(WEB, "index.html"))
    .replace(/(href|src)="\.\//g, `$1="${folder}/`)
    .replace(/( *)<script(?=.*main\.js)/, `$1${preloads.join("\n$1")}\n$1<script`);
}

/** The new site takes the place of the old; assets of the last build stay, for pages that are open. */
function swap() {
  const old = `${SITE}.old`;
  rmSync(old, { recursive: true, force: true });
  if (existsSync(SITE)) renameSync(SITE, old);
  renameSync(NEW, SITE);
  if (existsSync(join(old, "index.html"))) keepOpenPages(old);
  rmSync(old, { recursive: true, force: true });
}

function keepOpenPages(old) {
  const [folder] = /\/assets\/app-\w+/.exec(text(join(old, "index.html"))) ?? [];
  const manifestPath = folder && join(old, folder, "manifest.js");
  if (!manifestPath || !existsSync(manifestPath)) return;
  const names = [...text(manifestPath).matchAll(/"\.\.\/([\w.-]+)\/?"/g)].map(([, name]) => name);
  const kept = walk(join(old, "assets")).filter((path) => names.some((name) => path.startsWith(name)) || `/assets/${path}`.startsWith(folder));
  for (const path of kept) cpSync(join(old, "assets", path), join(SITE, "assets", path), { force: false });
}

rmSync(NEW, { recursive: true, force: true });
const { wheels } = await publishWheels(join(NEW, "wheels"));
await page(await manifest(wheels.client));
swap();
console.log(`dist/site/ is there: ${walk(SITE).length} files`);
process.exit(0); // Pyodide keeps Node alive
