import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createBackups } from "../../web/backups.js";
import { amount } from "../../web/components/amount.js";
import { SHORTEST, strengthOf, suggestion } from "../../web/components/strength.js";
import { keepStorage, lookAtStorage, storageKept } from "../../web/storage.js";

describe("a restore hands a file over piece by piece", () => {
  const file = new Blob([new Uint8Array(600_000).map((_, at) => at % 251)]);
  test("in order, and says how far it is", async () => {
    const asked = [];
    const parts = [];
    const call = async (op, data) => {
      asked.push([op, data]);
      if (op === "restore_begin") return { restore_id: "r" };
      return op === "restore_end" ? { groups: 1, lines: 2 } : {};
    };
    const done = await createBackups(call).restore(file, { passphrase: "p", onPart: (part) => parts.push(part) });
    assert.deepEqual(done, { groups: 1, lines: 2 });
    assert.deepEqual(asked[0], ["restore_begin", { passphrase: "p", mine: false }]);
    assert.ok(asked.slice(1).every(([, { restore_id }]) => restore_id === "r"));
    const ops = asked.slice(1, -1).map(([op]) => op);
    assert.ok(ops.lastIndexOf("restore_check") < ops.indexOf("restore_write"), "all of it is looked at first");
    for (const which of ["restore_check", "restore_write"]) {
      const pieces = asked.filter(([op]) => op === which).map(([, { data }]) => data);
      assert.ok(pieces.length > 2 && pieces.every((piece) => piece instanceof Uint8Array && piece.length <= 262_144));
      assert.deepEqual(Buffer.concat(pieces), Buffer.from(await file.arrayBuffer()));
    }
    assert.deepEqual([parts.at(-1), parts.length], [1, ops.length]);
    assert.deepEqual(parts, [...parts].sort((a, b) => a - b));
  });
  test("and stops where it is left, before anything is changed", async () => {
    const leaving = new AbortController();
    const asked = [];
    const call = async (op) => {
      asked.push(op);
      if (op === "restore_write") leaving.abort();
      return {};
    };
    const restoring = createBackups(call).restore(file, { passphrase: "p", onPart: () => {}, signal: leaving.signal });
    await assert.rejects(restoring, { name: "AbortError" });
    assert.equal(asked.at(-1), "restore_write");
    assert.equal(asked.filter((op) => op === "restore_write").length, 1);
  });
  test("and stops at the first refusal", async () => {
    const asked = [];
    const call = async (op) => {
      asked.push(op);
      if (op === "restore_check") throw new Error("altered");
      return {};
    };
    const restoring = createBackups(call).restore(file, { passphrase: "p", onPart: () => {} });
    await assert.rejects(restoring, /altered/);
    assert.deepEqual(asked, ["restore_begin", "restore_check"]);
  });
});

test("a backup is read by the id that it was begun with, and one that was replaced saves nothing", async () => {
  const asked = [];
  const call = async (op, data) => {
    asked.push([op, data]);
    if (op === "backup_begin") return { backup_id: "b" };
    if (asked.length > 3) throw new Error("interrupted");
    return new Uint8Array(8);
  };
  const sizes = [];
  await assert.rejects(createBackups(call).backUp("p", (size) => sizes.push(size)), /interrupted/);
  assert.deepEqual(sizes, [8, 16]);
  const read = ["backup_read", { backup_id: "b" }];
  assert.deepEqual(asked, [["backup_begin", { passphrase: "p" }], read, read, read]);
});

test("a backup that is left saves nothing", async () => {
  const leaving = new AbortController();
  let reads = 0;
  const call = async (op) => {
    if (op === "backup_begin") return { backup_id: "b" };
    reads += 1;
    leaving.abort();
    return new Uint8Array();
  };
  await assert.rejects(createBackups(call).backUp("p", () => {}, leaving.signal), { name: "AbortError" });
  assert.equal(reads, 1);
});

describe("a passphrase", () => {
  test("gets a hint, not a score", () => {
    assert.match(strengthOf("x".repeat(SHORTEST - 1)), /At least 8/);
    assert.match(strengthOf("aaaaaaaaaaaaaaaa"), /Easy to guess/);
    assert.match(strengthOf("1234567890123456"), /Easy to guess/);
    assert.match(strengthOf("tr0ub4dor&3"), /Weak/);
    assert.match(strengthOf("correct horse b"), /Fair/);
    assert.match(strengthOf("correct horse battery staple"), /Good/);
  });
  test("that is suggested has 130 bits, in letters that are not mistaken for one another", () => {
    const made = suggestion();
    assert.match(made, /^([0-9a-hjkmnp-tv-z]{5}-){5}[0-9a-hjkmnp-tv-z]$/);
    assert.notEqual(made, suggestion());
    assert.match(strengthOf(made), /Good/);
    assert.equal(suggestion((size) => new Uint8Array(size)).replaceAll("-", ""), "0".repeat(26));
  });
});

describe("what the browser says of the storage", () => {
  const says = (more) => ({ persisted: async () => false, persist: async () => true, estimate: async () => ({ usage: 5, quota: 9 }), getDirectory: async () => ({}), ...more });
  const fails = async () => {
    throw new DOMException("no", "SecurityError");
  };
  test("in a usual window", async () => {
    assert.deepEqual(await lookAtStorage(says()), { kept: false, private: false, usage: 5, quota: 9 });
    assert.deepEqual([await storageKept(says()), await keepStorage(says())], [false, true]);
  });
  test("in a private one, which gives no file system", async () => {
    assert.equal((await lookAtStorage(says({ getDirectory: fails }))).private, true);
  });
  test("where it says nothing, or fails to", async () => {
    const unknown = { kept: null, private: false, usage: null, quota: null };
    assert.deepEqual(await lookAtStorage(null), unknown);
    assert.deepEqual(await lookAtStorage({ persisted: fails, estimate: fails }), unknown);
    assert.equal(await keepStorage({ persist: fails }), null);
  });
});

test("amounts are short", () => {
  assert.deepEqual([0, 999, 123_456, 1_500_000, 250_000_000, 10_737_418_240].map(amount), ["0.0 kB", "1.0 kB", "123 kB", "1.5 MB", "250 MB", "10.7 GB"]);
});
