// Master keys of databases that were unlocked, as keys that no script can read. The workers of all tabs of this browser share
// them, so that another one can go on when the owner is gone; they end with the last of these workers, or when it is locked.

const masters = new Map(); // database -> CryptoKey
const channel = new BroadcastChannel("coterie-unlocked");

channel.addEventListener("message", ({ data: { asked, name, master } }) => {
  if (asked) for (const [known, key] of masters) channel.postMessage({ name: known, master: key });
  else if (master) masters.set(name, master);
  else masters.delete(name);
});
channel.postMessage({ asked: true });

/** The master key of this database, or undefined. */
export const unlocked = (name) => masters.get(name);

/** Remember it, here and in the other tabs. */
export function remember(name, master) {
  masters.set(name, master);
  channel.postMessage({ name, master });
}

/** Forget it, here and in the other tabs. */
export function forget(name) {
  masters.delete(name);
  channel.postMessage({ name });
}
