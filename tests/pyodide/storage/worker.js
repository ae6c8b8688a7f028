// Pyodide with the Python sources under test and web/store.js, under the page's CSP: no code is made from text.
import { loadPyodide } from "/pyodide/pyodide.mjs";
import * as store from "/store.js";
import * as sealed from "./sealed.js";

async function boot() {
  const python = await loadPyodide({ indexURL: "/pyodide/" });
  const sources = await (await fetch("/sources.zip")).arrayBuffer();
  python.unpackArchive(sources, "zip", { extractDir: "/sources" });
  python.pyimport("sys").path.append("/sources");
  python.registerJsModule("coterie_store", store);
  return python.pyimport("harness");
}

const harness = boot();

onmessage = async ({ data: { id, name, args } }) => {
  try {
    const result = await (sealed[name] ?? (await harness)[name])(...args);
    postMessage({ id, result });
  } catch (error) {
    postMessage({ id, error: `${error}\n${error.stack ?? ""}` }); // Firefox's stack has no message in it
  }
};
