import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { mark, marked, unmark } from "../../web/marks.js";

const given = (get) => Object.defineProperty(globalThis, "localStorage", { configurable: true, get });

describe("marks that outlast the page", () => {
  afterEach(() => delete globalThis.localStorage);

  test("are set, seen and taken away", () => {
    const kept = new Map();
    given(() => ({ getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value), removeItem: (name) => kept.delete(name) }));
    assert.equal(marked("here"), false);
    mark("here");
    assert.equal(marked("here"), true);
    unmark("here");
    assert.equal(marked("here"), false);
  });

  test("are not there where the browser keeps no data for the site, and nothing fails", () => {
    given(() => {
      throw new DOMException("Access is denied for this document.", "SecurityError");
    });
    mark("here");
    unmark("here");
    assert.equal(marked("here"), false);
  });
});
