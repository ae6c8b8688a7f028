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

async function ask(ceremony) {
  try {
    return (await ceremony()).toJSON();
  } catch (error) {
    throw new Error(REASONS[error.name] ?? "The browser could not use a passkey here.", { cause: error });
  }
}

/** Without extensions: what they give (a secret, with `prf`) would go back to the service, which chose the options. */
const plain = ({ extensions: _, ...options }) => options;

/** A new passkey. @param {object} options PublicKeyCredentialCreationOptionsJSON */
export const makePasskey = (options) =>
  ask(() => navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(plain(options)) }));

/** Proof of one that the person has. @param {object} options PublicKeyCredentialRequestOptionsJSON */
export const usePasskey = (options) =>
  ask(() => navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(plain(options)) }));
