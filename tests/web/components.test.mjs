import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { labelOf, labels } from "../../web/components/people.js";
import { report } from "../../web/components/report.js";
import { lastSeq, rows } from "../../web/components/rows.js";
import { dayName, initials, shortTime, span, toneOf, until } from "../../web/components/time.js";

const at = (day, hour, minute = 0) => new Date(2026, 10, day, hour, minute).getTime();
const NOW = at(21, 15);
const MINUTE = 60_000;

describe("times in words", () => {
  test("days", () => {
    assert.equal(dayName(at(21, 0), NOW, "en"), "Today");
    assert.equal(dayName(at(20, 23, 59), NOW, "en"), "Yesterday");
    assert.match(dayName(at(9, 12), NOW, "en-GB"), /^Monday,? 9 November$/);
    assert.match(dayName(new Date(2025, 0, 2).getTime(), NOW, "en-GB"), /^Thursday,? 2 January 2025$/);
  });
  test("short", () => {
    assert.equal(shortTime(at(21, 9, 5), NOW, "en-GB"), "09:05");
    assert.equal(shortTime(at(20, 9), NOW, "en-GB"), "Yesterday");
    assert.equal(shortTime(at(9, 9), NOW, "en-GB"), "9 Nov");
  });
  test("how long something holds", () => {
    const ahead = (minutes) => until(NOW + minutes * MINUTE, NOW);
    assert.deepEqual([ahead(-1), ahead(1), ahead(45), ahead(180), ahead(60 * 24 * 7)], ["now", "in 1 minute", "in 45 minutes", "in 3 hours", "in 7 days"]);
  });
});

test("how long something has been", () => {
  const said = [0, 1, 119, 120, 47 * 60, 48 * 60].map((minutes) => span(minutes * MINUTE));
  assert.deepEqual(said, ["0 minutes", "1 minute", "119 minutes", "2 hours", "47 hours", "2 days"]);
});

test("the health of a group as text is its findings and the storage, and nothing else of it", () => {
  const health = {
    at: Date.UTC(2026, 10, 21, 19, 5),
    group_id: "11111111-1111-4111-8111-111111111111",
    last_commit: { leaf: 1, name: "Ada", at: 0 },
    out_of_date: [{ leaf: 2, name: "Sam", days: 9 }],
    findings: [
      { what: "state", text: "active", good: true },
      { what: "causes", text: "gap 2", good: true },
    ],
  };
  const head = "Coterie, a group at 2026-11-21 19:05 UTC\nstate: active\ncauses: gap 2\nstorage: ";
  assert.equal(report(health, true), `${head}kept by the browser`);
  assert.equal(report(health, false), `${head}may be cleared by the browser`);
  assert.equal(report(health, null), `${head}not known`);
});

test("initials are letters, whole ones, of any script", () => {
  assert.deepEqual(["Ada Lovelace", "sam", "  ", "张 伟", "🦊 fox", "a b c"].map(initials), ["AL", "S", "?", "张伟", "🦊F", "AC"]);
});

test("a tone is one of eight, and always the same", () => {
  for (const id of ["", "a", "11111111-1111", "🦊"]) assert.ok(toneOf(id) >= 0 && toneOf(id) < 8 && toneOf(id) === toneOf(id));
});

describe("names", () => {
  const member = (identity, name) => ({ identity, name, fingerprint: `key-of-${identity}` });
  test("that are the same, or look it, are told apart by their keys", () => {
    const known = labels([member("a", "Sam"), member("b", " sAM "), member("c", "Lin"), member("d", "Ｌｉｎ")]);
    assert.deepEqual([...known.values()].map((label) => label.fingerprint), ["key-of-a", "key-of-b", "key-of-c", "key-of-d"]);
  });
  test("that are different stand alone", () => {
    assert.equal(labels([member("a", "Sam"), member("b", "Lin")]).get("a").fingerprint, null);
  });
  test("two without a name are told apart too", () => {
    const known = labels([member("a", null), member("b", null)]);
    assert.deepEqual(known.get("a"), { name: "Someone new", fingerprint: "key-of-a" });
  });
  test("of who has left come with the line", () => {
    assert.equal(labelOf(new Map(), { sender: "x", name: "Noor" }).name, "Noor");
    assert.equal(labelOf(new Map(), { sender: "x" }).name, "Someone");
  });
});

describe("rows", () => {
  const line = (n, time, more = {}) => ({ key: n.toString(16).padStart(16, "0") + "0000", kind: "text", at: time, sender: "u", text: "", mine: false, ...more });
  const show = (lines, first = null) => rows(lines, first, NOW, "en");
  test("a day begins with its name, once", () => {
    const types = show([line(1, at(20, 10)), line(2, at(20, 11)), line(3, at(21, 9))]).map((row) => row.text ?? row.type);
    assert.deepEqual(types, ["Yesterday", "text", "text", "Today", "text"]);
  });
  test("a run is one sender within minutes, and ends at a notice, a new day and what is new", () => {
    const lines = [line(1, at(21, 9)), line(2, at(21, 9, 1)), line(3, at(21, 9, 2), { kind: "notice", sender: null }), line(4, at(21, 9, 3)), line(5, at(21, 9, 30)), line(6, at(21, 9, 31), { sender: "v" })];
    const runs = show(lines).filter((row) => row.type === "text").map((row) => [row.first, row.last]);
    assert.deepEqual(runs, [[true, false], [false, true], [true, true], [true, true], [true, true]]);
    const split = show([line(1, at(21, 9)), line(2, at(21, 9, 1))], line(2, 0).key).filter((row) => row.type === "text");
    assert.deepEqual(split.map((row) => [row.first, row.last]), [[true, true], [true, true]]);
  });
  test("keys of rows are unique, and a moved line keeps its own", () => {
    const list = show([line(1, at(20, 9)), line(2, at(21, 9), { dom: "8000" })], line(2, 0).key);
    assert.equal(new Set(list.map((row) => row.key)).size, list.length);
    assert.ok(list.some((row) => row.key === "8000"));
  });
  test("the last seq is of what was accepted: pending lines have none", () => {
    assert.equal(lastSeq([line(3, 0), line(17, 0), { key: `8000000000000001${"0000"}` }]), 17);
    assert.equal(lastSeq([]), 0);
  });
});
