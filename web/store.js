// The state of this device in IndexedDB: one database, one object store for each table, keys and values bytes; values are
// encrypted (web/at_rest.js). Python's side is coterie/storage/indexeddb.py. Every commit is one transaction with strict
// durability, and compares and raises a version in it, so that a second writer is noticed before it does harm.
import { Ring, masterOf, wayOf } from "./at_rest.js";
import { KEYS, UPGRADES, WRITER, beginLog, fail, openDatabase, rowOf, rowsOf, transact, typed } from "./database.js";
import { KeyError } from "./keys.js";
import { packed, put, sealed } from "./rows.js";
import { openSeeds } from "./seeds.js";
import { forget, remember, unlocked } from "./unlocked.js";

export { UPGRADES } from "./database.js";

const NAME = "coterie";
const RING = "ring";
const MLS = "mls";
const RENEW_MS = 10 * 60_000; // how long a key that was used may lie readable in what IndexedDB has not compacted yet

/** Open (and create, or bring up to date) the database, to be its one writer. Rejects with a StoreError, or `locked_…`. */
export async function openStore(name = NAME, upgrades = UPGRADES, patience = undefined) {
  await beginLog(name);
  const db = await openDatabase(name, upgrades, patience);
  try {
    return await Store.of(db, name);
  } catch (error) {
    db.close();
    throw typed(error);
  }
}

async function withRecord(name, work) {
  const db = await openDatabase(name);
  try {
    return await work(await rowOf(db, KEYS, RING));
  } finally {
    db.close();
  }
}

/** How this device is locked: `way` device (not), passphrase or passkey, with the passkey's credential and salt. */
export const lockState = (name = NAME) => withRecord(name, (record) => wayOf(record ?? { way: "device" }));

/** Let `openStore` open it. Throws `wrong_passphrase`, `wrong_passkey`. @param {{passphrase?: string, prf?: Uint8Array}} credentials */
export const unlock = (credentials, name = NAME) =>
  withRecord(name, async (record) => remember(name, record.id, await masterOf(record, await openSeeds(name), credentials)));

/** An open database. `version` is that of the last commit this one knows of. */
class Store {
  #db;
  #name;
  #ring = null;
  #seeds;
  #version;
  #renewing = false; // while a renewal that the time asked for is under way
  #lost = null; // the code of what ended this connection
  gone; // resolves when the database is taken away while it is in use
  #last = Promise.resolve(); // commits go one after the other, in the order in which they were asked for

  /**
   * Whoever opens it is the one writer from then on: the version is raised, and a writer before it gets `storage_lost`. Which
   * seeds there are is read before: those that a later writer makes, while this one is frozen, are not among them.
   */
  static async of(db, name) {
    const store = new Store(db, name, await openSeeds(name));
    const left = await store.#seeds?.places();
    const record = await store.#begin();
    if (record) store.#ring = await Ring.open(record, store.#seeds, unlocked(name, record.id), left);
    else await store.#encrypt();
    await store.#seeds?.prepare().catch(report); // a full disk has no room for a file, and what is there can still be read
    return store;
  }

