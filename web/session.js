// The worker's life: made at once, started when it owns this device's state, let go when another tab asks for it.
import { connect } from "./bridge.js";
import { firstWorker, makeWorker } from "./start.js";
import { joinTabs } from "./tabs.js";

const ASK_MS = 8000; // another tab saves what it is at before it lets go

/**
 * @param {{onEvents: (events: object[]) => void, onPhase: (phase: string, reason?: string) => void}} page
 *   `onPhase`: opening, owner, elsewhere, moved, failed
 */
export function openSession({ onEvents, onPhase }) {
  let bridge = null;
  let role = "opening";
  let owned = null; // resolved when this tab owns the state
  let started = null; // resolved when the client has started; calls wait for it

  const become = (next, reason) => {
    role = next;
    onPhase(next, reason);
  };
  const begin = (worker) => {
    owned = resolvers();
    started = resolvers();
    bridge = connect(worker, sort, (sentence) => become("failed", sentence));
    bridge.control("begin");
  };

  /** The worker's own events first: they say whose turn it is. */
  function sort(events) {
    const rest = events.filter((event) => event.event !== "phase");
    if (rest.length) onEvents(rest);
    for (const event of events) if (event.event === "phase") turn(event);
  }

  function turn({ phase, reason }) {
    if (phase === "owner") {
      become("owner");
      owned.resolve();
    } else if (phase === "released") {
      bridge.stop();
      become("moved");
      begin(makeWorker()); // ready to take over, and in the queue for it
    } else if (phase === "elsewhere") {
      if (role !== "moved") become("elsewhere");
    } else become(phase, reason);
  }

  const tabs = joinTabs(() => bridge.control(role === "owner" ? "release" : "stand_back"));

  async function takeOver() {
    const mine = owned.promise;
    tabs.ask();
    const late = new Promise((_, fail) => setTimeout(() => fail(new Error(STUCK)), ASK_MS));
    await Promise.race([mine, late]);
  }

  begin(firstWorker);
  return {
    /** Start the client, once this tab owns the state; its answer is a snapshot. */
    async start() {
      const snapshot = await bridge.call("start");
      started.resolve();
      return snapshot;
    },
    async call(op, data) {
      await started.promise;
      return bridge.call(op, data);
    },
    takeOver,
  };
}

const STUCK = "The other tab does not answer. Close it, and this one goes on by itself.";

function resolvers() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
