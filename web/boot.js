// Boots Pyodide and the client from files made at build time (web/build/site.mjs): the standard library as precompiled
// modules in a stored zip, and one pack with the client's packages already unpacked. Nothing is resolved or compiled here.
// Later visits begin with a snapshot of the heap after the imports (web/snapshot.js), and without it as the first one.
import * as store from "./store.js";
import { BUILD, LOCK, PACK, PYODIDE, SNAPSHOT, STDLIB } from "./manifest.js";
import { unpack } from "./pack.js";
import { forget, keep, kept, reseed } from "./snapshot.js";
import { stretch } from "./stretching.js";

const here = (path) => new URL(path, import.meta.url).href;

async function fetched(path) {
  const response = await fetch(here(path));
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

const runtime = {
  indexURL: here(PYODIDE),
  stdLibURL: here(STDLIB),
  lockFileContents: LOCK,
  packageBaseUrl: here(PYODIDE),
};

/** Python as it was after its imports, when an earlier visit kept that; else null. */
async function restored(loadPyodide, fsInit, snapshot) {
  const whole = await snapshot;
  if (!whole) return null;
  try {
    const python = await loadPyodide({ ...runtime, fsInit, _loadSnapshot: whole });
    reseed(python);
    python.pyimport("coterie_mls"); // the one part that is not in the snapshot has to go with it
    return python;
  } catch (error) {
    console.error(`coterie: the snapshot was not restored: ${error.name}`);
    await forget();
    return null;
  }
}

/**
 * Start Python and the client's composition root.
 * @param {(json: string) => void} onEvent called with each event as JSON
 * @returns {Promise<{call: Function, close: Function}>} `coterie.browser.Page`
 */
export async function boot(onEvent) {
  const pack = fetched(PACK);
  const snapshot = kept(here(SNAPSHOT), BUILD);
  const { loadPyodide } = await import(here(`${PYODIDE}pyodide.mjs`));
  const fsInit = async (FS, { sitePackages }) => unpack(FS, sitePackages, await pack);
  const python = (await restored(loadPyodide, fsInit, snapshot)) ?? (await loadPyodide({ ...runtime, fsInit }));
  return python.pyimport("coterie.browser").open_page(self.location.origin, store, stretch, onEvent);
}

/** For the next visit; a person who saves data, or a browser that keeps nothing, goes without. */
export async function prepareNextVisit() {
  if (!navigator.connection?.saveData) await keep(here(SNAPSHOT)).catch(() => {});
}
