// Seeds of 32 bytes, each in a file of its own in the origin private file system, where it is overwritten in place. IndexedDB
// can't do that: it appends, and keeps what was deleted until it compacts. No place serves twice: a tab that was frozen while it
// renewed the keys, and was given up, wakes to files that nobody needs, whatever it then writes or overwrites.
const SIZE = 32;
const RIPE_MS = 60_000; // after which the name of a file is taken to be flushed, too
const SECURED = new Set(["SecurityError", "TypeError"]); // a browser that has no such files: some private windows

/** The seeds of this database; null in a browser that can't keep any. Places are names of files. */
export async function openSeeds(name) {
  try {
    if (!FileSystemFileHandle.prototype.createSyncAccessHandle) return null;
    return new Seeds(await (await navigator.storage.getDirectory()).getDirectoryHandle(`${name}.seeds`, { create: true }));
  } catch (error) {
    if (SECURED.has(error.name)) return null;
    throw error;
  }
}

class Seeds {
  #folder;
  #spare = null; // a file that was made a while before it is needed
  #made = 0; // when it was

  constructor(folder) {
    this.#folder = folder;
  }

  /** The 32 bytes in a place, or null. */
  async read(place) {
    try {
      const file = await (await this.#folder.getFileHandle(place)).getFile();
      return new Uint8Array(await file.arrayBuffer());
    } catch (error) {
      if (error.name === "NotFoundError") return null;
      throw error;
    }
  }

  /** Make the file of the next seed now: browsers flush what is in a file at once, and that there is one only after a while. */
  async prepare() {
    const place = crypto.randomUUID();
    await this.#put(place, new Uint8Array(SIZE));
    this.#spare = place;
    this.#made = Date.now();
  }

  /** Whether the next seed's file has been there for a while; it is made if there is none. */
  async ripe() {
    if (!this.#spare) await this.prepare();
    return Math.abs(Date.now() - this.#made) >= RIPE_MS;
  }

  /** Keep 32 bytes; their place. */
  async write(seed) {
    const place = this.#spare ?? crypto.randomUUID();
    this.#spare = null;
    await this.#put(place, seed);
    return place;
  }

  /** Overwrite what is in a place. */
  async retire(place) {
    await this.#put(place, new Uint8Array(SIZE));
    await this.#folder.removeEntry(place);
  }

  /** All places that there are. */
  async places() {
    const found = [];
    for await (const place of this.#folder.keys()) found.push(place);
    return found;
  }

  /** Overwrite these but one: what was left when a renewal broke off. A file that a frozen tab has open goes another time. */
  async sweep(places, kept) {
    for (const place of places) {
      if (place !== kept) await this.retire(place).catch(() => {});
    }
  }

  async #put(place, seed) {
    const access = await (await this.#folder.getFileHandle(place, { create: true })).createSyncAccessHandle();
    try {
      access.write(seed, { at: 0 });
      access.flush();
    } finally {
      access.close();
    }
  }
}
