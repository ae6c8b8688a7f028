// Pyodide in Node, for what is prepared at build time by the Python that will run it.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadPyodide } from "pyodide";

export const NODE_PYODIDE = fileURLToPath(new URL("../../node_modules/pyodide/", import.meta.url));
const COMPILE = fileURLToPath(new URL("./compile.py", import.meta.url));

/** A Pyodide with the functions of compile.py, as a dictionary. */
async function compiler() {
  const python = await loadPyodide({ indexURL: NODE_PYODIDE });
  const names = python.toPy({});
  python.runPython(readFileSync(COMPILE, "utf8"), { globals: names, filename: COMPILE });
  return { python, names };
}

/** The trimmed, compiled standard library, as a zip. */
export async function buildStdlib() {
  const { names } = await compiler();
  return names.get("stdlib")().toJs();
}

/** One pack with the files of all wheels (web/pack.js reads it). */
export async function buildPack(wheels) {
  const { python, names } = await compiler();
  const files = new Map();
  for (const wheel of wheels) {
    const found = names.get("wheel")(python.toPy(new Uint8Array(readFileSync(wheel))).tobytes());
    for (const [name, content] of Object.entries(found.toJs({ dict_converter: Object.fromEntries }))) files.set(name, Buffer.from(content));
  }
  const index = Object.fromEntries([...files].map(([name, content]) => [name, content.length]));
  const head = Buffer.from(JSON.stringify(index));
  const size = Buffer.alloc(4);
  size.writeUInt32LE(head.length);
  return Buffer.concat([size, head, ...files.values()]);
}
