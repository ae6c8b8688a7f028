import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { Bridge, bundle, nextFrame } from "../../web/bridge.js";
import { ASKS, own } from "../../web/tabs.js";
import { Channels, settled } from "./channels.mjs";

describe("events in bundles", () => {
  test("the first goes at once, the rest of the frame together, then at once again", () => {
    const delivered = [];
    const frames = [];
    const events = bundle((some) => delivered.push(some), (run) => frames.push(run));
    [1, 2, 3].forEach(events.add);
    assert.deepEqual(delivered, [[1]]);
    frames.shift()();
    assert.deepEqual(delivered, [[1], [2, 3]]);
    frames.shift()();
    assert.equal(frames.length, 0);
    events.add(4);
    assert.deepEqual(delivered, [[1], [2, 3], [4]]);
  });
});

describe("a page that is hidden", () => {
  const frames = new Map(); // a browser runs none of them while the page is hidden
  let asked = 0;
  beforeEach(() => {
    mock.timers.enable({ apis: ["setTimeout"] });
    globalThis.requestAnimationFrame = (run) => frames.set((asked += 1), run) && asked;
    globalThis.cancelAnimationFrame = (id) => frames.delete(id);
  });
  afterEach(() => mock.timers.reset());

  test("hears what comes after, though a frame was asked for while it was seen", () => {
    const delivered = [];
    const events = bundle((some) => delivered.push(...some), nextFrame);
    events.add("message");
    assert.equal(frames.size, 1);
    events.add("locked"); // it was hidden in between: the frame never comes
    mock.timers.tick(100);
    assert.deepEqual(delivered, ["message", "locked"]);
    mock.timers.tick(100);
    events.add("later");
    assert.deepEqual(delivered, ["message", "locked", "later"]);
  });

  test("and one that is seen is told with the frame, once", () => {
    const ran = [];
    nextFrame(() => ran.push("once"));
    [...frames.values()].at(-1)();
    mock.timers.tick(1000);
    assert.deepEqual(ran, ["once"]);
  });
});

/** A tab, with all that its page is told. */
function makeTab(channels) {
  const tab = { events: [], starts: [], failures: [], frames: [] };
  const page = {
    onEvents: (events) => tab.events.push(...events),
    onStart: (snapshot) => tab.starts.push(snapshot),
    onFailure: (error) => tab.failures.push(error.code),
  };
  tab.bridge = new Bridge(page, (run) => tab.frames.push(run), channels.open);
  return tab;
}

/** An owner that notes what it is asked; `answers` by operation, each a function or a promise of one. */
function makeOwner(channels, name, answers = {}) {
  const owner = { asked: [] };
  const perform = async ({ op, data }) => {
    owner.asked.push([op, data]);
    if (op === "start" && !answers.start) return { result: { by: name } };
    return (await answers[op])?.(data) ?? { result: `${name}: ${op}` };
  };
  owner.own = own(perform, channels.open, name);
  return owner;
}

