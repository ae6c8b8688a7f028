// The page's part of passkeys: the browser asks the person, and a worker can't. Options come from the service, and what the
// browser made goes back to it, both through the worker (`passkey_options`, `passkey_verify`, `sign_in_options`, `sign_in_verify`).

const GIVEN_UP = "Nothing was done: it was cancelled, or took too long.";

/** Why the browser refused (WebAuthn level 3, section 5.1), in words. */
const REASONS = {
  NotAllowedError: GIVEN_UP,
  AbortError: GIVEN_UP,
  InvalidStateError: "This device holds a passkey for Coterie already.",
  SecurityError: "The service makes passkeys for another address than this page's. Open Coterie under its own address.",
  NotSupportedError: "This device can't make a passkey of the kind that the service takes.",
  ConstraintError: "A passkey needs a screen lock or a PIN on this device. Set one up first.",
};

/** Whether this browser can do it at all. */
export const canPasskeys = () => Boolean(globalThis.PublicKeyCredential?.parseCreationOptionsFromJSON);

async function ask(ceremony, result = (found) => found.toJSON()) {
  try {
    return result(await ceremony());
  } catch (error) {
    throw new Error(REASONS[error.name] ?? "The browser could not use a passkey here.", { cause: error });
  }
}

/** Without the service's extensions: what they give (a secret, with `prf`) would go back to it. */
const plain = ({ extensions: _, ...options }) => options;

/** A new passkey can lock a device too, where the authenticator is able to; asked for is no more than that it will be. */
const able = (options) => ({ ...plain(options), extensions: { prf: {} } });

/** A new passkey. @param {object} options PublicKeyCredentialCreationOptionsJSON */
export const makePasskey = (options) =>
  ask(() => navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(able(options)) }));

/** Proof of one that the person has. @param {object} options PublicKeyCredentialRequestOptionsJSON */
export const usePasskey = (options) =>
  ask(() => navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(plain(options)) }));

const NO_SECRET = "This passkey can't lock a device: its authenticator gives no secret for that. Use a passphrase, or a newer passkey.";
const EVALUATED = new TextEncoder().encode("coterie/kek/v1");
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
const fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

/**
 * The secret that a passkey gives this page (WebAuthn Level 3, `prf`), for locking this device; the service has no part in it.
 * @param {string | null} credential hex: the passkey that is meant; null lets the user choose
 * @returns {Promise<{prf: string, credential: string}>} as hex
 */
export async function secretOf(credential) {
  const publicKey = {
    challenge: crypto.getRandomValues(new Uint8Array(32)), // nobody checks the signature: what counts is the secret
    userVerification: "required",
    allowCredentials: credential ? [{ type: "public-key", id: fromHex(credential) }] : [],
    extensions: { prf: { eval: { first: EVALUATED } } },
  };
  const found = await ask(() => navigator.credentials.get({ publicKey }), (given) => given);
  const secret = found.getClientExtensionResults().prf?.results?.first;
  if (!secret) throw new Error(NO_SECRET);
  return { prf: hex(secret), credential: hex(found.rawId) };
}
