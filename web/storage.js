// What the browser says of the storage that it gives this page.

/** Whether the browser promised not to clear this device's data; null where it does not say. */
export const storageKept = async (storage = navigator.storage) => (await storage?.persisted?.().catch(() => null)) ?? null;

/** Asks the browser not to clear it by itself. It may say no, or ask the person; the page works all the same. */
export const keepStorage = async (storage = navigator.storage) => (await storage?.persist?.().catch(() => null)) ?? null;

/**
 * A window whose storage ends with it, as far as one can know: Firefox and Safari give no file system there.
 * Chromium's private windows look like any other, on purpose.
 */
async function isPrivate(storage) {
  if (!storage?.getDirectory) return false;
  try {
    await storage.getDirectory();
    return false;
  } catch {
    return true;
  }
}

/** `{kept, private, usage, quota}`: `kept` as above, bytes or null. */
export async function lookAtStorage(storage = navigator.storage) {
  const { usage = null, quota = null } = (await storage?.estimate?.().catch(() => null)) ?? {};
  return { kept: await storageKept(storage), private: await isPrivate(storage), usage, quota };
}
