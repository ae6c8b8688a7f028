import assert from "node:assert/strict";
import { test } from "node:test";
import { unpack } from "../../web/pack.js";

function pack(files) {
  const bodies = Object.values(files).map((text) => Buffer.from(text));
  const index = Object.fromEntries(Object.keys(files).map((name, at) => [name, bodies[at].length]));
  const head = Buffer.from(JSON.stringify(index));
  const size = Buffer.alloc(4);
  size.writeUInt32LE(head.length);
  return new Uint8Array(Buffer.concat([size, head, ...bodies]));
}

test("a pack is taken apart into its files", () => {
  const written = {};
  const folders = [];
  const FS = { mkdirTree: (path) => folders.push(path), writeFile: (path, bytes) => (written[path] = Buffer.from(bytes).toString()) };
  unpack(FS, "/site", pack({ "a/b.pyc": "one", "a/ü.txt": "zwei", "empty.txt": "" }));
  assert.deepEqual(written, { "/site/a/b.pyc": "one", "/site/a/ü.txt": "zwei", "/site/empty.txt": "" });
  assert.deepEqual(folders, ["/site/a", "/site/a", "/site"]);
});
