// `node pyodide.mjs MESSAGES SIZE MEMBERS`: bench/mls/wheel.py in Pyodide; prints its figures as JSON.
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPyodide } from "pyodide";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "..", "..", "dist");
const wheel = readdirSync(dist).find((name) => /^coterie_mls-.*wasm32\.whl$/.test(name));
const pyodide = await loadPyodide();
const site = pyodide.runPython("import site; site.getsitepackages()[0]");
pyodide.unpackArchive(new Uint8Array(readFileSync(join(dist, wheel))), "wheel", { extractDir: site });
pyodide.globals.set("arguments", pyodide.toPy(process.argv.slice(2, 5).map(Number)));
pyodide.FS.writeFile("/wheel.py", readFileSync(join(here, "wheel.py")));
console.log(pyodide.runPython("import json, sys; sys.path.append('/'); import wheel; json.dumps(wheel.measure(*arguments))"));
