// Encryption at rest in the worker, where files can be overwritten in place. Each case throws when it fails.
import { openDatabase, rowOf, rowsOf, transact, UPGRADES } from "/database.js";
import { lockState, openStore, unlock } from "/store.js";

const bytes = (text) => new TextEncoder().encode(text);
const text = (data) => new TextDecoder().decode(data);

function assert(condition, message) {
  if (!condition) throw new Error(message);
}

async function refused(promise, code) {
  const error = await promise.then(() => ({ name: "nothing" }), (found) => found);
  assert(error.name === code, `expected ${code}, got ${error.name}: ${error.message}`);
}

async function raw(name, work) {
  const db = await openDatabase(name);
  try {
    return await work(db);
  } finally {
    db.close();
  }
}

const lies = (name, table) => raw(name, (db) => rowsOf(db, table));
const record = (name) => raw(name, (db) => rowOf(db, "keys", "ring"));
const put = (name, table, key, value) =>
  raw(name, (db) => transact(db, [table], "readwrite", (transaction) => transaction.objectStore(table).put(value, key)));

async function seeds(name) {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(`${name}.seeds`);
  const found = [];
  for await (const [place, file] of folder.entries()) found.push([place, new Uint8Array(await (await file.getFile()).arrayBuffer())]);
  return found;
}

async function filled(name) {
  const store = await openStore(name);
  await store.commit([["mls", bytes("a"), bytes("a ratchet")], ["groups", bytes("g"), bytes("a group")], ["groups", bytes("h"), bytes("a group")]]);
  return store;
}

const read = async (store, table) => text((await store.load(table)).bytes);

/** While `work` runs, a method of a prototype is another one, which gets the original first. */
async function instead(prototype, name, other, work) {
  const original = prototype[name];
  prototype[name] = function (...given) {
    return other.call(this, original, ...given);
  };
  try {
    return await work();
  } finally {
    prototype[name] = original;
  }
}

const noSpace = () => Promise.reject(new DOMException("no space", "QuotaExceededError"));

/** No value lies there in clear, and none can be put in another's place or altered. */
export async function rows_are_bound() {
  await (await filled("bound")).close();
  const [[, one], [, other]] = await lies("bound", "groups");
  assert(!text(one).includes("group") && text(one) !== text(other), "two equal values look alike, or are in clear");
  await put("bound", "groups", bytes("g"), other);
  let store = await openStore("bound");
  await refused(store.load("groups"), "storage_corrupt");
  assert((await read(store, "mls")) === "aa ratchet", "other tables can't be read any more");
  await store.close();
  const altered = one.slice();
  altered[20] ^= 1;
  await put("bound", "groups", bytes("g"), altered);
  store = await openStore("bound");
  await refused(store.load("groups"), "storage_corrupt");
  await put("bound", "groups", bytes("g"), one);
  assert((await read(store, "groups")) === "ga groupha group", "what was put back does not read");
  await store.close();
}

/** A database of an earlier version is encrypted when it is opened, all of it or nothing. */
export async function plain_is_encrypted() {
  const db = await openDatabase("earlier", UPGRADES.slice(0, 3));
  await transact(db, ["mls", "groups"], "readwrite", (transaction) => {
    transaction.objectStore("mls").put(bytes("a ratchet"), bytes("a"));
    transaction.objectStore("groups").put(bytes("a group"), bytes("g"));
  });
  db.close();
  const store = await openStore("earlier");
  assert((await read(store, "mls")) === "aa ratchet" && (await read(store, "groups")) === "ga group", "it does not read");
  await store.close();
  for (const table of ["mls", "groups"]) assert(!/ratchet|group/.test(text((await lies("earlier", table))[0][1])), `${table} is in clear`);
}

