import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import encodeQR from "../../web/vendor/qr.mjs";

const VENDOR = new URL("../../web/vendor/", import.meta.url);
const read = (name) => readFileSync(new URL(name, VENDOR));
const record = JSON.parse(read("vendor.json"));
const lock = JSON.parse(readFileSync(new URL("../../package-lock.json", import.meta.url)));

test("every vendored module is the one that was recorded, from the version that is locked", () => {
  const modules = readdirSync(VENDOR).filter((name) => name.endsWith(".mjs"));
  assert.deepEqual(modules.sort(), Object.keys(record).sort());
  for (const [name, { package: from, version, sha256 }] of Object.entries(record)) {
    assert.equal(createHash("sha256").update(read(name)).digest("hex"), sha256, name);
    assert.equal(lock.packages[`node_modules/${from}`].version, version, from);
  }
});

test("they import each other by relative paths, nothing else, and make no code from text", () => {
  for (const name of Object.keys(record)) {
    const text = read(name).toString();
    for (const [, from] of text.matchAll(/\bfrom\s*["']([^"']+)["']/g)) assert.match(from, /^\.\/[\w-]+\.mjs$/, name);
    assert.doesNotMatch(text, /\beval\(|new Function\(/, name);
  }
});

test("the licences of all of them come along", () => {
  const text = read("LICENSES.txt").toString();
  for (const { package: from, version } of Object.values(record)) assert.ok(text.includes(`${from} ${version}\n`), from);
});

test("a QR code of a link has the three finder patterns", () => {
  const modules = encodeQR("https://chat.example/?join=AbCdEfGhIjKlMnOpQrStUv#1.0123456789_-abcdefghij", "raw", { border: 1 });
  const last = modules.length - 8;
  for (const [x, y] of [[1, 1], [last, 1], [1, last]]) {
    for (let step = 0; step < 7; step += 1) assert.ok(modules[y][x + step] && modules[y + 6][x + step], `at ${x},${y}`);
  }
});
