// Keys at rest, as docs/protocol.md has them: what comes of the master key, and how a passphrase guards a secret.
// Python's twin is coterie/core/keys.py; tests/vectors/kdf.json holds both to the same bytes.

const INFO = "coterie/keys/v1/";
const KEY_SIZE = 32;
const SALT_SIZE = 16;
const NONCE_SIZE = 12;
const HEADER_SIZE = 1 + 4 + 1 + 1 + SALT_SIZE;
const VERSION = 1;
const [SHORTEST, LONGEST] = [8, 1024]; // characters of a passphrase

/** Argon2id's costs, least and most: the least are used, more is refused before anything is computed. */
const MEMORY_KIB = [64 * 1024, 1024 * 1024];
const PASSES = [3, 10];
const LANES = [4, 16];

const { subtle } = crypto;
const text = new TextEncoder();

/** An error whose `name` is the code and whose message is the sentence. */
export class KeyError extends Error {
  constructor(code, sentence) {
    super(sentence);
    this.name = code;
  }
}

const damaged = () => new KeyError("bad_wrapping", "This was sealed by a newer version of Coterie, or it is damaged.");

export const random = (size) => crypto.getRandomValues(new Uint8Array(size));

/** One Uint8Array of several; strings are UTF-8. */
export function join(...parts) {
  const all = parts.map((part) => (typeof part === "string" ? text.encode(part) : part));
  const whole = new Uint8Array(all.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of all) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** 32 bytes as a key from which others come. */
export const base = (secret) => subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]);

const hkdf = (label, salt) => ({ name: "HKDF", hash: "SHA-256", salt, info: text.encode(INFO + label) });

/** An AES-256-GCM key for `label`: HKDF-SHA256 of what `base` gave. `extractable` is for tests. */
export const derive = (from, label, salt = new Uint8Array(), extractable = false) =>
  subtle.deriveKey(hkdf(label, salt), from, { name: "AES-GCM", length: 256 }, extractable, ["encrypt", "decrypt"]);

/** 32 bytes as an AES-256-GCM key. */
export const aes = (secret) => subtle.importKey("raw", secret, "AES-GCM", false, ["encrypt", "decrypt"]);

/** AES-256-GCM, the nonce first. */
export async function seal(key, plaintext, associatedData) {
  const sealed = new Uint8Array(NONCE_SIZE + plaintext.length + 16);
  const iv = crypto.getRandomValues(sealed.subarray(0, NONCE_SIZE));
  sealed.set(new Uint8Array(await subtle.encrypt({ name: "AES-GCM", iv, additionalData: associatedData }, key, plaintext)), NONCE_SIZE);
  return sealed;
}

/** The opposite of `seal`; null when it does not open. */
export async function open(key, sealed, associatedData) {
  const algorithm = { name: "AES-GCM", iv: sealed.subarray(0, NONCE_SIZE), additionalData: associatedData };
  try {
    return new Uint8Array(await subtle.decrypt(algorithm, key, sealed.subarray(NONCE_SIZE)));
  } catch {
    return null;
  }
}

/** Throws `bad_passphrase` for one that is too short or too long to be set. */
export function checkPassphrase(passphrase) {
  if (passphrase.length < SHORTEST || passphrase.length > LONGEST) {
    throw new KeyError("bad_passphrase", `A passphrase has ${SHORTEST} to ${LONGEST} characters.`);
  }
}

function encode({ memoryKib, passes, lanes, salt }) {
  const header = new Uint8Array(HEADER_SIZE);
  const view = new DataView(header.buffer);
  view.setUint8(0, VERSION);
  view.setUint32(1, memoryKib);
  view.setUint8(5, passes);
  view.setUint8(6, lanes);
  header.set(salt, 7);
  return header;
}

/** Argon2id's parameters. Throws `bad_wrapping`, `kdf_refused`. */
export function parse(header) {
  if (header.length !== HEADER_SIZE || header[0] !== VERSION) throw damaged();
  const view = new DataView(header.buffer, header.byteOffset);
  const parameters = { memoryKib: view.getUint32(1), passes: header[5], lanes: header[6], salt: header.slice(7) };
  const within = (value, [least, most]) => value >= least && value <= most;
  const { memoryKib, passes, lanes } = parameters;
  if (!within(memoryKib, MEMORY_KIB) || !within(passes, PASSES) || !within(lanes, LANES)) {
    throw new KeyError("kdf_refused", "This asks for a computation that Coterie never asks for, so it was not begun.");
  }
  return parameters;
}

/** The key of a passphrase, in NFC. @param {typeof import("./stretching.js").stretch} stretch */
export const keyOf = (stretch, passphrase, { salt, memoryKib, passes, lanes }) =>
  stretch(text.encode(passphrase.normalize("NFC")), salt, memoryKib, passes, lanes);

/** `secret` under a passphrase: header ‖ sealed, with purpose ‖ header as associated data. */
export async function wrap(stretch, passphrase, secret, purpose) {
  const parameters = { memoryKib: MEMORY_KIB[0], passes: PASSES[0], lanes: LANES[0], salt: random(SALT_SIZE) };
  const header = encode(parameters);
  const key = await aes(await keyOf(stretch, passphrase, parameters));
  return join(header, await seal(key, secret, join(purpose, header)));
}

/** The opposite of `wrap`. Throws `bad_wrapping` and `kdf_refused` before anything is computed, then `wrong_passphrase`. */
export async function unwrap(stretch, passphrase, wrapped, purpose) {
  if (wrapped.length < HEADER_SIZE + NONCE_SIZE + 16) throw damaged();
  const header = wrapped.slice(0, HEADER_SIZE);
  const key = await aes(await keyOf(stretch, passphrase, parse(header)));
  const secret = await open(key, wrapped.subarray(HEADER_SIZE), join(purpose, header));
  if (!secret) throw new KeyError("wrong_passphrase", "This is not the passphrase.");
  return secret;
}

export { KEY_SIZE };
