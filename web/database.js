// The database of this device's state in IndexedDB: its layouts, how it is opened, one transaction, and what can go wrong.
import { KeyError } from "./keys.js";

const TABLES_1 = [
  "mls", "device", "groups", "chats", "messages", "outbox", "sent", "invites", "joins", "profiles", "seen",
]; // prettier-ignore
const TABLES_2 = ["packages", "invitations", "contacts"];
const TABLES_3 = ["leaves"];
const TABLES_4 = ["recent"];
export const WRITER = "writer"; // one row: "version" -> how many commits there were
export const KEYS = "keys"; // one row: "ring" -> what the keys of all other rows come from (web/at_rest.js)

/** Entry n leads from version n to n + 1; all that are needed run in one transaction. Released entries never change. */
export const UPGRADES = [
  (db) => {
    for (const table of TABLES_1) db.createObjectStore(table);
    db.createObjectStore(WRITER).put(0, "version");
  },
  (db) => {
    for (const table of TABLES_2) db.createObjectStore(table);
  },
  (db) => {
    for (const table of TABLES_3) db.createObjectStore(table);
  },
  (db) => db.createObjectStore(KEYS),
  (db) => {
    for (const table of TABLES_4) db.createObjectStore(table);
  },
];

/** `name` is the code, `message` the sentence; Python turns it into StorageError, or StorageLost for the last two. */
export class StoreError extends Error {
  constructor(code, sentence, cause) {
    super(sentence, { cause });
    this.name = code;
  }
}

const ANEW = "To begin anew, clear this site's data in your browser; a backup brings back what was said.";

const SENTENCES = {
  storage_full:
    "There is no space left for this device's data, so nothing was saved or sent. Free some space on this device, then try again.",
  storage_newer: "This device's data was written by a newer version of Coterie. Reload the page.",
  storage_denied: "This browser does not let Coterie keep data. A private window or its settings may be the reason.",
  storage_in_use: "Another tab keeps an older version of Coterie open. Close it, then reload.",
  storage_closed: "This device's storage was closed.",
  storage_locked: "This device was locked.",
  storage_corrupt: `This device's data is damaged. ${ANEW}`,
  storage_lost: "Another tab has written to this device's data. Reload the page.",
  key_lost:
    `The key of this device's data is not in this browser any more, so what is here can't be read. Nothing was deleted. ${ANEW}`,
  storage_gone: "This device's data was deleted or taken over while it was in use. Reload the page.",
};

const CODES = {
  QuotaExceededError: "storage_full",
  VersionError: "storage_newer",
  SecurityError: "storage_denied",
  NotFoundError: "storage_corrupt",
  InvalidStateError: "storage_gone",
};

export const fail = (code, cause) => new StoreError(code, SENTENCES[code], cause);

/** Any error as one of ours. */
export function typed(error) {
  if (error instanceof StoreError || error instanceof KeyError) return error;
  const code = CODES[error?.name];
  if (code) return fail(code, error);
  return new StoreError("storage_failed", `This device's data can't be used (${error?.name ?? "aborted"}). Close the browser and open it again. ${ANEW}`, error);
}

const LOG_MS = 1000;

/**
 * Have Chromium begin a new log, before anything is written to the one that is there. It writes on behind what a kill left half
 * written, finds the log damaged at the start after that, and then deletes every database of the site (docs/adr/0027-torn-logs.md).
 * Deleting a database has it begin another log. Nothing depends on it: whoever opens the database next is told what is wrong.
 */
export async function beginLog(name) {
  const scrap = `${name}.log`;
  try {
    if (!("dataLoss" in IDBVersionChangeEvent.prototype)) return; // no browser of that kind
    const request = indexedDB.open(scrap);
    request.onupgradeneeded = tellLoss;
    await ended(request);
    await ended(indexedDB.deleteDatabase(scrap));
  } catch {
    // a browser that keeps no data: the database that is opened next says so
  }
}

/** A second at most: a tab that is frozen may have this very database open. */
const ended = (request) =>
  new Promise((done) => {
    request.onsuccess = () => {
      request.result?.close();
      done();
    };
    request.onerror = done;
    setTimeout(done, LOG_MS);
  });

/** Chromium says with the first database that is made after it why it deleted all of them. */
function tellLoss({ dataLoss, dataLossMessage }) {
  if (dataLoss === "total") console.error(`coterie: the browser has deleted this device's data: ${dataLossMessage}`);
}

const PATIENCE_MS = 3000; // another tab that makes room first ends the transaction it is in

/** Open (and create, or bring up to date) the database. Rejects with a StoreError. */
export function openDatabase(name, upgrades = UPGRADES, patience = PATIENCE_MS) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, upgrades.length);
    let refused = false;
    let blocked;
    request.onupgradeneeded = (event) => {
      tellLoss(event);
      upgrade(request, upgrades.slice(event.oldVersion));
    };
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
      else resolve(request.result);
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

/**
 * One transaction: run `work(transaction, done, stop)`; what `done` was given, once the transaction is complete.
 * Nothing else may be waited for inside: IndexedDB commits a transaction that nobody asks anything of.
 */
export function transact(db, stores, mode, work) {
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(stores, mode, { durability: "strict" });
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
  });
}

/** One row that is not encrypted; undefined when it is not there. */
export const rowOf = (db, table, key) =>
  transact(db, [table], "readonly", (transaction, done) => {
    const request = transaction.objectStore(table).get(key);
    request.onsuccess = () => done(request.result);
  });

/** All rows of a table as they lie there, `[key, value]` in the order of their keys. */
export const rowsOf = (db, table) =>
  transact(db, [table], "readonly", (transaction, done) => {
    const store = transaction.objectStore(table);
    const keys = store.getAllKeys();
    const values = store.getAll();
    values.onsuccess = () => done(keys.result.map((key, at) => [new Uint8Array(key), values.result[at]]));
  });
