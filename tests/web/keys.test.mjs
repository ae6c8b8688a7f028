import assert from "node:assert/strict";
import { test } from "node:test";

import { readable } from "../../web/components/keys.js";

test("of a key 128 bits are compared, and nobody finds another with the same", () => {
  const key = "0123456789abcdef".repeat(4);
  assert.equal(readable(key), "0123 4567 89ab cdef 0123 4567 89ab cdef");
});
