// The crate in Pyodide, in Node: the release does what it does natively, and survives a panic.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT, hooksWheel, pyodideWith, releaseWheel, run } from "./support.mjs";

test("a group lives in Pyodide", async () => {
  const pyodide = await pyodideWith(releaseWheel());
  assert.equal(run(pyodide, "conversation.py"), "done");
});

test("the release has no hooks", async () => {
  const pyodide = await pyodideWith(releaseWheel());
  const hooks = pyodide.runPython("import coterie_mls._native as n; [x for x in dir(n) if 'kat' in x]");
  assert.equal(hooks.length, 0);
});

test("a state made by CPython reads in Pyodide", async (context) => {
  const python = join(ROOT, ".venv/bin/python");
  if (!existsSync(python)) return context.skip("there is no .venv with the native wheel");
  const made = JSON.parse(execFileSync(python, [join(ROOT, "tests/pyodide/crate/make_state.py")], { encoding: "utf8" }));
  const pyodide = await pyodideWith(releaseWheel());
  assert.equal(run(pyodide, "read_state.py", made), "done");
});

test("a deliberate panic reaches Python as an exception, and the device goes on", async () => {
  const pyodide = await pyodideWith(hooksWheel());
  assert.equal(run(pyodide, "panic.py"), "done");
});
