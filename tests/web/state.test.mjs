import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { groupsInOrder, initial, place, reduce } from "../../web/state.js";

const key = (seq, index = 0) => seq.toString(16).padStart(16, "0") + index.toString(16).padStart(4, "0");
const PENDING = `80000000000000010000`;
const line = (at, more = {}) => ({ key: key(at), kind: "text", at, sender: "u#d", text: `line ${at}`, mine: false, state: null, ...more });
const group = (id, more = {}) => ({ group_id: id, name: id, unread: 0, updated_at: 0, ...more });
const join = (id, state, more = {}) => ({ join_id: id, group_name: "G", state, why: "", ...more });
const SESSION = { state: "active", guest: true, why: "" };
const snapshot = (more = {}) => ({ user_id: "u", device_id: "d", name: "Ada", session: SESSION, read_only: false, groups: [], joins: [], invitations: [], connection: "online", ...more });
const after = (state, ...events) => events.reduce(reduce, state);
const keys = (state, id = "g") => state.talks[id].lines.map((one) => one.key);

const started = (more) => after(initial(), { type: "snapshot", snapshot: snapshot({ groups: [group("g")], ...more }) });
const opened = (lines, more = {}) =>
  after(started(), { type: "opened", group: group("g", more.group), members: [], lines, more: more.more ?? false });

function freeze(value) {
  if (value && typeof value === "object") Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}

test("an unknown event is an error, also one named like something of every object", () => {
  assert.throws(() => reduce(initial(), { type: "nonsense" }), /unknown event nonsense/);
  assert.throws(() => reduce(initial(), { type: "constructor" }), /unknown event/);
});

test("a long way to catch up is told while it lasts", () => {
  const halfway = after(started(), { type: "catching_up", group_id: "g", done: 120, total: 500 });
  assert.deepEqual(halfway.catching_up, { g: { done: 120, total: 500 } });
  assert.deepEqual(after(halfway, { type: "catching_up", group_id: "g", done: 500, total: 500 }).catching_up, {});
});

test("the state given is never changed", () => {
  const before = freeze(opened([line(1)]));
  for (const event of [
    { type: "line", group_id: "g", line: line(2) },
    { type: "group", group: group("h") },
    { type: "group_gone", group_id: "g" },
    { type: "join", join: join("j", "waiting") },
    { type: "problem", code: "x", sentence: "X." },
    { type: "snapshot", snapshot: snapshot() },
  ]) {
    assert.notEqual(reduce(before, event), before);
  }
});

describe("where the page begins", () => {
  test("with a link, at the join; with a group in the address, there; else at home", () => {
    assert.deepEqual(initial({ link: "L" }).route, { view: "join" });
    assert.deepEqual(initial({ problem: "P." }).link, { link: null, preview: null, problem: "P." });
    assert.deepEqual(initial({ group_id: "g" }).route, { view: "group", group_id: "g" });
    assert.deepEqual(initial().route, { view: "home" });
  });
  test("a group in the address that is not there leads home", () => {
    const state = after(initial({ group_id: "gone" }), { type: "snapshot", snapshot: snapshot({ groups: [group("g")] }) });
    assert.deepEqual(state.route, { view: "home" });
  });
  test("one that is there stays", () => {
    const state = after(initial({ group_id: "g" }), { type: "snapshot", snapshot: snapshot({ groups: [group("g")] }) });
    assert.deepEqual(state.route, { view: "group", group_id: "g" });
  });
});

