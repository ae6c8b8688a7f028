// Argon2id for one passphrase. A worker of its own, because it takes 64 MiB and a moment: both end with it.
import "./vendor/argon2.mjs";

self.addEventListener("message", async ({ data: { secret, salt, memoryKib, passes, lanes } }) => {
  try {
    const tag = await globalThis.hashwasm.argon2id({
      password: secret,
      salt,
      memorySize: memoryKib,
      iterations: passes,
      parallelism: lanes,
      hashLength: 32,
      outputType: "binary",
    });
    self.postMessage({ tag });
  } catch (error) {
    self.postMessage({ failed: error.name }); // its message may hold the passphrase
  }
});
