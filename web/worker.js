// The worker: Pyodide, the Web Locks that decide which tab owns this device's state, and the way from the tabs to Python.
// Which operations there are is fixed in coterie/browser.py; nothing here builds Python from text.
// Every tab has a worker. One owns the state; one stands by with Python booted, so that it can go on at once; the others
// boot nothing, because each Python takes a tenth of a gigabyte.
import { boot, prepareNextVisit } from "./boot.js";
import { fail } from "./database.js";
import { own } from "./tabs.js";

const STATE = "coterie-state"; // held by the worker that owns this device's state, until it dies
const NEXT = "coterie-next"; // held by the one that stands by for it
const QUIET_MS = 4000; // after the start, before anything is fetched for the next visit

const phase = (name, reason) => self.postMessage({ phase: name, reason });

let tabs = null; // the tabs, while this worker is the owner
let taking = false; // the state out of turn
let served = false; // a `start` was answered
let page = null; // the promise of Python, once somebody wanted it
let started = null; // called when the client has answered its first `start`

/** Python, booted once; it touches no state before `start`. */
function python() {
  page ??= boot((json) => tabs?.event(JSON.parse(json))).catch((error) => {
    page = null; // the next one who wants it tries again
    phase("failed", "Coterie could not start here. Check the connection, then reload the page.");
    throw error;
  });
  return page;
}

const waiting = new AbortController(); // of the request that waits for the state

/** Stand by behind those that came earlier, then own the state; the next one stands by when this one is at work. */
async function begin() {
  await navigator.locks.request(NEXT, async () => {
    await python();
    await new Promise((done) => {
      started = done;
      hold({ signal: waiting.signal }).catch(done);
    });
  });
}

/** Boot out of turn: the owner does not answer, and this tab is looked at. */
async function prepare() {
  await python();
  phase("prepared");
}

/** Take the state from an owner that does not answer. Should that one wake, the version in the store stops its writing. */
async function take() {
  if (tabs || taking) return;
  taking = true;
  waiting.abort();
  await hold({ steal: true });
}

/** Own the state from when the lock is given until it is taken away. */
async function hold(options) {
  try {
    await navigator.locks.request(STATE, options, () => {
      tabs ??= own(perform); // `take` may overtake the request that it ends
      setTimeout(prepareNextVisit, QUIET_MS);
      return new Promise(() => {});
    });
  } catch (error) {
    if (error.name !== "AbortError" || options.signal?.aborted) throw error; // the latter: `take` is quicker than the queue
    end();
  }
}

/** Another worker has taken the state, or has to. */
function end() {
  tabs?.resign();
  phase("taken");
  self.close();
}

/** Carry out an operation: `{result}` or `{error: {code, sentence}}`. Its field `data`, if it has one, is bytes. */
async function perform({ op, data: given }) {
  try {
    const { data, ...fields } = given;
    const answer = await (await page).call(op, JSON.stringify(fields), data);
    served ||= op === "start";
    return typeof answer === "string" ? JSON.parse(answer) : { result: answer };
  } catch (error) {
    report(`operation ${op}`, error);
    if (op === "start" && served) end(); // Python is dead here, and whoever reloads would only reach it again
    const sentence = "Something went wrong inside Coterie. Reload the page; nothing that was saved is lost.";
    return { error: { code: "internal", sentence } };
  } finally {
    if (op === "start") started?.();
  }
}

/** To the console: where it happened. Messages of errors may hold what was typed, so they are left out. */
function report(what, error) {
  console.error(`coterie: ${what}: ${error?.name ?? "error"}`, error?.stack?.replace(error.message, "") ?? "");
}

const CONTROLS = { begin, prepare, take };

self.addEventListener("message", async ({ data: { control } }) => {
  try {
    await CONTROLS[control]();
  } catch (error) {
    // SecurityError: a site that may keep no data gets no locks either
    if (error.name === "SecurityError") phase("failed", fail("storage_denied", error).message);
    // InvalidStateError: the page is being left, and its channels are closed already
    if (!["AbortError", "InvalidStateError"].includes(error.name)) report(control, error);
  }
});