const DOCUMENT = readFileSync(new URL("../../docs/bridge.md", import.meta.url), "utf8");
/** All operations of docs/bridge.md that a page asks for: the rows of its table that begins with `start`. */
const OPERATIONS = DOCUMENT.slice(DOCUMENT.indexOf("| `start` |")).split("\n\n", 1)[0].match(/(?<=^\| `)\w+/gm).slice(1);
/** Those that may be carried out twice. Whoever adds one here has made sure that twice is the same as once. */
const REPEATABLE = [
  "devices", "discard_line", "export_state", "health", "invitations", "join", "list_invites", "list_passkeys", "lock_state", "mark_read",
  "open_group", "passkey_options", "people", "preview_link", "rename_device", "rename_passkey", "send_text", "set_name", "sign_in_options",
]; // prettier-ignore

const NEVER = new Promise(() => {});
const ops = (owner) => owner.asked.map(([op]) => op);

describe("tabs and the owner", () => {
  let channels;
  beforeEach(() => (channels = new Channels()));

  test("it does not matter who was there first", async () => {
    const early = makeTab(channels);
    await settled();
    const owner = makeOwner(channels, "A");
    const late = makeTab(channels);
    await settled();
    assert.deepEqual([early.starts, late.starts], [[{ by: "A" }], [{ by: "A" }]]);
    assert.equal(await early.bridge.call("open_group", { group_id: "g" }), "A: open_group");
    assert.equal(await late.bridge.call("open_group"), "A: open_group");
    assert.deepEqual(owner.asked.at(-2), ["open_group", { group_id: "g" }]);
  });

  test("nothing is asked before the client has started, then all of it in order", async () => {
    let start;
    const owner = makeOwner(channels, "A", { start: new Promise((done) => (start = done)) });
    const tab = makeTab(channels);
    const calls = [tab.bridge.call("send_text", { text: "1" }), tab.bridge.call("create_group")];
    await settled();
    assert.deepEqual(ops(owner), ["start"]);
    start(() => ({ result: {} }));
    await Promise.all(calls);
    assert.deepEqual(ops(owner), ["start", "send_text", "create_group"]);
  });

  test("answers go to who asked, events to all, in the order in which they happened", async () => {
    const order = [];
    const [one, other] = [makeTab(channels), makeTab(channels)];
    let owner = null;
    const perform = () => {
      owner.own.event({ event: "a" });
      owner.own.event({ event: "b" }); // waits for the frame
      return { result: "sent" };
    };
    owner = makeOwner(channels, "A", { send_text: Promise.resolve(perform) });
    await settled();
    await one.bridge.call("send_text").then((result) => order.push(...one.events.map(({ event }) => event), result));
    assert.deepEqual(order, ["a", "b", "sent"]);
    assert.deepEqual(other.events.map(({ event }) => event), ["a"]);
    for (const tab of [one, other]) {
      tab.frames.splice(0).forEach((run) => run());
      assert.deepEqual(tab.events.map(({ event }) => event), ["a", "b"], "each of them once");
    }
  });

  test("an error is a code and a sentence", async () => {
    const refuse = () => ({ error: { code: "invite_unavailable", sentence: "This link does not work." } });
    makeOwner(channels, "A", { join: Promise.resolve(refuse) });
    const tab = makeTab(channels);
    await assert.rejects(tab.bridge.call("join"), { name: "BridgeError", code: "invite_unavailable", message: "This link does not work." });
  });

  test("what was asked of an owner that went is asked of the next, once, in order, after it has started", async () => {
    const first = makeOwner(channels, "A", { send_text: NEVER });
    const tab = makeTab(channels);
    await settled();
    const calls = ["1", "2"].map((text) => tab.bridge.call("send_text", { text }));
    await settled();
    const second = makeOwner(channels, "B"); // and A is dead: it says nothing
    assert.deepEqual(await Promise.all(calls), ["B: send_text", "B: send_text"]);
    assert.deepEqual(first.asked.slice(1), [["send_text", { text: "1" }], ["send_text", { text: "2" }]]);
    assert.deepEqual(second.asked, [["start", {}], ["send_text", { text: "1" }], ["send_text", { text: "2" }]]);
    assert.deepEqual(tab.starts, [{ by: "A" }, { by: "B" }]);
  });

  test("what may not be done twice is not asked again, and one is told to look", async () => {
    makeOwner(channels, "A", { create_group: NEVER });
    const tab = makeTab(channels);
    await settled();
    const call = tab.bridge.call("create_group");
    await settled();
    const second = makeOwner(channels, "B");
    await assert.rejects(call, { code: "interrupted" });
    await settled();
    assert.deepEqual(ops(second), ["start"]);
  });

  test("of all operations those alone are asked again that may be done twice, once each", async () => {
    makeOwner(channels, "A", Object.fromEntries(OPERATIONS.map((op) => [op, NEVER])));
    const tab = makeTab(channels);
    await settled();
    const calls = OPERATIONS.map((op) => tab.bridge.call(op));
    await settled();
    const second = makeOwner(channels, "B");
    const ended = await Promise.allSettled(calls);
    const again = OPERATIONS.filter((op) => REPEATABLE.includes(op));
    const [before, after] = [true, false].map((early) => again.filter((op) => (op === "lock_state") === early));
    assert.deepEqual(ops(second), ["start", ...before, ...after]);
    assert.deepEqual([...again].sort(), REPEATABLE);
    const refused = OPERATIONS.filter((_, at) => ended[at].reason?.code === "interrupted");
    assert.deepEqual(refused, OPERATIONS.filter((op) => !REPEATABLE.includes(op)));
    assert.ok(["create_group", "remove_member", "unlock"].every((op) => refused.includes(op)), "the table was not read");
  });

  test("how a locked device is locked is asked again of the next owner, which can't start either", async () => {
    const locked = Promise.resolve(() => ({ error: { code: "locked_passkey", sentence: "Locked." } }));
    makeOwner(channels, "A", { start: locked, lock_state: NEVER });
    const tab = makeTab(channels);
    await settled();
    const call = tab.bridge.call("lock_state");
    await settled();
    makeOwner(channels, "B", { start: locked });
    assert.equal(await call, "B: lock_state");
  });

  test("an owner that was replaced and wakes is not listened to", async () => {
    let late;
    const first = makeOwner(channels, "A", { open_group: new Promise((done) => (late = done)) });
    const tab = makeTab(channels);
    await settled();
    const call = tab.bridge.call("open_group");
    await settled();
    makeOwner(channels, "B", { open_group: Promise.resolve(() => ({ result: "new" })) });
    late(() => ({ result: "old" }));
    first.own.event({ event: "old" });
    assert.equal(await call, "new");
    await settled();
    assert.deepEqual(tab.events, []);
    assert.equal(await tab.bridge.call("open_group"), "new");
    assert.deepEqual(ops(first), ["start", "open_group"]);
  });

  test("a replaced owner that wakes and answers leads no tab back", async () => {
    makeOwner(channels, "A");
    const tab = makeTab(channels);
    await settled();
    const second = makeOwner(channels, "B", { create_group: NEVER });
    await settled();
    let ended = false;
    tab.bridge.call("create_group").finally(() => (ended = true));
    tab.bridge.hello(); // both answer
    await settled();
    assert.deepEqual([tab.starts.length, ended, ops(second)], [2, false, ["start", "create_group"]]);
  });

  test("one who followed an owner that resigns finds the one that there is", async () => {
    const second = makeOwner(channels, "B");
    const first = makeOwner(channels, "A"); // a tab that wakes, and does not know yet that it was replaced
    const tab = makeTab(channels);
    await settled();
    assert.deepEqual(tab.starts.at(-1), { by: "A" });
    first.own.resign();
    await settled();
    assert.deepEqual(tab.starts.at(-1), { by: "B" });
    assert.equal(await tab.bridge.call("people"), "B: people");
    assert.equal(ops(second).at(-1), "people");
    channels.open(ASKS).postMessage({ tab: "t", owner: "A", id: 1, op: "people" });
    await settled();
    assert.deepEqual(ops(first), ["start"], "what comes late is not carried out by one that resigned");
  });

  test("a client that can't start is told to each tab, and tried again for the next", async () => {
    let full = true;
    const start = () => (full ? { error: { code: "storage_full", sentence: "There is no space left." } } : { result: {} });
    makeOwner(channels, "A", { start: Promise.resolve(start) });
    const tab = makeTab(channels);
    await settled();
    assert.deepEqual(tab.failures, ["storage_full"]);
    full = false;
    const next = makeTab(channels);
    await settled();
    assert.equal(next.starts.length, 1);
  });

  test("silence is noticed, and ends with the first answer", async () => {
    const tab = makeTab(channels);
    await settled();
    assert.deepEqual([tab.bridge.heard, tab.bridge.served], [false, false]);
    makeOwner(channels, "A");
    tab.bridge.hello();
    await settled();
    assert.deepEqual([tab.bridge.heard, tab.bridge.served], [true, true]);
  });
});
