// The state of this device in IndexedDB: one database, one object store for each table, keys and values bytes.
// Python's side is coterie/storage/indexeddb.py. Every commit is one transaction with strict durability, and compares
// and raises a version in it, so that a second writer is noticed before it does harm.

const TABLES_1 = [
  "mls", "device", "groups", "chats", "messages", "outbox", "sent", "invites", "joins", "profiles", "seen",
]; // prettier-ignore
const TABLES_2 = ["packages", "invitations", "contacts"];
const WRITER = "writer"; // one row: "version" -> how many commits there were

/** Entry n leads from version n to n + 1; all that are needed run in one transaction. Released entries never change. */
export const UPGRADES = [
  (db) => {
    for (const table of TABLES_1) db.createObjectStore(table);
    db.createObjectStore(WRITER).put(0, "version");
  },
  (db) => {
    for (const table of TABLES_2) db.createObjectStore(table);
  },
];

/** `name` is the code, `message` the sentence; Python turns it into StorageError, or StorageLost for the last two. */
class StoreError extends Error {
  constructor(code, sentence, cause) {
    super(sentence, { cause });
    this.name = code;
  }
}

const SENTENCES = {
  storage_full: "There is no space left for this device's data.",
  storage_newer: "This device's data was written by a newer version of Coterie. Reload the page.",
  storage_denied: "This browser does not let Coterie keep data. A private window or its settings may be the reason.",
  storage_in_use: "Another tab keeps an older version of Coterie open. Close it, then reload.",
  storage_closed: "This device's storage was closed.",
  storage_corrupt: "This device's data is damaged.",
  storage_lost: "Another tab has written to this device's data. Reload the page.",
  storage_gone: "This device's data was deleted or taken over while it was in use. Reload the page.",
};

const CODES = {
  QuotaExceededError: "storage_full",
  VersionError: "storage_newer",
  SecurityError: "storage_denied",
  NotFoundError: "storage_corrupt",
  InvalidStateError: "storage_gone",
};

const fail = (code, cause) => new StoreError(code, SENTENCES[code], cause);

/** Any error as a StoreError. */
function typed(error) {
  if (error instanceof StoreError) return error;
  const code = CODES[error?.name];
  if (code) return fail(code, error);
  return new StoreError("storage_failed", `This device's data can't be used (${error?.name ?? "aborted"}).`, error);
}

// The one way of values in and out. Encryption at rest takes its place here, bound to table and key; it is asynchronous,
// and all of it ends before a transaction begins, because IndexedDB commits one that waits for anything else.
const seal = async (table, key, value) => value;
const unseal = async (table, key, value) => value;

const PATIENCE_MS = 3000; // another tab that makes room first ends the transaction it is in

/** Open (and create, or bring up to date) the database, to be its one writer. Rejects with a StoreError. */
export function openStore(name = "coterie", upgrades = UPGRADES, patience = PATIENCE_MS) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, upgrades.length);
    let refused = false;
    let blocked;
    request.onupgradeneeded = ({ oldVersion }) => upgrade(request, upgrades.slice(oldVersion));
    request.onblocked = () => {
      blocked = setTimeout(() => {
        refused = true;
        reject(fail("storage_in_use"));
      }, patience);
    };
    request.onerror = () => reject(typed(request.error));
    request.onsuccess = () => {
      clearTimeout(blocked);
      if (refused) request.result.close();
      else Store.of(request.result).then(resolve, reject);
    };
  }).catch((error) => {
    throw typed(error);
  });
}

/** A step that throws takes all of them back: the database stays as it was. */
function upgrade({ result, transaction }, steps) {
  try {
    for (const step of steps) step(result, transaction);
  } catch (error) {
    console.error("bringing the storage up to date failed", error);
    transaction.abort();
  }
}

/** An open database. `version` is that of the last commit this one knows of. */
class Store {
  #db;
  #version;
  #lost = null; // the code of what ended this connection
  #last = Promise.resolve(); // commits go one after the other, in the order in which they were asked for

