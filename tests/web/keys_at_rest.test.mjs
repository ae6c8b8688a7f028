// Keys at rest against the vectors that Python's twin is held to (tests/vectors/test_kdf_vectors.py).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as keys from "../../web/keys.js";
import "../../web/vendor/argon2.mjs";

const VECTORS = JSON.parse(readFileSync(new URL("../vectors/kdf.json", import.meta.url)));
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const hex = (data) => Buffer.from(data).toString("hex");

/** As web/stretch_worker.js does it, without the worker. */
const stretch = (password, salt, memorySize, iterations, parallelism) =>
  globalThis.hashwasm.argon2id({ password, salt, memorySize, iterations, parallelism, hashLength: 32, outputType: "binary" });
const never = () => assert.fail("something was computed");

for (const [number, vector] of VECTORS.entries()) {
  test(`vector ${number}: the keys of the master key`, async () => {
    const master = await keys.base(bytes(vector.master));
    for (const [label, expected] of Object.entries(vector.derived)) {
      const key = await keys.derive(master, label, undefined, true);
      assert.equal(hex(await crypto.subtle.exportKey("raw", key)), expected, label);
    }
  });

  test(`vector ${number}: the key of the passphrase, and what is wrapped under it`, async () => {
    const parameters = keys.parse(bytes(vector.header));
    assert.equal(hex(await keys.keyOf(stretch, vector.passphrase, parameters)), vector.key);
    const open = (passphrase, purpose) => keys.unwrap(stretch, passphrase, bytes(vector.wrapped), purpose);
    assert.equal(hex(await open(vector.passphrase, vector.purpose)), vector.master);
    await assert.rejects(open(`${vector.passphrase} `, vector.purpose), { name: "wrong_passphrase" });
    await assert.rejects(open(vector.passphrase, "else"), { name: "wrong_passphrase" });
  });
}

test("what is wrapped here opens here, and not when a byte of it is another", async () => {
  const wrapped = await keys.wrap(stretch, "a passphrase", bytes("0102"), "test");
  assert.equal(hex(await keys.unwrap(stretch, "a passphrase", wrapped, "test")), "0102");
  for (const at of [7, 22, 23, 40, wrapped.length - 1]) {
    const altered = wrapped.slice();
    altered[at] ^= 1;
    await assert.rejects(keys.unwrap(stretch, "a passphrase", altered, "test"), { name: "wrong_passphrase" }, `at ${at}`);
  }
});

test("absurd costs and rubbish are refused before anything is computed", async () => {
  const header = (memory, passes, lanes) => {
    const made = new Uint8Array(23 + 60);
    made[0] = 1;
    new DataView(made.buffer).setUint32(1, memory);
    made.set([passes, lanes], 5);
    return made;
  };
  const absurd = [[65535, 3, 4], [1048577, 3, 4], [2 ** 32 - 1, 3, 4], [65536, 2, 4], [65536, 11, 4], [65536, 3, 3], [65536, 3, 17]];
  for (const costs of absurd) await assert.rejects(keys.unwrap(never, "p", header(...costs), "test"), { name: "kdf_refused" });
  const asked = [];
  const noted = (_secret, _salt, ...costs) => (asked.push(costs), new Uint8Array(32));
  for (const costs of [[65536, 3, 4], [1048576, 10, 16]]) {
    await assert.rejects(keys.unwrap(noted, "p", header(...costs), "test"), { name: "wrong_passphrase" });
  }
  assert.deepEqual(asked, [[65536, 3, 4], [1048576, 10, 16]]);
  for (const rubbish of [new Uint8Array(), new Uint8Array(50).fill(1), new Uint8Array(90).fill(2)]) {
    await assert.rejects(keys.unwrap(never, "p", rubbish, "test"), { name: "bad_wrapping" });
  }
});

test("a passphrase is neither too short nor too long", () => {
  for (const wrong of ["", "short 7", "x".repeat(1025)]) assert.throws(() => keys.checkPassphrase(wrong), { name: "bad_passphrase" });
  keys.checkPassphrase("eight ch");
});
