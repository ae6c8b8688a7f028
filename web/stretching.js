// Argon2id (RFC 9106) in a short-lived worker, which the page makes: web/stretcher.js. Python's twin on CPython is
// coterie/stretching.py.

/**
 * The key of a passphrase, 32 bytes; half a second and as much memory as it says.
 * @param {Uint8Array} secret the passphrase in UTF-8 and NFC
 */
export function stretch(secret, salt, memoryKib, passes, lanes) {
  const { port1: answer, port2: page } = new MessageChannel();
  return new Promise((resolve, reject) => {
    answer.onmessage = ({ data: { tag, failed } }) => {
      answer.close();
      if (tag) resolve(tag);
      else reject(new Error(`Argon2id: ${failed}`));
    };
    self.postMessage({ stretch: { secret, salt, memoryKib, passes, lanes } }, [page]);
  });
}