describe("lines", () => {
  test("stand in the order of their keys, however they come", () => {
    const state = after(opened([line(1), line(4)]), ...[3, 5, 2].map((at) => ({ type: "line", group_id: "g", line: line(at) })));
    assert.deepEqual(keys(state), [1, 2, 3, 4, 5].map((at) => key(at)));
  });
  test("the same key again replaces the line", () => {
    const state = after(opened([line(1)]), { type: "line", group_id: "g", line: line(1, { text: "changed" }) });
    assert.deepEqual(state.talks.g.lines.map((one) => one.text), ["changed"]);
  });
  test("a pending line moves to where it was accepted, and is the same line for the screen", () => {
    const pending = line(9, { key: PENDING, mine: true, state: "pending" });
    const sent = { ...pending, key: key(2), state: "sent" };
    const state = after(
      opened([line(1)]),
      { type: "line", group_id: "g", line: pending },
      { type: "line", group_id: "g", line: line(3) },
      { type: "line", group_id: "g", line: sent, was: PENDING },
    );
    assert.deepEqual(keys(state), [key(1), key(2), key(3)]);
    assert.equal(state.talks.g.lines[1].dom, PENDING);
  });
  test("a line above those that were loaded is not put at the top", () => {
    const state = after(opened([line(10)], { more: true }), { type: "line", group_id: "g", line: line(2) });
    assert.deepEqual(keys(state), [key(10)]);
  });
  test("an older page comes before, without doubles", () => {
    const state = after(opened([line(3), line(4)], { more: true }), { type: "older", group_id: "g", lines: [line(1), line(2), line(3)], more: false });
    assert.deepEqual(keys(state), [1, 2, 3, 4].map((at) => key(at)));
    assert.equal(state.talks.g.more, false);
  });
  test("read again, they change and none is added", () => {
    const state = after(opened([line(2)]), { type: "refreshed", group_id: "g", lines: [line(1), line(2, { text: "Bo joined." })] });
    assert.deepEqual(state.talks.g.lines.map((one) => one.text), ["Bo joined."]);
  });
  test("of a group that is not open are nobody's", () => {
    const state = started();
    assert.equal(reduce(state, { type: "line", group_id: "g", line: line(1) }), state);
  });
  test("one that is gone is gone", () => {
    const state = after(opened([line(1), line(2)]), { type: "line_gone", group_id: "g", key: key(1) });
    assert.deepEqual(keys(state), [key(2)]);
  });
  test("place keeps the order even for equal times", () => {
    assert.deepEqual(place([line(1), line(3)], line(2)).map((one) => one.key), [key(1), key(2), key(3)]);
  });
});

describe("what is new", () => {
  const lines = [line(1), line(2, { kind: "notice" }), line(3, { mine: true }), line(4), line(5)];
  test("begins above the last unread lines of others", () => {
    assert.equal(opened(lines, { group: { unread: 2 } }).talks.g.first_unread, key(4));
    assert.equal(opened(lines, { group: { unread: 3 } }).talks.g.first_unread, key(1));
  });
  test("is at the top when more is unread than was loaded, and nowhere when all was read", () => {
    assert.equal(opened(lines, { group: { unread: 9 } }).talks.g.first_unread, key(1));
    assert.equal(opened(lines).talks.g.first_unread, null);
  });
});

describe("joins", () => {
  const waiting = after(started({ joins: [join("j", "waiting")] }), { type: "go", route: { view: "waiting", join_id: "j" } });
  test("who waits is taken into the group", () => {
    const state = reduce(waiting, { type: "join", join: join("j", "joined", { group_id: "g" }) });
    assert.deepEqual(state.route, { view: "group", group_id: "g" });
    assert.deepEqual(reduce(state, { type: "join_gone", join_id: "j" }).route, { view: "group", group_id: "g" });
  });
  test("who went elsewhere meanwhile stays there", () => {
    const elsewhere = reduce(waiting, { type: "go", route: { view: "home" } });
    assert.deepEqual(reduce(elsewhere, { type: "join", join: join("j", "joined", { group_id: "g" }) }).route, { view: "home" });
  });
  test("one that is dismissed leaves its page", () => {
    assert.deepEqual(reduce(waiting, { type: "join_gone", join_id: "j" }).route, { view: "home" });
  });
});

describe("a link", () => {
  test("gets its preview, or its problem, and is done once", () => {
    const state = after(initial({ link: "L" }), { type: "previewed", preview: { group_name: "G" } });
    assert.equal(state.link.preview.group_name, "G");
    assert.equal(reduce(state, { type: "link_problem", problem: "Dead." }).link.problem, "Dead.");
    const done = reduce(state, { type: "link_done" });
    assert.deepEqual([done.link, done.route], [null, { view: "home" }]);
  });
  test("a preview that comes after all was put away changes nothing", () => {
    const state = started();
    assert.equal(reduce(state, { type: "previewed", preview: {} }), state);
  });
});

test("a group that is gone takes its lines, its draft and its place with it", () => {
  const state = after(opened([line(1)]), { type: "go", route: { view: "group", group_id: "g" } }, { type: "draft", group_id: "g", text: "half" }, { type: "group_gone", group_id: "g" });
  assert.deepEqual([state.groups, state.talks, state.drafts, state.route], [{}, {}, {}, { view: "home" }]);
});

