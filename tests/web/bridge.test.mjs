import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { bundle, connect } from "../../web/bridge.js";

class FakeWorker extends EventTarget {
  posted = [];
  terminated = false;
  postMessage(message) {
    this.posted.push(message);
  }
  terminate() {
    this.terminated = true;
  }
  says(data) {
    this.dispatchEvent(Object.assign(new Event("message"), { data }));
  }
}

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

describe("requests", () => {
  let worker, seen, crashes, bridge;
  beforeEach(() => {
    worker = new FakeWorker();
    seen = [];
    crashes = [];
    bridge = connect(worker, (events) => seen.push(...events), (sentence) => crashes.push(sentence), () => {});
  });

  test("each answer finds its request, in any order", async () => {
    const [a, b] = [bridge.call("start"), bridge.call("send_text", { group_id: "g", text: "hi" })];
    const [first, second] = worker.posted;
    assert.deepEqual([first.op, second], ["start", { id: second.id, op: "send_text", data: { group_id: "g", text: "hi" } }]);
    worker.says({ id: second.id, result: "two" });
    worker.says({ id: first.id, result: "one" });
    assert.deepEqual(await Promise.all([a, b]), ["one", "two"]);
  });
  test("an error is a code and a sentence", async () => {
    const call = bridge.call("join");
    worker.says({ id: worker.posted[0].id, error: { code: "invite_unavailable", sentence: "This link does not work." } });
    await assert.rejects(call, { name: "BridgeError", code: "invite_unavailable", message: "This link does not work." });
  });
  test("what happened before an answer is delivered before it", async () => {
    const call = bridge.call("send_text").then(() => seen.push("answer"));
    worker.says({ event: "a" });
    worker.says({ event: "b" }); // waits for the frame, which never comes here
    worker.says({ id: worker.posted[0].id, result: null });
    await call;
    assert.deepEqual(seen, [{ event: "a" }, { event: "b" }, "answer"]);
  });
  test("when the worker is let go, what is open ends", async () => {
    const call = bridge.call("send_text");
    bridge.stop();
    await assert.rejects(call, { code: "moved" });
    assert.ok(worker.terminated);
  });
  test("a worker that can't be loaded is told in words", () => {
    worker.dispatchEvent(new Event("error"));
    assert.match(crashes[0], /could not be loaded/);
  });
});