/** Keys that changed end what lay there before: the old row, put back, opens no more, and its seed is overwritten. */
export async function renewed_keys_end_the_old() {
  const store = await filled("renewed");
  const [[key, old]] = await lies("renewed", "mls");
  const [before, was] = [await record("renewed"), await seeds("renewed")];
  assert(was.find(([place]) => place === before.place)[1].some(Boolean), "the seed is not in its place");
  await store.keep("passphrase", {}, { passphrase: "a passphrase" });
  assert((await read(store, "mls")) === "aa ratchet", "the row does not read under the new keys");
  const after = await seeds("renewed");
  assert(!after.some(([place]) => place === before.place), "the old seed is still there");
  assert(after.filter(([, seed]) => seed.some(Boolean)).length === 1, "more than one seed");
  await put("renewed", "mls", key, old);
  await refused(store.load("mls"), "storage_corrupt");
  await put("renewed", "groups", bytes("x"), old);
  await refused(store.load("groups"), "storage_corrupt");
  await store.close();
}

const MINUTES = 60_000;

/** The first MLS rows that are written after ten minutes renew the keys, once. The clock is the test's. */
export async function renewed_by_the_clock() {
  const machine = Date.now;
  let now = machine();
  Date.now = () => now;
  try {
    const store = await filled("clock");
    const [before, [[key, old]]] = [await record("clock"), await lies("clock", "mls")];
    const version = () => raw("clock", (db) => rowOf(db, "writer", "version")); // one more with each commit, and each renewal
    const renewals = async (...rows) => {
      const was = await version();
      await Promise.all(rows.map((row) => store.commit([row])));
      await store.load("mls"); // behind what the commits gave rise to
      return (await version()) - was - rows.length;
    };
    const expect = async (count, when, ...rows) => {
      const found = await renewals(...rows);
      assert(found === count, `${when}: ${found} renewals, not ${count}`);
    };
    const [ratchet, other, group] = [["mls", bytes("r"), bytes("1")], ["mls", bytes("s"), bytes("1")], ["groups", bytes("g"), bytes("1")]];

    now += 10 * MINUTES;
    await expect(0, "after ten minutes, not more", ratchet);
    now += 1;
    await expect(0, "without an MLS row", group);
    await expect(1, "after more than ten minutes, two at once", ratchet, other);
    const after = await record("clock");
    assert(after.renewed === now && after.place !== before.place, "the record is not that of new keys");
    await gone("clock", before.place);
    await spare("clock", after.place);
    assert((await read(store, "mls")) === "aa ratchetr1s1", "the rows do not read under the new keys");
    now += 10 * MINUTES;
    await expect(0, "ten minutes after the renewal", ratchet);
    now -= 60 * MINUTES;
    await expect(1, "with a clock that was set back", ratchet);
    now += 1;
    await expect(0, "just after that", ratchet);
    await put("clock", "mls", key, old);
    await refused(store.load("mls"), "storage_corrupt");
    await store.close();
  } finally {
    Date.now = machine;
  }
}

/** A database that was opened a moment ago waits with its renewal until the name of the next seed's file is flushed. */
export async function renewed_with_a_file_that_was_there() {
  const machine = Date.now;
  let now = machine();
  Date.now = () => now;
  try {
    await (await filled("ripe")).close();
    now += 60 * MINUTES;
    const store = await openStore("ripe");
    const { place } = await record("ripe");
    const commit = async () => {
      await store.commit([["mls", bytes("r"), bytes("1")]]);
      await store.load("mls");
      return (await record("ripe")).place === place;
    };
    assert(await commit(), "it was renewed with a file that had just been made");
    now += MINUTES;
    assert(!(await commit()), "it was not renewed a minute later");
    await store.close();
  } finally {
    Date.now = machine;
  }
}

/** Until the seed in a place is overwritten and its file removed, which follows the transaction. */
async function gone(name, place) {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(`${name}.seeds`);
  for (let round = 0; round < 1000; round += 1) {
    const there = await folder.getFileHandle(place).then(() => true, () => false);
    if (!there) return;
  }
  throw new Error("the seed before is still there");
}

