// The heap snapshot: its format, and the gates that keep it from giving two people the same numbers or keys.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadPyodide } from "pyodide";
import { sparse } from "../../web/build/snapshot.mjs";
import { unpack } from "../../web/pack.js";
import { expand, reseed } from "../../web/snapshot.js";

const SITE = new URL("../../dist/site/", import.meta.url);
const buffer = (bytes) => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);

describe("the sparse form", () => {
  const whole = new Uint8Array(4096);
  whole.set([1, 2, 3], 0);
  whole.set([4], 259);
  whole.set([5, 6], 4094);
  test("gives back the same bytes, and leaves out what is zero", () => {
    const packed = sparse(whole, "build-1");
    assert.ok(packed.length < 200, `${packed.length} bytes`);
    assert.deepEqual(expand(buffer(packed), "build-1"), whole);
  });
  test("of another build, or of something else, is refused", () => {
    assert.throws(() => expand(buffer(sparse(whole, "build-1")), "build-2"), /another build/);
    assert.throws(() => expand(new Uint8Array(64).buffer, "build-1"), /not a snapshot/);
  });
});

/** Python as boot.js restores it, from dist/site. */
async function restore(manifest) {
  const file = (path) => fileURLToPath(new URL(`assets/${path.slice(3)}`, SITE));
  const whole = expand(buffer(readFileSync(file(manifest.SNAPSHOT))), manifest.BUILD);
  const pack = new Uint8Array(readFileSync(file(manifest.PACK)));
  return loadPyodide({
    indexURL: file(manifest.PYODIDE),
    stdLibURL: file(manifest.STDLIB),
    lockFileContents: manifest.LOCK,
    _loadSnapshot: whole,
    fsInit: async (FS, { sitePackages }) => unpack(FS, sitePackages, pack),
  });
}

const page = new URL("index.html", SITE);
const missing = existsSync(page) ? false : "dist/site is not built (node web/build/site.mjs)";

describe("restored", { skip: missing }, () => {
  const load = async () => {
    const [app] = /assets\/app-\w+/.exec(readFileSync(page, "utf8"));
    const manifest = await import(new URL(`${app}/manifest.js`, SITE));
    return Promise.all([restore(manifest), restore(manifest)]);
  };
  const python = missing ? null : load();
  const both = async (code) => (await python).map((one) => one.runPython(code));

  test("nothing compiled is inside", async () => {
    const [inside] = await both("import sys\n' '.join(name for name in sys.modules if name in ('coterie_mls', 'cbor2._cbor2') or name.startswith('coterie_mls.'))");
    assert.equal(inside, "");
  });
  test("random is the same for everybody until it is seeded, and boot.js seeds it", async () => {
    const code = "import random\nrandom.random()";
    const [one, other] = await both(code);
    assert.equal(one, other, "if this differs, the danger is gone and the test can go too");
    (await python).forEach(reseed);
    const [seeded, otherSeeded] = await both(code);
    assert.notEqual(seeded, otherSeeded);
  });
  test("keys are not: two devices never share one", async () => {
    const [one, other] = await both("import coterie_mls\ncoterie_mls.random_bytes(32).hex() + __import__('os').urandom(32).hex()");
    assert.notEqual(one.slice(0, 64), other.slice(0, 64));
    assert.notEqual(one.slice(64), other.slice(64));
  });
  test("what was put off is loaded at its first use", async () => {
    const [value] = await both("from coterie.core.records import base\nbase.cbor2.dumps({'a': [1, b'x']}).hex()");
    assert.equal(value, "a16161820141" + "78");
  });
});
