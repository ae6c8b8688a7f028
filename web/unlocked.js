// Master keys of databases that were unlocked, as keys that no script can read. The workers of all tabs of this browser share
// them, so that another one can go on when the owner is gone; they end with the last of these workers, or when it is locked.
// Each goes with the id of the record that it opens: one that is told late is of no use once that was locked, or made anew.

const masters = new Map(); // database -> {id, master}
const channel = new BroadcastChannel("coterie-unlocked");

channel.addEventListener("message", ({ data: { asked, name, id, master } }) => {
  if (asked) for (const [known, kept] of masters) channel.postMessage({ name: known, ...kept });
  else if (master) masters.set(name, { id, master });
  else masters.delete(name);
});
channel.postMessage({ asked: true });

/** The master key of this record of a database, or undefined. */
export function unlocked(name, id) {
  const kept = masters.get(name);
  return kept && kept.id === id ? kept.master : undefined;
}

/** Remember it, here and in the other tabs. */
export function remember(name, id, master) {
  masters.set(name, { id, master });
  channel.postMessage({ name, id, master });
}

/** Forget it, here and in the other tabs. */
export function forget(name) {
  masters.delete(name);
  channel.postMessage({ name });
}