describe("another tab goes on with the client", () => {
  const g = group("g");
  const here = after(opened([line(1), line(2)]), { type: "go", route: { view: "group", group_id: "g" } }, { type: "draft", group_id: "g", text: "half" });
  const resumed = reduce(here, { type: "resumed", snapshot: snapshot({ groups: [g] }) });

  test("what is shown and what is written stay", () => {
    assert.deepEqual([resumed.talks, resumed.drafts, resumed.route], [{ g: here.talks.g }, { g: "half" }, here.route]);
  });
  test("that the one before was catching up is over", () => {
    const behind = after(here, { type: "catching_up", group_id: "g", done: 460, total: 480 }, { type: "resumed", snapshot: snapshot({ groups: [g] }) });
    assert.deepEqual(behind.catching_up, {});
  });
  test("what is shown is read again: lines that came or went meanwhile", () => {
    const again = reduce(resumed, { type: "reread", group: { ...g, unread: 1 }, members: [], lines: [line(2), line(3)], more: true });
    assert.deepEqual(again.talks.g.lines.map(({ key }) => key), [line(2).key, line(3).key]);
    assert.deepEqual([again.talks.g.more, again.talks.g.first_unread, again.groups.g.unread], [true, here.talks.g.first_unread, 1]);
  });
  test("a group that is gone by then is not shown", () => {
    const gone = reduce(here, { type: "resumed", snapshot: snapshot() });
    assert.deepEqual([gone.talks, gone.route], [{}, { view: "home" }]);
  });
});

test("problems are shown once, the last few, until they are put away", () => {
  const events = ["A.", "B.", "A.", "C.", "D."].map((sentence) => ({ type: "problem", code: "c", sentence }));
  const state = after(initial(), ...events);
  assert.deepEqual(state.problems.map((one) => one.sentence), ["B.", "C.", "D."]);
  assert.equal(new Set(state.problems.map((one) => one.id)).size, 3);
  const [first] = state.problems;
  assert.deepEqual(reduce(state, { type: "problem_seen", id: first.id }).problems.map((one) => one.sentence), ["C.", "D."]);
});

test("groups stand by when something last happened", () => {
  const state = started({ groups: [group("a", { updated_at: 1 }), group("b", { updated_at: 3 }), group("c", { updated_at: 2 })] });
  assert.deepEqual(groupsInOrder(state).map((one) => one.group_id), ["b", "c", "a"]);
});

describe("invitations", () => {
  const invitation = { group_id: "n", group_name: null, sender: { name: "Bob" }, state: "waiting", why: "" };
  const invited = after(started({ invitations: [invitation] }), { type: "go", route: { view: "invitation", group_id: "n" } });

  test("one that is gone leaves the place as it is: whoever accepted or declined it goes on from there", () => {
    const gone = after(invited, { type: "invitation_gone", group_id: "n" });
    assert.deepEqual([gone.invitations, gone.route], [{}, invited.route]);
  });
  test("one that fails stays, with its cause", () => {
    const failed = { ...invitation, state: "failed", why: "It does not hold." };
    assert.deepEqual(after(invited, { type: "invitation", invitation: failed }).invitations, { n: failed });
  });
});

describe("adding somebody", () => {
  const addition = { group_id: "g", user_id: "b", added: ["b#d"], members: [], new_keys: [], refused: [], missing: 0, why: "" };
  const added = after(started(), { type: "addition", addition });

  test("what became of it is kept by group and user", () => assert.equal(added.additions.g.b, addition));
  test("it goes when it is asked for again, and with the dialog", () => {
    assert.equal(after(added, { type: "adding", group_id: "g", user_id: "b" }).additions.g.b, null);
    assert.deepEqual(after(added, { type: "dialog", dialog: null }).additions, {});
  });
});

test("why a session ended stands on the page, so it is no passing problem too", () => {
  const session = { state: "ended", guest: true, why: "It has ended." };
  const state = after(started(), { type: "session", session }, { type: "problem", code: "session_ended", sentence: "It has ended." });
  assert.deepEqual([state.me.session, state.problems], [session, []]);
});

test("a restore has the lines of its group read again", () => {
  const talk = { group: { group_id: "g", unread: 0 }, members: [], lines: [], more: false };
  const opened = reduce(initial(), { type: "opened", ...talk });
  assert.ok("g" in opened.talks);
  assert.deepEqual(reduce(opened, { type: "history", group_id: "g" }).talks, {});
});

test("storage that is gone takes the whole page, with its sentence", () => {
  const gone = reduce(initial(), { type: "problem", code: "storage_gone", sentence: "It is gone." });
  assert.deepEqual([gone.phase, gone.reason, gone.problems], ["gone", "It is gone.", []]);
});
