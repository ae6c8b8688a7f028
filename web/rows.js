// Rows of this device's state between Python, the ring of keys, and IndexedDB.
import { join } from "./keys.js";

const AT_ONCE = 500; // rows that are opened together

/** Rows `[table, key, value]`, with null to delete, as they are stored. */
export const sealed = (rows, ring) =>
  Promise.all(rows.map(async ([table, key, value]) => [table, key, value == null ? null : await ring.seal(table, key, value)]));

/** Write rows as they are stored, in a transaction. */
export function put(transaction, rows) {
  for (const [table, key, value] of rows) {
    const store = transaction.objectStore(table);
    if (value === null) store.delete(key);
    else store.put(value, key);
  }
}

/**
 * Rows as they are stored, opened, as two buffers: lengths (key, value, key, value, …) and the bytes one after the other; cheap to
 * hand to Python. Those that don't open are empty with `anyway`, else it throws `storage_corrupt`.
 */
export async function packed(table, rows, ring, anyway) {
  const failed = (error) => {
    if (!anyway || error?.name !== "storage_corrupt") throw error;
    return new Uint8Array();
  };
  const parts = [];
  for (let at = 0; at < rows.length; at += AT_ONCE) {
    const some = rows.slice(at, at + AT_ONCE);
    const values = await Promise.all(some.map(([key, value]) => ring.unseal(table, key, value).catch(failed)));
    some.forEach(([key], place) => parts.push(key, values[place]));
  }
  return { lengths: Uint32Array.from(parts, (part) => part.length), bytes: join(...parts) };
}
