// The worker's life: made at once, started when it owns this device's state, let go when another tab asks for it.
import { connect } from "./bridge.js";
import { firstWorker, makeWorker } from "./start.js";
import { joinTabs } from "./tabs.js";

const ASK_MS = 8000; // another tab saves what it is at before it lets go
const STUCK = "The other tab does not answer. Close it, and this one goes on by itself.";

function resolvers() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}

export class Session {
  #page;
  #bridge = null;
  #role = "opening";
  #owned = null; // resolved when this tab owns the state
  #started = null; // resolved when the client has started; calls wait for it
  #tabs = joinTabs(() => this.#bridge.control(this.#role === "owner" ? "release" : "stand_back"));

  /**
   * @param {{onEvents: (events: object[]) => void, onPhase: (phase: string, reason?: string) => void}} page
   *   `onPhase`: owner, elsewhere, moved, failed
   */
  constructor(page) {
    this.#page = page;
    this.#begin(firstWorker);
  }

  /** Start the client, once this tab owns the state; its answer is a snapshot. */
  start = async () => {
    const { resolve } = this.#started;
    const snapshot = await this.#bridge.call("start");
    resolve();
    return snapshot;
  };

  /** Carry out an operation; rejects with a BridgeError. */
  call = async (op, data) => {
    await this.#started.promise;
    return this.#bridge.call(op, data);
  };

  /** Make this tab the owner: whichever is, is asked to let go. */
  takeOver = async () => {
    const mine = this.#owned.promise;
    this.#tabs.ask();
    const late = new Promise((_, fail) => setTimeout(() => fail(new Error(STUCK)), ASK_MS));
    await Promise.race([mine, late]);
  };

  #begin(worker) {
    this.#owned = resolvers();
    this.#started = resolvers();
    this.#bridge = connect(worker, (events) => this.#sort(events), (sentence) => this.#become("failed", sentence));
    this.#bridge.control("begin");
  }

  #become(role, reason) {
    this.#role = role;
    this.#page.onPhase(role, reason);
  }

  /** The worker's own events say whose turn it is; the client's go on to the page. */
  #sort(events) {
    const rest = events.filter((event) => event.event !== "phase");
    if (rest.length) this.#page.onEvents(rest);
    for (const event of events) if (event.event === "phase") this.#turn(event);
  }

  #turn({ phase, reason }) {
    if (phase === "released") this.#moved();
    else if (phase === "elsewhere" && this.#role === "moved") return; // says so already
    else {
      this.#become(phase, reason);
      if (phase === "owner") this.#owned.resolve();
    }
  }

  /** Another tab has it now; a new worker is ready to take over, and in the queue for it. */
  #moved() {
    this.#bridge.stop();
    this.#become("moved");
    this.#begin(makeWorker());
  }
}
