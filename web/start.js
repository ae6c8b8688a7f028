// The first module of the page, with no imports, so that the worker boots while the rest is still being loaded.

const urls = { app: new URL("./worker.js", import.meta.url).href, stretcher: new URL("./stretch_worker.js", import.meta.url).href };

/** The URLs that may become scripts here (Trusted Types). */
const only = { createScriptURL: (asked) => (Object.values(urls).includes(asked) ? asked : null) };
const policy = globalThis.trustedTypes?.createPolicy("app", only) ?? { createScriptURL: (url) => url };
const make = (url) => new Worker(policy.createScriptURL(url), { type: "module" });

/** A worker that boots Python, and waits for `begin`. */
export const makeWorker = () => make(urls.app);

/** A worker for one Argon2id. */
export const makeStretcher = () => make(urls.stretcher);

/** Null where Coterie can't run: browsers allow encryption on secure pages only. */
export const firstWorker = isSecureContext ? makeWorker() : null;
