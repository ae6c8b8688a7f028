// The client's wheels for Pyodide: found or fetched, checked against their hashes, resolved and frozen by micropip inside
// Pyodide, and laid out for <origin>/wheels/. Run by itself it prints what was frozen.
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPyodide } from "pyodide";
import { ROOT, cached, mark, onlyWheel, publish, sha256, write } from "./files.mjs";
import { NODE_PYODIDE } from "./python.mjs";

const FETCHED = join(ROOT, "build/page/wheels");
const PINS = fileURLToPath(new URL("./requirements.txt", import.meta.url));
const PLATFORM = "pyemscripten_2026_0_wasm32"; // of Pyodide 314.0.7
const PYTHON = "3.14";

/** The pinned wheels from PyPI; pip refuses any whose hash is another. */
function fetchPinned() {
  const wanted = [...readFileSync(PINS, "utf8").matchAll(/^(\w+)==(\S+)/gm)].map(([, name, version]) => `${name}-${version}-`);
  const there = () => wanted.map((start) => tryList().find((name) => name.startsWith(start)));
  if (there().some((name) => !name)) download();
  return there().map((name) => join(FETCHED, name));
}

function tryList() {
  try {
    return readdirSync(FETCHED);
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

function download() {
  const options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"];
  const target = ["--platform", PLATFORM, "--python-version", PYTHON, "--implementation", "cp", "--abi", "cp314", "--abi", "none"];
  const ran = spawnSync("python3", ["-m", "pip", "download", ...options, ...target, "-r", PINS, "-d", FETCHED], { stdio: "inherit" });
  if (ran.status !== 0) throw new Error("The pinned wheels for Pyodide could not be fetched; is there a network?");
}

/** Paths of all wheels: the client's in the order in which they can be installed, and micropip. */
export function findWheels() {
  const [cbor2, micropip] = fetchPinned();
  const mls = onlyWheel(/^coterie_mls-.*wasm32\.whl$/, "build it with wasm/build/pyodide.sh");
  const client = onlyWheel(/^coterie-.*\.whl$/, "build it with: hatchling build -t wheel -d dist");
  return { client: [cbor2, mls, client], micropip };
}

/** Serve files under /wheels/ on a free port, as the service does. */
async function serve(paths) {
  const files = new Map(paths.map((path) => [`/wheels/${basename(path)}`, readFileSync(path)]));
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(request.url);
    const body = files.get(request.url);
    response.writeHead(body ? 200 : 404).end(body);
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  return { origin: `http://localhost:${server.address().port}`, asked, server };
}

/** Install the wheels with micropip in a fresh Pyodide, by URL and without any index, and freeze what came of it. */
async function freeze({ client, micropip }) {
  const { origin, server } = await serve(client);
  try {
    const python = await loadPyodide({ indexURL: NODE_PYODIDE });
    python.unpackArchive(new Uint8Array(readFileSync(micropip)), "wheel");
    const pip = python.pyimport("micropip");
    await pip.install.callKwargs(client.map((path) => `${origin}/wheels/${basename(path)}`), { deps: true, index_urls: python.toPy([`${origin}/none/`]) });
    return JSON.parse(pip.freeze());
  } finally {
    server.close();
  }
}

/** The lock of the client's own wheels, file names relative to /wheels/, hashes compared with the files'. */
function ownLock(frozen, { client }) {
  const packages = {};
  for (const path of client) {
    const found = Object.entries(frozen.packages).find(([, entry]) => basename(entry.file_name) === basename(path));
    if (!found) throw new Error(`micropip did not freeze ${basename(path)}`);
    const [name, entry] = found;
    const digest = sha256(readFileSync(path));
    if (entry.sha256 && entry.sha256 !== digest) throw new Error(`${name}: micropip installed other bytes than are in the file`);
    packages[name] = { ...entry, file_name: basename(path), sha256: digest };
  }
  return { info: frozen.info, packages };
}

/** Everything under /wheels/: the wheels, index.json (in the order of installation) and lock.json. */
export async function publishWheels(folder) {
  const wheels = findWheels();
  const all = [...wheels.client, wheels.micropip];
  const key = mark(...all.map((path) => readFileSync(path)), readFileSync(fileURLToPath(import.meta.url)));
  const lock = await cached("lock", key, async () => JSON.stringify(ownLock(await freeze(wheels), wheels), null, 2));
  const entry = (path) => ({ file: basename(path), sha256: sha256(readFileSync(path)) });
  const index = { install: wheels.client.map(entry), micropip: entry(wheels.micropip) };
  for (const path of all) write(join(folder, basename(path)), readFileSync(path));
  await publish(join(folder, "index.json"), Buffer.from(`${JSON.stringify(index, null, 2)}\n`));
  await publish(join(folder, "lock.json"), lock);
  return { index, wheels };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = join(ROOT, "dist/site/wheels");
  rmSync(folder, { recursive: true, force: true });
  const { index } = await publishWheels(folder);
  console.log("frozen by micropip, in the order of installation (dist/site/wheels/lock.json):");
  for (const { file, sha256: digest } of index.install) console.log(`  ${digest}  ${file}`);
  process.exit(0); // Pyodide keeps Node alive
}
