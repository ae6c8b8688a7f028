// Argon2id (RFC 9106) in a short-lived worker. Python's twin on CPython is coterie/stretching.py.

const url = new URL("./stretch_worker.js", import.meta.url).href;
const only = { createScriptURL: (asked) => (asked === url ? url : null) };

const running = new Set(); // a worker that nothing else holds may be collected before it has answered, in Firefox
let policy = null; // one of a name is allowed here, and this may be asked twice

function trusted() {
  if (!globalThis.trustedTypes) return url;
  policy ??= trustedTypes.createPolicy("app", only);
  return policy.createScriptURL(url);
}

/**
 * The key of a passphrase, 32 bytes; half a second and as much memory as it says.
 * @param {Uint8Array} secret the passphrase in UTF-8 and NFC
 */
export async function stretch(secret, salt, memoryKib, passes, lanes) {
  const worker = new Worker(trusted(), { type: "module" });
  running.add(worker);
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data: { tag, failed } }) => (tag ? resolve(tag) : reject(new Error(`Argon2id: ${failed}`)));
      worker.onerror = () => reject(new Error("Argon2id could not be loaded"));
      worker.postMessage({ secret, salt, memoryKib, passes, lanes });
    });
  } finally {
    worker.terminate();
    running.delete(worker);
  }
}
