// The page's end of docs/bridge.md: numbered requests to the worker, their answers, and its events.

/** Why an operation failed: `code` for programs, the message is a sentence for people. */
export class BridgeError extends Error {
  constructor({ code, sentence }) {
    super(sentence);
    this.name = "BridgeError";
    this.code = code;
  }
}

/** Hands out events in bundles: the first at once, those that follow within a frame together. */
export function bundle(deliver, later) {
  let queue = [];
  let resting = false;
  const flush = () => {
    if (!queue.length) return false;
    const events = queue;
    queue = [];
    deliver(events);
    return true;
  };
  const rest = () => {
    resting = true;
    later(() => {
      resting = false;
      if (flush()) rest();
    });
  };
  const add = (event) => {
    queue.push(event);
    if (!resting && flush()) rest();
  };
  return { add, flush };
}

// A hidden page gets no frames, but its title and its state still follow.
const nextFrame = (run) => (document.hidden ? setTimeout(run, 16) : requestAnimationFrame(run));

/**
 * Talk to a worker.
 * @param {Worker} worker
 * @param {(events: object[]) => void} onEvents events in order; each carries `event`
 * @param {(sentence: string) => void} onCrash the worker is gone or never came up
 */
export function connect(worker, onEvents, onCrash, later = nextFrame) {
  const waiting = new Map();
  const events = bundle(onEvents, later);
  let last = 0;

  const settle = ({ id, result, error }) => {
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    events.flush(); // what happened before the answer is drawn before it
    if (error) reject?.(new BridgeError(error));
    else resolve?.(result);
  };
  worker.addEventListener("message", ({ data }) => ("id" in data ? settle(data) : events.add(data)));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    onCrash("A part of Coterie could not be loaded. Check the connection, then reload the page.");
  });

  const stop = () => {
    worker.terminate();
    for (const { reject } of waiting.values()) {
      reject(new BridgeError({ code: "moved", sentence: "Coterie was moved to another tab before this was done." }));
    }
    waiting.clear();
  };

  return {
    /** Carry out an operation; rejects with a BridgeError. */
    call: (op, data = {}) =>
      new Promise((resolve, reject) => {
        last += 1;
        waiting.set(last, { resolve, reject });
        worker.postMessage({ id: last, op, data });
      }),
    /** Tell the worker's JavaScript, not Python: `begin`, `release`, `stand_back`. */
    control: (control) => worker.postMessage({ control }),
    stop,
  };
}
