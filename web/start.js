// The first module of the page, with no imports, so that the worker boots while the rest is still being loaded.

const url = new URL("./worker.js", import.meta.url).href;

/** The one URL that may become a script here (Trusted Types). */
const only = { createScriptURL: (asked) => (asked === url ? url : null) };
const trusted = globalThis.trustedTypes ? trustedTypes.createPolicy("app", only).createScriptURL(url) : url;

/** A worker that boots Python, and waits for `begin`. */
export const makeWorker = () => new Worker(trusted, { type: "module" });

/** Null where Coterie can't run: browsers allow encryption on secure pages only. */
export const firstWorker = isSecureContext ? makeWorker() : null;
