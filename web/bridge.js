// The page's end of docs/bridge.md: numbered requests to whichever tab's worker owns this device's state, and its events.
// When another becomes the owner, what was not answered is asked again, as far as asking twice is the same as once.
import { ASKS, TELLS } from "./tabs.js";

/**
 * Operations that may be carried out twice: they only read, or name what they make (`send_text` has a `line_id` for that).
 * Of any other nobody knows whether the owner that is gone had carried it out, so the person is told to look.
 */
const AGAIN = new Set([
  "devices", "discard_line", "export_state", "health", "invitations", "join", "list_invites", "list_passkeys", "lock_state", "mark_read",
  "open_group", "passkey_options", "people", "preview_link", "rename_device", "rename_passkey", "send_text", "set_name", "sign_in_options", "start",
]); // prettier-ignore
const INTERRUPTED = {
  code: "interrupted",
  sentence: "The tab that was at work here has gone before it could say whether this was done. Look, and otherwise do it again.",
};

/** Asked of an owner that could not start, because the device is locked; those of them that only read, of the next one, too. */
const BEFORE = new Set(["lock_state", "unlock"]);

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

const LATE_MS = 100;

/** A page that is hidden gets no frames, nor one that was asked for before; its title and its state still follow. */
export function nextFrame(run) {
  const late = setTimeout(() => {
    cancelAnimationFrame(frame);
    run();
  }, LATE_MS);
  const frame = requestAnimationFrame(() => {
    clearTimeout(late);
    run();
  });
}

export class Bridge {
  #tab = crypto.randomUUID();
  #owner = null; // the name of the worker that answers
  #left = new Set(); // owners that this tab went on from: one that was frozen may wake, and not know it yet
  #started = false; // the owner has answered `start`; until then nothing else is asked
  #heard = false; // since somebody asked
  #last = 0;
  #open = new Map(); // id -> {op, data, asked, resolve, reject}, in the order in which they were made
  #events;
  #page;
  #asks;

  /**
   * @param {object} page
   * @param {(events: object[]) => void} page.onEvents events in order; each carries `event`
   * @param {(snapshot: object) => void} page.onStart an owner has answered, a first one or another than before
   * @param {(error: BridgeError) => void} page.onFailure the owner could not start the client
   */
  constructor(page, later = nextFrame, open = (name) => new BroadcastChannel(name)) {
    this.#page = page;
    this.#events = bundle(page.onEvents, later);
    this.#asks = open(ASKS);
    open(TELLS).addEventListener("message", ({ data }) => this.#hear(data));
    this.hello();
  }

  /** Ask who owns the state; the owner answers, if there is one and it is not stuck. */
  hello() {
    this.#heard = false;
    this.#asks.postMessage({ hello: true });
  }

  /** Whether the owner was heard since the last `hello`. */
  get heard() {
    return this.#heard;
  }

  /** Whether there was an owner at all. */
  get served() {
    return this.#owner !== null;
  }

  /** Carry out an operation, by whoever is the owner as soon as there is one; rejects with a BridgeError. */
  call(op, data = {}) {
    return new Promise((resolve, reject) => {
      this.#last += 1;
      const request = { id: this.#last, op, data, asked: false, resolve, reject };
      this.#open.set(request.id, request);
      if (this.#started || BEFORE.has(op)) this.#ask(request);
    });
  }

  /** Ask an owner that could not start to try again. */
  again() {
    if (this.#owner && !this.#started) this.#start();
  }

  #ask(request) {
    const { id, op, data } = request;
    request.asked = true;
    this.#asks.postMessage({ tab: this.#tab, owner: this.#owner, id, op, data });
  }

  #hear({ owner, to, id, gone, ...said }) {
    if (gone) return this.#resigned(owner);
    if (owner !== this.#owner && !this.#left.has(owner) && !id && !said.event) this.#follow(owner);
    if (owner !== this.#owner) return undefined; // of one that was replaced
    this.#heard = true;
    if (said.event) return this.#events.add(said);
    return to === this.#tab ? this.#settle(id, said) : undefined;
  }

  #resigned(owner) {
    if (owner !== this.#owner) return;
    this.#left.clear(); // the one that answers now may have been met before
    this.hello();
  }

  /** Another owner: what waits is asked of that one once it has started. */
  #follow(owner) {
    this.#left.add(this.#owner);
    this.#owner = owner;
    this.#started = false;
    for (const [id, request] of [...this.#open]) {
      if (request.op === "start") this.#open.delete(id);
      else if (request.asked && !AGAIN.has(request.op)) this.#settle(id, { error: INTERRUPTED });
      else request.asked = false;
    }
    this.#start();
    for (const request of this.#open.values()) if (BEFORE.has(request.op)) this.#ask(request);
  }

  #start() {
    const begin = (snapshot) => {
      this.#started = true;
      for (const request of this.#open.values()) if (!request.asked) this.#ask(request);
      this.#page.onStart(snapshot);
    };
    this.call("start").then(begin, this.#page.onFailure);
    this.#ask(this.#open.get(this.#last));
  }

  #settle(id, { result, error }) {
    const request = this.#open.get(id);
    this.#open.delete(id);
    this.#events.flush(); // what happened before the answer is drawn before it
    if (error) request?.reject(new BridgeError(error));
    else request?.resolve(result);
  }
}
