// Layouts of the database, earlier and later ones, and what becomes of them. Each case throws when it fails.
import { openDatabase, transact } from "/database.js";
import { openStore, UPGRADES } from "/store.js";

const ENCRYPTED = 4; // the first layout with keys

const NEXT = (db) => {
  db.createObjectStore("extra").put(new Uint8Array([7]), new Uint8Array([7]));
};
const bytes = (text) => new TextEncoder().encode(text);

function assert(condition, message) {
  if (!condition) throw new Error(message);
}

async function refused(promise, code) {
  const error = await promise.then(
    () => ({ name: "nothing" }),
    (found) => found,
  );
  assert(error.name === code, `expected ${code}, got ${error.name}: ${error.message}`);
}

/** The database as it is: version, stores, and the rows of `mls`. */
async function look(name) {
  const db = await new Promise((resolve, reject) => {
    const request = indexedDB.open(name);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const stores = [...db.objectStoreNames];
  const rows = await new Promise((resolve) => {
    if (!stores.includes("mls")) return resolve(0);
    db.transaction("mls").objectStore("mls").count().onsuccess = ({ target }) => resolve(target.result);
  });
  const { version } = db;
  db.close();
  return { version, stores, rows };
}

/** Leave the database as a Coterie that knew `version` layouts would have. */
async function leave(name, version) {
  if (version === 0) return;
  if (version >= ENCRYPTED) {
    const store = await openStore(name, UPGRADES.slice(0, version));
    await store.commit([["mls", bytes("a"), bytes("from before")]]);
    return store.close();
  }
  const db = await openDatabase(name, UPGRADES.slice(0, version));
  await transact(db, ["mls"], "readwrite", (transaction) => transaction.objectStore("mls").put(bytes("from before"), bytes("a")));
  db.close();
}

export const versions = UPGRADES.length;

export async function layout(name) {
  await (await openStore(name)).close();
  return (await look(name)).stores;
}

/** From every earlier version to one more than there is. */
export async function brings_up(version) {
  const name = `up-${version}`;
  await leave(name, version);
  const store = await openStore(name, [...UPGRADES, NEXT]);
  const { bytes: found } = await store.load("mls");
  await store.close();
  const text = new TextDecoder().decode(found);
  assert(text.includes("from before") === version > 0, `rows of version ${version} are gone: ${text}`);
  const now = await look(name);
  assert(now.version === UPGRADES.length + 1 && now.stores.includes("extra"), JSON.stringify(now));
}

/** A step that throws after it has changed things: all of it is taken back, and the good step works afterwards. */
export async function half_done(version) {
  const name = `half-${version}`;
  await leave(name, version);
  const steps = [...UPGRADES, NEXT];
  const before = version ? await look(name) : { stores: [] };
  const broken = (db, transaction) => {
    steps[version](db, transaction);
    throw new Error("put in by the test");
  };
  await refused(openStore(name, [...steps.slice(0, version), broken]), "storage_failed");
  const databases = (await indexedDB.databases()).filter((found) => found.name === name);
  if (version === 0) assert(databases.length === 0, "a half-made database was left behind");
  else assert(JSON.stringify(await look(name)) === JSON.stringify(before), JSON.stringify(await look(name)));
  await (await openStore(name, steps)).close();
  const after = await look(name);
  assert(after.version === steps.length && after.rows === (version ? 1 : 0), JSON.stringify(after));
}

export async function newer() {
  await (await openStore("newer", [...UPGRADES, NEXT])).close();
  const before = await look("newer");
  await refused(openStore("newer"), "storage_newer");
  assert(JSON.stringify(await look("newer")) === JSON.stringify(before), "it was touched");
}

/** An open page of the earlier version makes room for the newer one, and is told. */
export async function makes_room() {
  const earlier = await openStore("room");
  await earlier.commit([["mls", bytes("a"), bytes("1")]]);
  const later = await openStore("room", [...UPGRADES, NEXT]);
  await refused(earlier.commit([["mls", bytes("a"), bytes("2")]]), "storage_gone");
  await later.close();
}

/** Somebody who does not make room. */
export async function blocked() {
  const stubborn = await new Promise((resolve) => {
    const request = indexedDB.open("blocked", 1);
    request.onupgradeneeded = () => UPGRADES[0](request.result);
    request.onsuccess = () => resolve(request.result);
  });
  await refused(openStore("blocked", [...UPGRADES, NEXT], 100), "storage_in_use");
  stubborn.close();
  await (await openStore("blocked", [...UPGRADES, NEXT])).close();
}

/** Begin to bring version 1 to 2 and never end: keeps the transaction alive until the browser dies. */
export async function never_ends() {
  await leave("killed", 1);
  const spin = (db, transaction) => {
    db.createObjectStore("extra");
    const again = () => (transaction.objectStore("mls").put(bytes("half"), bytes("b")).onsuccess = again);
    again();
  };
  openStore("killed", [...UPGRADES, spin]).catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 50)); // thousands of puts; the test only needs one
}

export async function after_the_kill() {
  const found = await look("killed");
  assert(found.version === 1 && found.rows === 1 && !found.stores.includes("extra"), JSON.stringify(found));
  await brings_up_existing();
}

async function brings_up_existing() {
  const store = await openStore("killed", [...UPGRADES, NEXT]);
  await store.close();
  const now = await look("killed");
  assert(now.version === UPGRADES.length + 1 && now.rows === 1, JSON.stringify(now));
}
