// Boots Pyodide and the client from files made at build time (web/build/site.mjs): the standard library as precompiled
// modules in a stored zip, and one pack with the client's packages already unpacked. Nothing is resolved or compiled here.
import * as store from "./store.js";
import { LOCK, PACK, PYODIDE, STDLIB } from "./manifest.js";

const here = (path) => new URL(path, import.meta.url).href;

async function fetched(path) {
  const response = await fetch(here(path));
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/**
 * Write the files of a pack below `root`.
 * A pack is: length of the index (u32, little-endian), the index (JSON: path -> length), the files one after the other.
 */
export function unpack(FS, root, pack) {
  const size = new DataView(pack.buffer, pack.byteOffset).getUint32(0, true);
  const index = JSON.parse(new TextDecoder().decode(pack.subarray(4, 4 + size)));
  let at = 4 + size;
  for (const [path, length] of Object.entries(index)) {
    const full = `${root}/${path}`;
    FS.mkdirTree(full.slice(0, full.lastIndexOf("/")));
    FS.writeFile(full, pack.subarray(at, at + length), { canOwn: true });
    at += length;
  }
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
