// Makes the heap snapshot: Python started, standard library and the client's pure modules imported, nothing compiled.
// It is written as the runs of the heap that are not zero (web/snapshot.js reads it), less than half of the whole.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadPyodide } from "pyodide";
import { unpack } from "../pack.js";
import { NODE_PYODIDE } from "./python.mjs";

const PREPARE = fileURLToPath(new URL("./snapshot.py", import.meta.url));
const GAP = 64; // zero bytes that are worth a new run

/** The whole snapshot, as Pyodide writes it. */
async function makeSnapshot(stdlibPath, pack, lock) {
  const python = await loadPyodide({
    indexURL: NODE_PYODIDE,
    stdLibURL: stdlibPath,
    lockFileContents: lock,
    env: { PYTHONHASHSEED: "0" },
    _makeSnapshot: true,
    fsInit: async (FS, { sitePackages }) => unpack(FS, sitePackages, pack),
  });
  const names = python.toPy({});
  python.runPython(readFileSync(PREPARE, "utf8"), { globals: names, filename: PREPARE });
  const compiled = names.get("prepare")().toJs();
  if (compiled.length) throw new Error(`compiled modules would be in the snapshot: ${compiled.join(", ")}`);
  names.destroy();
  return python.makeMemorySnapshot();
}

/** [offset, length] of what is not zero; short gaps stay inside a run. Offsets and lengths are multiples of 4. */
function runs(bytes) {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
  const found = [];
  let from = -1;
  let zeros = 0;
  for (let at = 0; at < words.length; at += 1) {
    if (words[at] !== 0) {
      if (from < 0) from = at;
      zeros = 0;
    } else if (from >= 0 && (zeros += 4) >= GAP) {
      found.push([from * 4, (at + 1) * 4 - zeros - from * 4]);
      from = -1;
      zeros = 0;
    }
  }
  if (from >= 0) found.push([from * 4, words.length * 4 - zeros - from * 4]);
  return found;
}

/** Head (u32 each: magic, whole length, number of runs, length of the build id), build id, runs, their bytes. */
export function sparse(whole, build) {
  const found = runs(whole);
  const id = Buffer.from(build.padEnd(Math.ceil(build.length / 4) * 4));
  const head = Buffer.from(new Uint32Array([0x31534e50, whole.length, found.length, id.length]).buffer);
  const table = Buffer.from(new Uint32Array(found.flat()).buffer);
  return Buffer.concat([head, id, table, ...found.map(([at, length]) => whole.subarray(at, at + length))]);
}

/** The sparse snapshot for exactly these files; `build` names them and is compared before it is restored. */
export async function buildSnapshot({ stdlib, pack, lock, build, scratch }) {
  writeFileSync(scratch, stdlib);
  return sparse(await makeSnapshot(scratch, new Uint8Array(pack), lock), build);
}
