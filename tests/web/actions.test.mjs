// What was written is never lost, whatever fails on its way into the store.
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { createActions } from "../../web/actions.js";
import { BridgeError } from "../../web/bridge.js";
import { initial, reduce } from "../../web/state.js";
import { settled } from "./channels.mjs";

const FULL = new BridgeError({ code: "storage_full", sentence: "There is no space left." });
const INTERRUPTED = new BridgeError({ code: "interrupted", sentence: "Look." });
const LINK = "https://chat.example/?join=AbCdEfGhIjKlMnOpQrStUv#1.0123456789_-abcdefghij";
const FAILED = { key: "00000000000000050000", text: "again" };

/** A page without a document: its actions, its state, and what was asked; `answers` by operation. */
function makePage(answers) {
  let state = initial({ group_id: "g" });
  const asked = [];
  const call = async (op, data) => {
    asked.push([op, data]);
    return answers[op]?.(data) ?? {};
  };
  const act = createActions({ call, restart: () => {} }, () => state, (event) => (state = reduce(state, event)));
  return { act, asked, ops: () => asked.map(([op]) => op), draft: () => state.drafts.g, problems: () => state.problems.map(({ code }) => code) };
}

/** An operation whose answers come when the test says so, in any order. */
function later() {
  const ends = [];
  const answer = () => new Promise((resolve, reject) => ends.push({ resolve, reject }));
  return { answer, ends };
}

const refuse = (error) => () => {
  throw error;
};

describe("what could not be saved", () => {
  let asks;
  beforeEach(() => {
    asks = new Set();
    globalThis.addEventListener = (type, listener) => asks.add(listener);
    globalThis.removeEventListener = (type, listener) => asks.delete(listener);
  });

  test("goes back where one writes, in the order in which it was written, before what was begun since", async () => {
    const page = makePage({ send_text: refuse(FULL) });
    const sends = [page.act.send("g", "A"), page.act.send("g", "B")];
    page.act.draft("g", "C");
    assert.equal(asks.size, 1); // before the page is closed
    await Promise.all(sends);
    assert.equal(page.draft(), "A\nB\nC");
    assert.deepEqual([page.problems(), asks.size], [["storage_full"], 0]);
  });

  test("does so when its answer comes late, and what was saved does not", async () => {
    const { answer, ends } = later();
    const page = makePage({ send_text: answer });
    const sends = ["A", "B", "C"].map((text) => page.act.send("g", text));
    ends[0].reject(FULL);
    await settled();
    page.act.draft("g", "D");
    ends[1].resolve({});
    ends[2].reject(FULL);
    await Promise.all(sends);
    assert.equal(page.draft(), "A\nC\nD");
  });

  test("stays the line that it is when it was to be sent again, and the draft what it is", async () => {
    const page = makePage({ send_text: refuse(FULL) });
    page.act.draft("g", "C");
    await page.act.sendAgain("g", FAILED);
    assert.deepEqual([page.ops(), page.draft(), page.problems()], [["send_text"], "C", ["storage_full"]]);
  });
});

describe("a line that is sent again", () => {
  beforeEach(() => (globalThis.addEventListener = globalThis.removeEventListener = () => {}));

  test("is saved before the failed one is discarded", async () => {
    const page = makePage({});
    await page.act.sendAgain("g", FAILED);
    assert.deepEqual(page.ops(), ["send_text", "discard_line"]);
    assert.equal(page.asked[0][1].text, "again");
    assert.deepEqual(page.asked[1][1], { group_id: "g", key: FAILED.key });
  });

  test("is sent though nobody knows whether the failed one was discarded", async () => {
    const page = makePage({ discard_line: refuse(INTERRUPTED) });
    await page.act.sendAgain("g", FAILED);
    assert.deepEqual([page.ops(), page.problems()], [["send_text", "discard_line"], ["interrupted"]]);
  });

  test("is sent once by two clicks", async () => {
    const page = makePage({});
    await Promise.all([page.act.sendAgain("g", FAILED), page.act.sendAgain("g", FAILED)]);
    assert.deepEqual(page.ops(), ["send_text", "discard_line"]);
  });
});

describe("the browser is asked to keep the storage", () => {
  let asked;
  beforeEach(() => {
    asked = 0;
    const storage = { persist: async () => Boolean((asked += 1)), persisted: async () => asked > 0, estimate: async () => ({}) };
    Object.defineProperty(globalThis, "navigator", { value: { storage }, configurable: true });
    globalThis.localStorage = { getItem: () => null, setItem: () => {} };
  });

  const MOMENTS = {
    "a group is made": (act) => act.createGroup("Friends"),
    "an invitation is accepted": (act) => act.acceptInvitation("g"),
    "a backup is restored": (act) => act.restore(new Blob(["file"]), { passphrase: "a passphrase", onPart: () => {} }),
  };
  const GROUP = { group_id: "g", name: "Friends" };
  const answers = { create_group: () => GROUP, accept_invitation: () => ({ group: GROUP }) };

  for (const [when, work] of Object.entries(MOMENTS)) {
    test(`when ${when}`, async () => {
      await work(makePage(answers).act);
      await settled();
      assert.equal(asked, 1);
    });
  }

  test("when one joins by a link, and not while it is only looked at", async () => {
    const me = { name: "Ann", groups: [], joins: [], invitations: [], connection: "online" };
    const page = makePage({ import_state: () => me, preview_link: () => ({ kind: "preview" }), join: () => ({ state: "waiting", join_id: "j" }) });
    await page.act.importState(new Blob());
    await page.act.openLink(LINK);
    await settled();
    assert.equal(asked, 0);
    await page.act.join(LINK, "Ann");
    await settled();
    assert.equal(asked, 1);
  });

  test("not for what nothing depends on", async () => {
    const page = makePage({});
    await page.act.setName("Ann");
    await settled();
    assert.equal(asked, 0);
  });
});
