// Boots Pyodide and the client from files made at build time (web/build/site.mjs): the standard library as precompiled
// modules in a stored zip, and one pack with the client's packages already unpacked. Nothing is resolved or compiled here.
import * as store from "./store.js";
import { LOCK, PACK, PYODIDE, STDLIB } from "./manifest.js";
import { unpack } from "./pack.js";

const here = (path) => new URL(path, import.meta.url).href;

async function fetched(path) {
  const response = await fetch(here(path));
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/**
 * Start Python and the client's composition root.
 * @param {(json: string) => void} onEvent called with each event as JSON
 * @returns {Promise<{call: Function, close: Function}>} `coterie.browser.Page`
 */
export async function boot(onEvent) {
  const pack = fetched(PACK);
  const { loadPyodide } = await import(here(`${PYODIDE}pyodide.mjs`));
  const python = await loadPyodide({
    indexURL: here(PYODIDE),
    stdLibURL: here(STDLIB),
    lockFileContents: LOCK,
    packageBaseUrl: here(PYODIDE),
    checkAPIVersion: true,
    fsInit: async (FS, { sitePackages }) => unpack(FS, sitePackages, await pack),
  });
  return python.pyimport("coterie.browser").open_page(self.location.origin, store, onEvent);
}
