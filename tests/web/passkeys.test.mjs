import assert from "node:assert/strict";
import { test } from "node:test";

import { makePasskey, usePasskey } from "../../web/passkeys.js";

test("the service gets nothing of a passkey's extensions: with prf it could ask for a secret", async () => {
  const asked = [];
  const answer = ({ publicKey }) => (asked.push(publicKey), { toJSON: () => ({}) });
  const same = (options) => options;
  globalThis.PublicKeyCredential = { parseCreationOptionsFromJSON: same, parseRequestOptionsFromJSON: same };
  Object.defineProperty(globalThis, "navigator", { value: { credentials: { create: answer, get: answer } }, configurable: true });
  const options = { challenge: "AA", extensions: { prf: { eval: { first: "AA" } } } };
  await makePasskey(options);
  await usePasskey(options);
  assert.deepEqual(asked, [{ challenge: "AA", extensions: { prf: {} } }, { challenge: "AA" }]);
});
