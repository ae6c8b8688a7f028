// Pyodide in Node with one wheel of the crate unpacked in it.
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPyodide } from "pyodide";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

const named = (folder) => {
  const files = readdirSync(join(ROOT, folder), { withFileTypes: true });
  return files.filter((file) => /^coterie_mls-.*wasm32\.whl$/.test(file.name)).map((file) => join(ROOT, folder, file.name));
};

/** The wheel that is handed out; `make wheels` builds it. */
export function releaseWheel() {
  const [wheel] = named("dist");
  if (!wheel) throw new Error("dist/ has no Pyodide wheel: run wasm/build/pyodide.sh");
  return wheel;
}

/** The tests' wheel, built anew when the sources are newer. */
export function hooksWheel() {
  const sources = readdirSync(join(ROOT, "wasm/src")).map((name) => join(ROOT, "wasm/src", name));
  const newest = Math.max(...[...sources, join(ROOT, "wasm/Cargo.lock")].map((path) => statSync(path).mtimeMs));
  const fresh = () => {
    try {
      return named("dist/test").find((path) => statSync(path).mtimeMs >= newest);
    } catch {
      return undefined; // no dist/test yet
    }
  };
  if (!fresh()) execFileSync(join(ROOT, "wasm/build/pyodide.sh"), ["hooks"], { stdio: "inherit" });
  return fresh();
}

/** A Pyodide with that wheel's `coterie_mls`. */
export async function pyodideWith(wheel) {
  const pyodide = await loadPyodide();
  const site = pyodide.runPython("import site; site.getsitepackages()[0]");
  pyodide.unpackArchive(new Uint8Array(readFileSync(wheel)), "wheel", { extractDir: site });
  return pyodide;
}

/** Run a Python file of this folder; what its last line evaluates to. */
export function run(pyodide, name, globals = {}) {
  const source = readFileSync(join(ROOT, "tests/pyodide/crate", name), "utf8");
  return pyodide.runPython(source, { globals: pyodide.toPy({ __name__: name, ...globals }), filename: name });
}