  /** The record of the keys, as it stays from here on: it is read in the transaction that ends other writers. */
  #begin() {
    return this.#transaction([WRITER, KEYS], "readwrite", (transaction, done) => {
      const writer = transaction.objectStore(WRITER);
      const version = writer.get("version");
      const record = transaction.objectStore(KEYS).get(RING);
      record.onsuccess = () => {
        this.#version = version.result + 1;
        writer.put(this.#version, "version");
        done(record.result);
      };
    });
  }

  constructor(db, name, seeds) {
    this.#db = db;
    this.#name = name;
    this.#seeds = seeds;
    this.gone = new Promise((resolve) => {
      const taken = () => {
        this.#end("storage_gone");
        forget(name);
        resolve();
      };
      db.onversionchange = ({ newVersion }) => (newVersion === null ? taken() : this.#end("storage_gone")); // must not wait for this one
      db.onclose = taken; // the browser took it away: cleared site data, eviction
    });
  }

  #end(code) {
    this.#lost ??= code;
    this.#db.close();
  }

  get #tables() {
    return [...this.#db.objectStoreNames].filter((table) => table !== WRITER && table !== KEYS);
  }

  async #transaction(stores, mode, work) {
    if (this.#lost) throw fail(this.#lost);
    try {
      return await transact(this.#db, stores, mode, work);
    } catch (error) {
      throw this.#lost ? fail(this.#lost, error) : typed(error);
    }
  }

  #rows(table) {
    return this.#lost ? Promise.reject(fail(this.#lost)) : rowsOf(this.#db, table);
  }

  /** All rows of a table in the order of their keys, packed; with `anyway` those that don't open are empty, instead of `storage_corrupt`. */
  async load(table, anyway = false) {
    const read = async () => packed(table, await this.#rows(table).catch((error) => this.#told(error)), this.#ring, anyway);
    return table === MLS ? this.#inTurn(read) : read(); // so that its key does not change in between
  }

  #told(error) {
    throw this.#lost ? fail(this.#lost, error) : typed(error);
  }

  /** The last `limit` rows with lower <= key < upper (null: no end), ascending, packed; `anyway` as above. */
  async page(table, lower, upper, limit, anyway = false) {
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
    return packed(table, rows, this.#ring, anyway);
  }

  /** Write rows, `[table, key, value]` with null to delete, all or none of them. */
  commit(rows) {
    const tables = [...new Set(rows.map(([table]) => table))];
    const written = this.#write(tables, () => sealed(rows, this.#ring), put);
    if (tables.includes(MLS) && this.#due && !this.#renewing) this.#renewInTime();
    return written;
  }

  /** A clock that was set back tells nothing of how long it was: then it is time, too. */
  get #due() {
    const age = Date.now() - this.#ring.record.renewed;
    return age < 0 || age > RENEW_MS;
  }

  /** Not with a seed whose file was just made: after a power cut there might be none of that name. */
  async #renewInTime() {
    this.#renewing = true;
    const ripe = async () => this.#due && (!this.#seeds || (await this.#seeds.ripe()));
    try {
      await this.#renew(async () => ((await ripe()) ? this.#ring.renewed() : null));
    } catch (error) {
      report(error);
    }
    this.#renewing = false;
  }

  /** Delete every row of every table, with the keys that opened what may be left of them. */
  async clear() {
    await this.#change(this.#tables, () => Ring.create(this.#seeds), (transaction) => {
      for (const table of this.#tables) transaction.objectStore(table).clear();
    }, () => forget(this.#name));
  }

  /** Lock it in this way from now on. Throws `wrong_passphrase`, `wrong_passkey`, `bad_passphrase`. */
  async keep(way, current, next) {
    await this.#renew(() => this.#ring.locked(way, current, next), () => {
      if (way === "device") forget(this.#name);
      else remember(this.#name, this.#ring.record.id, this.#ring.master);
    });
  }

  /** Throws `not_locked` while it would open for anybody. */
  async lockable() {
    if (this.#ring.record.way === "device") {
      throw new KeyError("not_locked", "Choose a passphrase or a passkey first: without one there is nothing to unlock it with.");
    }
  }

  /**
   * Close it, and forget the keys: whoever opens it has to unlock it. Throws `not_locked`; where the keys could not be renewed
   * it is locked all the same. The record's new id is what a tab that is told of the old one too late can't open.
   */
  async lock() {
    await this.lockable();
    try {
      await this.#renew(() => this.#ring.renewed(crypto.randomUUID()));
    } finally {
      forget(this.#name);
      this.#end("storage_locked");
    }
  }

  /** The rows of a database from before they were encrypted, in one transaction. */
  #encrypt() {
    const rows = async () => {
      const all = await Promise.all(this.#tables.map(async (table) => [table, await this.#rows(table)]));
      return all.flatMap(([table, found]) => found.map(([key, value]) => [table, key, value]));
    };
    return this.#change(this.#tables, () => Ring.create(this.#seeds), put, () => {}, rows);
  }

  /** New keys for the MLS rows; whatever IndexedDB keeps of the earlier ones can't be opened any more. */
  #renew(made = () => this.#ring.renewed(), then = () => {}) {
    const rows = async () => {
      const found = await this.#rows(MLS);
      const opened = await Promise.all(found.map(([key, value]) => this.#ring.unseal(MLS, key, value).catch(() => null)));
      return found.map(([key], at) => [MLS, key, opened[at]]).filter(([, , value]) => value); // a damaged row stays as it is
    };
    return this.#change([MLS], made, put, then, rows);
  }

  /**
   * Another ring in the place of this one, unless `made` gives none, in one transaction with the rows that go with it; `then` once
   * it is so. A seed that could not be overwritten after that is overwritten at the next start.
   */
  async #change(tables, made, work, then, rows = async () => []) {
    let before; // at its turn: another change may have been asked for earlier
    let ring;
    const prepare = async () => {
      before = this.#ring;
      ring = await made();
      return ring && sealed(await rows(), ring);
    };
    await this.#write([...tables, KEYS], prepare, (transaction, prepared) => {
      work(transaction, prepared);
      transaction.objectStore(KEYS).put(ring.record, RING);
    }, () => {
      this.#ring = ring;
      then();
    });
    if (!ring) return;
    await before?.retire().catch(report);
    await this.#seeds?.prepare().catch(report);
  }

  #inTurn(work) {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  #write(tables, prepare, work, then = () => {}) {
    return this.#inTurn(async () => {
      if (this.#lost) throw fail(this.#lost);
      const prepared = await prepare().catch((error) => this.#told(error));
      if (!prepared) return;
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
      then();
    });
  }

  /** Close it after the commits that were asked for. Safe to call twice. */
  async close() {
    await this.#last;
    this.#end("storage_closed");
  }
}

/** What could not be renewed is tried again with the next commit, what could not be overwritten at the next start. */
const report = (error) => console.error(`coterie: the keys were not renewed: ${error?.name}`);
