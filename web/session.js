// This tab's part in who owns this device's state: its worker waits its turn, and goes out of turn when the owner does not
// answer while somebody looks at this tab. What the page asks goes to the owner, whichever tab's worker that is.
import { Bridge } from "./bridge.js";
import { firstWorker, makeStretcher, makeWorker } from "./start.js";
import { stretchFor } from "./stretcher.js";

const LOOK_MS = 1000; // between two looks whether the owner answers
const PATIENCE = 5; // looks without an answer before this tab takes over; no work in a worker may keep it silent that long

export class Session {
  #page;
  #bridge;
  #worker = null;
  #silent = 0; // looks in a row without an answer

  /**
   * @param {object} page
   * @param {(events: object[]) => void} page.onEvents
   * @param {(snapshot: object) => void} page.onStart the client has started, or goes on in another tab
   * @param {(sentence: string, code?: string) => void} page.onFailure nobody can start it
   */
  constructor(page) {
    this.#page = page;
    const onFailure = (error) => page.onFailure(error.message, error.code);
    this.#bridge = new Bridge({ onEvents: page.onEvents, onStart: page.onStart, onFailure });
    this.#employ(firstWorker);
    setInterval(() => this.#look(), LOOK_MS);
    document.addEventListener("visibilitychange", () => this.#bridge.hello());
  }

  /** Carry out an operation; rejects with a BridgeError. */
  call = (op, data) => this.#bridge.call(op, data);

  /** Start once more what could not be started. */
  again = () => this.#bridge.again();

  #employ(worker) {
    this.#worker = worker;
    worker.addEventListener("message", ({ data, ports }) => (data.stretch ? stretchFor(makeStretcher, data.stretch, ports[0]) : this.#turn(data)));
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#turn({ phase: "failed", reason: "A part of Coterie could not be loaded. Check the connection, then reload the page." });
    });
    this.#control("begin");
  }

  #control = (control) => this.#worker.postMessage({ control });

  #turn({ phase, reason }) {
    if (phase === "prepared" && this.#silent >= PATIENCE) this.#control("take");
    if (phase === "taken") this.#employ(makeWorker());
    if (phase === "failed") this.#fail(reason);
  }

  /** Told only where no other tab does the work. */
  #fail(reason) {
    if (!this.#bridge.served || this.#silent >= PATIENCE) this.#page.onFailure(reason);
  }

  /** A frozen tab keeps its locks and says nothing; one that is looked at does not wait for it. */
  #look() {
    this.#silent = document.hidden || this.#bridge.heard ? 0 : this.#silent + 1;
    if (this.#silent && this.#silent % PATIENCE === 0) this.#control("prepare");
    if (!document.hidden) this.#bridge.hello();
  }
}
