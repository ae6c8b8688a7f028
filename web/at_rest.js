// What encrypts this device's rows in the browser (docs/adr/0020-at-rest.md): the ring of keys of one database.
//
// The master key is wrapped: by a key of this browser that scripts can't read, by a passphrase, or by a passkey. Around that
// wrap is a second one, under a key that comes of the *seed*: 32 bytes that are overwritten in place (web/seeds.js). Rows of
// the table `mls` are under a key that comes of master key and seed, all others under one of the master key alone. A new
// seed ends every earlier wrap and every earlier MLS row, whatever IndexedDB still keeps of them.
import { fail } from "./database.js";
import { KEY_SIZE, KeyError, base, checkPassphrase, derive, join, open, random, seal, unwrap, wrap } from "./keys.js";
import { stretch } from "./stretching.js";

const VERSION = 1;
const PURPOSE = "coterie master key v1";
const MLS = "mls";
const ZERO = new Uint8Array([0]);

const LOCKED = {
  passphrase: ["locked_passphrase", "This device is locked with a passphrase."],
  passkey: ["locked_passkey", "This device is locked with a passkey."],
};

/** A key that this browser uses for us and shows to no script. */
const browserKey = () => crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);

const passkeyKey = async ({ prf }, salt) => derive(await base(prf), "wrapping-context", salt);

/** The master key wrapped: the fields of the record that say how, and the wrap itself. */
async function wrapMaster(way, master, credentials) {
  if (way === "passphrase") {
    checkPassphrase(credentials.passphrase);
    return [{ way }, await wrap(stretch, credentials.passphrase, master, PURPOSE)];
  }
  const salt = random(KEY_SIZE);
  const key = way === "device" ? await browserKey() : await passkeyKey(credentials, salt);
  const fields = way === "device" ? { way, key } : { way, salt, credential: credentials.credential };
  return [fields, await seal(key, master, join(PURPOSE, way))];
}

/** The opposite. Throws `wrong_passphrase`, `wrong_passkey`, `key_lost`. */
async function unwrapMaster(record, wrapped, credentials) {
  if (record.way === "passphrase") return unwrap(stretch, credentials.passphrase ?? "", wrapped, PURPOSE);
  const key = record.way === "device" ? record.key : credentials.prf && (await passkeyKey(credentials, record.salt));
  const master = key && (await open(key, wrapped, join(PURPOSE, record.way)));
  if (master) return master;
  if (record.way === "device") throw fail("key_lost");
  throw new KeyError("wrong_passkey", "This passkey does not unlock this device: use the one that it was locked with.");
}

const seedKey = async (seed) => derive(await base(seed), "wrapping-context");

/** A seed in a place of its own, or, where there are no such places, in the record itself. */
async function newSeed(seeds) {
  const seed = random(KEY_SIZE);
  return [seeds ? { place: await seeds.write(seed) } : { seed }, seed];
}

/** What is wrapped in a record under its seed. Throws `key_lost`. */
async function opened(record, seeds) {
  if (record.v !== VERSION) throw fail("storage_newer");
  const seed = record.seed ?? (seeds && (await seeds.read(record.place)));
  const wrapped = seed && (await open(await seedKey(seed), record.wrapped, join("ring")));
  if (!wrapped) throw fail("key_lost");
  return [seed, wrapped];
}

/** Whether a record can be opened without anybody; else what it takes, for the page. */
export const wayOf = ({ way, salt = null, credential = null }) => ({ way, salt, credential });

/** What opens a record's rows, with what the user gives. Throws `wrong_passphrase`, `wrong_passkey`, `key_lost`. */
export async function masterOf(record, seeds, credentials) {
  const [, wrapped] = await opened(record, seeds);
  const master = await unwrapMaster(record, wrapped, credentials);
  const key = await base(master);
  master.fill(0);
  return key;
}

export class Ring {
  #seeds;
  #master; // from which the others come; scripts can't read it
  #wrapped;
  #rows;
  #mls;

  /** @param {object} record what is stored; @param {CryptoKey} master what `masterOf` gave */
  constructor(record, seeds, master) {
    this.record = record;
    this.#seeds = seeds;
    this.#master = master;
  }

  async #ready(seed, wrapped) {
    this.#wrapped = wrapped;
    this.#rows = await derive(this.#master, "encryption-context");
    this.#mls = await derive(this.#master, "mls-context", seed);
    return this;
  }

  /** Scripts can't read it; another tab's worker can use it. */
  get master() {
    return this.#master;
  }

  /** A new master key that nothing locks. */
  static async create(seeds) {
    const master = random(KEY_SIZE);
    const [fields, wrapped] = await wrapMaster("device", master, {});
    const ring = await Ring.#make({ id: crypto.randomUUID(), ...fields }, wrapped, seeds, await base(master));
    master.fill(0);
    return ring;
  }

  static async #make(fields, wrapped, seeds, master) {
    const [kept, seed] = await newSeed(seeds);
    const sealed = await seal(await seedKey(seed), wrapped, join("ring"));
    const record = { v: VERSION, ...fields, ...kept, wrapped: sealed, renewed: Date.now() };
    return new Ring(record, seeds, master).#ready(seed, wrapped);
  }

  /**
   * The ring of a stored record. What was `left` beside its seed is overwritten, also where it is locked: with an earlier seed an
   * earlier wrap opens. Throws `locked_…` while it takes somebody, `key_lost`.
   */
  static async open(record, seeds, master, left) {
    const [seed, wrapped] = await opened(record, seeds);
    await seeds?.sweep(left, record.place);
    if (!master && record.way !== "device") throw new KeyError(...LOCKED[record.way]);
    return new Ring(record, seeds, master ?? (await masterOf(record, seeds, {}))).#ready(seed, wrapped);
  }

  /** The same keys under a new seed; with another `id`, other tabs know them no longer. Nothing is saved yet. */
  renewed(id = this.record.id) {
    const { key, salt, credential, way } = this.record;
    const fields = { id, way, ...(key && { key }), ...(salt && { salt, credential }) };
    return Ring.#make(fields, this.#wrapped, this.#seeds, this.#master);
  }

  /** The same master key, locked in another way, under a new seed. Throws as `masterOf`, and `bad_passphrase`. */
  async locked(way, current, next) {
    const master = await unwrapMaster(this.record, this.#wrapped, current);
    const [fields, wrapped] = await wrapMaster(way, master, next);
    master.fill(0);
    return Ring.#make({ id: this.record.id, ...fields }, wrapped, this.#seeds, this.#master);
  }

  /** Overwrite a seed, once nothing that is stored needs it. */
  async retire() {
    if (this.record.place) await this.#seeds.retire(this.record.place);
  }

  /** A value as it is stored: bound to its table and key. */
  seal = (table, key, value) => seal(table === MLS ? this.#mls : this.#rows, value, join(table, ZERO, key));

  /** The opposite. Throws `storage_corrupt`. */
  unseal = async (table, key, value) => {
    const found = await open(table === MLS ? this.#mls : this.#rows, value, join(table, ZERO, key));
    if (!found) throw fail("storage_corrupt");
    return found;
  };
}
