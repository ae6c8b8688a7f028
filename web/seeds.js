// Two places of 32 bytes in a file of the origin private file system, which is overwritten in place and flushed. IndexedDB
// can't do that: it appends, and keeps what was deleted until it compacts.
const SIZE = 32;

/**
 * The file of this name, made if it is not there; null in a browser that has none (some private windows).
 * `read(slot)` gives 32 bytes, zeros where nothing was written.
 */
export async function openSeeds(name) {
  let file;
  try {
    file = await (await navigator.storage.getDirectory()).getFileHandle(`${name}.seeds`, { create: true });
    if (!file.createSyncAccessHandle) return null;
  } catch (error) {
    if (error.name === "SecurityError" || error instanceof TypeError) return null;
    throw error;
  }
  const use = async (work) => {
    const access = await file.createSyncAccessHandle();
    try {
      return work(access);
    } finally {
      access.close();
    }
  };
  return {
    read: (slot) =>
      use((access) => {
        const seed = new Uint8Array(SIZE);
        access.read(seed, { at: slot * SIZE });
        return seed;
      }),
    write: (slot, seed) =>
      use((access) => {
        access.write(seed, { at: slot * SIZE });
        access.flush();
      }),
  };
}