  /** Whoever opens it is the one writer from then on: the version is raised, and a writer before it gets `storage_lost`. */
  static async of(db) {
    const store = new Store(db);
    store.#version = await store.#transaction([WRITER], "readwrite", (transaction, done) => {
      const writer = transaction.objectStore(WRITER);
      const found = writer.get("version");
      found.onsuccess = () => {
        writer.put(found.result + 1, "version");
        done(found.result + 1);
      };
    });
    return store;
  }

  constructor(db) {
    this.#db = db;
    db.onversionchange = () => this.#end("storage_gone"); // a newer page, or a deletion, must not wait for this one
    db.onclose = () => this.#end("storage_gone"); // the browser took it away: cleared site data, eviction
  }

  #end(code) {
    this.#lost ??= code;
    this.#db.close();
  }

  /** Run `work(transaction, done)`; what `done` was given, once the transaction is complete. */
  #transaction(stores, mode, work) {
    if (this.#lost) return Promise.reject(fail(this.#lost));
    return new Promise((resolve, reject) => {
      const transaction = this.#db.transaction(stores, mode, { durability: "strict" });
      let result;
      let cause = null;
      transaction.oncomplete = () => resolve(result);
      transaction.onabort = () => reject(typed(cause ?? transaction.error));
      const stop = (error) => {
        cause ??= error;
        transaction.abort();
      };
      try {
        work(transaction, (value) => (result = value), stop);
      } catch (error) {
        stop(error);
      }
    }).catch((error) => {
      throw this.#lost ? fail(this.#lost, error) : typed(error);
    });
  }

  /** All rows of a table in the order of their keys, packed. */
  async load(table) {
    const rows = await this.#transaction([table], "readonly", (transaction, done) => {
      const store = transaction.objectStore(table);
      const keys = store.getAllKeys();
      const values = store.getAll();
      values.onsuccess = () => done(keys.result.map((key, at) => [new Uint8Array(key), values.result[at]]));
    });
    return packed(table, rows);
  }

  /** The last `limit` rows with lower <= key < upper (null: no end), ascending, packed. */
  async page(table, lower, upper, limit) {
    const range = upper ? IDBKeyRange.bound(lower, upper, false, true) : IDBKeyRange.lowerBound(lower);
    const rows = await this.#transaction([table], "readonly", (transaction, done) => {
      const found = [];
      const request = transaction.objectStore(table).openCursor(range, "prev");
      request.onsuccess = () => {
        const cursor = request.result;
        if (!cursor || found.length >= limit) return done(found.reverse());
        found.push([new Uint8Array(cursor.key), cursor.value]);
        cursor.continue();
      };
    });
    return packed(table, rows);
  }

  /** Write rows, `[table, key, value]` with null to delete, all or none of them. */
  commit(rows) {
    const sealing = Promise.all(
      rows.map(async ([table, key, value]) => [table, key, value == null ? null : await seal(table, key, value)]),
    );
    return this.#write([...new Set(rows.map(([table]) => table))], sealing, (transaction, sealed) => {
      for (const [table, key, value] of sealed) {
        const store = transaction.objectStore(table);
        if (value === null) store.delete(key);
        else store.put(value, key);
      }
    });
  }

  /** Delete every row of every table. */
  clear() {
    const tables = [...this.#db.objectStoreNames].filter((table) => table !== WRITER);
    return this.#write(tables, null, (transaction) => {
      for (const table of tables) transaction.objectStore(table).clear();
    });
  }

  #write(tables, preparing, work) {
    const writing = this.#last.then(async () => {
      const prepared = await preparing;
      await this.#transaction([...tables, WRITER], "readwrite", (transaction, done, stop) => {
        const writer = transaction.objectStore(WRITER);
        const found = writer.get("version");
        found.onsuccess = () => {
          if (found.result !== this.#version) return stop(fail("storage_lost"));
          try {
            writer.put(this.#version + 1, "version");
            work(transaction, prepared);
          } catch (error) {
            stop(error);
          }
        };
      });
      this.#version += 1;
    });
    this.#last = writing.catch(() => {});
    return writing;
  }

  /** Close it after the commits that were asked for. Safe to call twice. */
  async close() {
    await this.#last;
    this.#end("storage_closed");
  }
}

/** Rows as two buffers: lengths (key, value, key, value, …) and the bytes one after the other; cheap to hand to Python. */
async function packed(table, rows) {
  const parts = [];
  for (const [key, value] of rows) parts.push(key, await unseal(table, key, value));
  const lengths = Uint32Array.from(parts, (part) => part.length);
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return { lengths, bytes };
}