/** The next seed's file is there: with it a renewal is over. */
async function spare(name, place) {
  for (let round = 0; round < 1000; round += 1) {
    const found = await seeds(name);
    if (found.some(([other, seed]) => other !== place && seed.length === 32)) return;
  }
  throw new Error("there is no file for the next seed");
}

/** Locked, it opens for nobody; a wrong passphrase changes nothing. */
export async function locked() {
  let store = await filled("locked");
  await refused(store.lock(), "not_locked");
  await refused(store.keep("passphrase", {}, { passphrase: "short" }), "bad_passphrase");
  await store.keep("passphrase", {}, { passphrase: "a passphrase" });
  await store.lock();
  await refused(store.load("mls"), "storage_locked");
  assert((await lockState("locked")).way === "passphrase", "it does not say how it is locked");
  const before = JSON.stringify(await lies("locked", "mls"));
  await refused(openStore("locked"), "locked_passphrase");
  await refused(unlock({ passphrase: "another one" }, "locked"), "wrong_passphrase");
  await refused(openStore("locked"), "locked_passphrase");
  assert(JSON.stringify(await lies("locked", "mls")) === before, "something was changed");
  await unlock({ passphrase: "a passphrase" }, "locked");
  store = await openStore("locked");
  assert((await read(store, "mls")) === "aa ratchet", "it does not read");
  await refused(store.keep("device", { passphrase: "another one" }, {}), "wrong_passphrase");
  await store.keep("device", { passphrase: "a passphrase" }, {});
  await store.close();
  await (await openStore("locked")).close();
}

const other = new BroadcastChannel("coterie-unlocked"); // another tab's worker

/** What this worker has told the others, when it has told all of it. */
async function told(work) {
  const heard = [];
  const listen = new BroadcastChannel("coterie-unlocked");
  listen.addEventListener("message", ({ data }) => heard.push(data));
  await work();
  const done = new Promise((resolve) => listen.addEventListener("message", ({ data }) => data.name === "end" && resolve()));
  const asker = new BroadcastChannel("coterie-unlocked");
  asker.postMessage({ name: "end" });
  await done;
  for (const one of [listen, asker]) one.close();
  return heard.filter(({ name }) => name !== "end");
}

/** Keys of a database that was locked, or made anew, open nothing, whoever tells them late. */
export async function keys_of_before() {
  let store = await filled("late");
  const [{ id, master }] = (await told(() => store.keep("passphrase", {}, { passphrase: "a passphrase" }))).filter((one) => one.master);
  assert((await record("late")).id === id, "the key is not told with its record");
  await store.lock();
  await told(() => other.postMessage({ name: "late", id, master }));
  await refused(openStore("late"), "locked_passphrase");
  await unlock({ passphrase: "a passphrase" }, "late");
  await (await openStore("late")).close();
  await new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase("late");
    request.onsuccess = resolve;
    request.onerror = reject;
  });
  store = await filled("late");
  await store.close();
  store = await openStore("late");
  assert((await read(store, "mls")) === "aa ratchet", "a new database was opened with the key of the one before");
  await store.close();
}

/** Locking ends the keys of all tabs, also where files can't be written. */
export async function locked_without_files() {
  const store = await filled("files");
  await store.keep("passphrase", {}, { passphrase: "a passphrase" });
  await instead(FileSystemFileHandle.prototype, "createSyncAccessHandle", noSpace, async () => {
    const said = await told(() => refused(store.lock(), "storage_full"));
    assert(said.some(({ master }) => !master), "the other tabs keep the key");
    await refused(store.load("mls"), "storage_locked");
  });
  await refused(openStore("files"), "locked_passphrase");
}

