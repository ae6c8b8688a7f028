// The heap snapshot of web/build/snapshot.mjs: kept in Cache Storage after a first visit, restored at later ones.
// Everything here may fail (no Cache Storage, no space, an old entry); the page then boots without it.

const CACHE = "coterie-boot";
const MAGIC = 0x31534e50;
const HEAD = 16;

/** The whole snapshot from its sparse form; an error when it was made for other files than these. */
export function expand(bytes, build) {
  const [magic, length, count, idLength] = new Uint32Array(bytes, 0, 4);
  if (magic !== MAGIC) throw new Error("not a snapshot");
  const id = new TextDecoder().decode(new Uint8Array(bytes, HEAD, idLength)).trimEnd();
  if (id !== build) throw new Error("a snapshot of another build");
  const table = new Uint32Array(bytes, HEAD + idLength, count * 2);
  const whole = new Uint8Array(length);
  let from = HEAD + idLength + table.byteLength;
  for (let at = 0; at < table.length; at += 2) {
    whole.set(new Uint8Array(bytes, from, table[at + 1]), table[at]);
    from += table[at + 1];
  }
  return whole;
}

/** The snapshot if an earlier visit kept it, else null. */
export async function kept(url, build) {
  try {
    const found = await (await caches.open(CACHE)).match(url);
    return found ? expand(await found.arrayBuffer(), build) : null;
  } catch {
    await forget(); // or it would stand in the way of a good one for ever
    return null;
  }
}

/** Fetch it for the next visit, when there is nothing better to do; snapshots of older builds go. */
export async function keep(url) {
  const cache = await caches.open(CACHE);
  for (const old of await cache.keys()) if (old.url !== url) await cache.delete(old);
  if (!(await cache.match(url))) await cache.add(url);
}

/** Forget it: it could not be restored. */
export const forget = () => caches.delete(CACHE).catch(() => false);

/** A restored `random` would give everybody the same numbers (os.urandom and all keys come from the browser). */
export function reseed(python) {
  python.pyimport("random").seed();
  python.pyimport("importlib").invalidate_caches();
}