/** A lock that was changed holds, and is known in all tabs, though the seed before could not be done away with. */
export async function a_lock_with_a_seed_left() {
  const store = await filled("left");
  const inUse = () => Promise.reject(new DOMException("in use", "NoModificationAllowedError"));
  await instead(FileSystemDirectoryHandle.prototype, "removeEntry", inUse, async () => {
    const said = await told(() => store.keep("passphrase", {}, { passphrase: "a passphrase" }));
    assert(said.some(({ master }) => master), "the other tabs don't have the key");
  });
  await store.lock();
  await refused(openStore("left"), "locked_passphrase");
  await unlock({ passphrase: "a passphrase" }, "left");
  await (await openStore("left")).close();
  assert((await seeds("left")).filter(([, seed]) => seed.some(Boolean)).length === 1, "a seed was left at the next start");
}

/** A seed from before the lock is overwritten when the device starts, though nobody has unlocked it. */
export async function a_seed_left_is_ended_while_locked() {
  const store = await filled("ended");
  const { place } = await record("ended");
  await instead(
    FileSystemFileHandle.prototype,
    "createSyncAccessHandle",
    function (open) {
      return this.name === place ? noSpace() : open.call(this);
    },
    () => store.keep("passphrase", {}, { passphrase: "a passphrase" }),
  );
  await store.lock();
  assert((await seeds("ended")).some(([name, seed]) => name === place && seed.some(Boolean)), "nothing was left");
  await refused(openStore("ended"), "locked_passphrase");
  assert((await seeds("ended")).filter(([, seed]) => seed.some(Boolean)).length === 1, "the seed from before the lock is still there");
}

/** Who was given up in the middle of its start wakes, and does not overwrite the seed of the one that goes on. */
export async function woken_in_its_start() {
  let store = await filled("woken");
  await store.keep("passphrase", {}, { passphrase: "a passphrase" });
  await store.close();
  let frozen = true;
  await instead(
    File.prototype,
    "arrayBuffer",
    async function (read) {
      const seed = await read.call(this);
      if (frozen) {
        frozen = false;
        store = await openStore("woken");
        await store.keep("passphrase", { passphrase: "a passphrase" }, { passphrase: "another passphrase" });
      }
      return seed;
    },
    async () => (await openStore("woken")).close(),
  );
  assert(!frozen, "nobody was frozen");
  await store.close();
  store = await openStore("woken");
  assert((await read(store, "mls")) === "aa ratchet", "it does not read");
  await store.close();
}

/** Of two changes of the keys that are asked for at once, each ends the keys that it replaces. */
export async function changed_twice_at_once() {
  const store = await filled("twice");
  await Promise.all([store.keep("passphrase", {}, { passphrase: "a passphrase" }), store.clear()]);
  assert((await seeds("twice")).filter(([, seed]) => seed.some(Boolean)).length === 1, "a seed in between was left");
  await store.close();
}

/** A disk without room for one more file keeps nobody from what is there. */
export async function opened_on_a_full_disk() {
  await (await filled("full")).close();
  await instead(FileSystemFileHandle.prototype, "createSyncAccessHandle", noSpace, async () => {
    const store = await openStore("full");
    assert((await read(store, "mls")) === "aa ratchet", "it does not read");
    await store.close();
  });
}

/** A key that is gone is said, and nothing is deleted or made anew. */
export async function lost_key() {
  await (await filled("lost")).close();
  const kept = await record("lost");
  const before = JSON.stringify(await lies("lost", "mls"));
  await (await navigator.storage.getDirectory()).removeEntry("lost.seeds", { recursive: true });
  await refused(openStore("lost"), "key_lost");
  await put("lost", "keys", "ring", { ...kept, v: 2 });
  await refused(openStore("lost"), "storage_newer");
  assert(JSON.stringify(await lies("lost", "mls")) === before, "something was changed");
}

/** Signing out ends everything that may be left of the rows. */
export async function cleared() {
  const store = await filled("cleared");
  await store.keep("passphrase", {}, { passphrase: "a passphrase" });
  const [[key, old]] = await lies("cleared", "groups");
  await store.clear();
  assert((await lockState("cleared")).way === "device", "the next one would be asked for a passphrase");
  await put("cleared", "groups", key, old);
  await refused(store.load("groups"), "storage_corrupt");
  await store.close();
}
