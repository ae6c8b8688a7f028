// The worker: Pyodide, the Web Lock that makes this tab the owner of the state, and the way from postMessage to Python.
// Which operations there are is fixed in coterie/browser.py; nothing here builds Python from text.
// Python is booted at once; the state is not touched before `begin`, and not without the lock.
import { boot, prepareNextVisit } from "./boot.js";

const LOCK = "coterie-state";
const PATIENCE_MS = 400; // a page that is just being reloaded lets go of the lock within this
const QUIET_MS = 4000; // after the start, before anything is fetched for the next visit
const STAND_BACK_MS = 3000; // room for the tab that asked, before the others queue again

const emit = (event) => self.postMessage(event);
const phase = (name, reason) => emit({ event: "phase", phase: name, reason });

const page = boot((json) => emit(JSON.parse(json)));
page.catch(() => {}); // each use below tells it

let letGo = null; // ends the lock, while it is held
let queued = null; // the AbortController of the request that waits

/** Wait for the lock and hold it until it is released. */
async function own() {
  queued = new AbortController();
  const late = setTimeout(() => phase("elsewhere"), PATIENCE_MS);
  try {
    await navigator.locks.request(LOCK, { signal: queued.signal }, async () => {
      clearTimeout(late);
      queued = null;
      await hold();
    });
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  } finally {
    clearTimeout(late);
  }
}

/** The lock is held: start the client, and keep the lock until `release`. */
async function hold() {
  const released = new Promise((resolve) => (letGo = resolve));
  try {
    await page;
    phase("owner");
    setTimeout(prepareNextVisit, QUIET_MS);
  } catch (error) {
    report("the client did not start", error);
    phase("failed", "Coterie could not start here. Check the connection, then reload the page.");
    return;
  }
  await released;
}

/** Let another tab have it: Python finishes what it is saving, then the lock goes. */
async function release() {
  if (!letGo) return;
  const end = letGo;
  letGo = null;
  try {
    await (await page).close();
  } catch (error) {
    report("the client did not close", error);
  }
  phase("released");
  end();
}

/** Another waiting tab is to have it first. */
function standBack() {
  if (!queued) return;
  queued.abort();
  setTimeout(own, STAND_BACK_MS);
}

const CONTROLS = { begin: own, release, stand_back: standBack };

async function perform({ id, op, data }) {
  const client = await page;
  const given = data instanceof Uint8Array ? data : JSON.stringify(data);
  const answer = await client.call(op, given);
  if (typeof answer !== "string") return { id, result: answer };
  return { id, ...JSON.parse(answer) };
}

async function answer(request) {
  try {
    self.postMessage(await perform(request));
  } catch (error) {
    report(`operation ${request.op}`, error);
    const sentence = "Something went wrong inside Coterie. Reload the page; nothing that was saved is lost.";
    self.postMessage({ id: request.id, error: { code: "internal", sentence } });
  }
}

/** To the console: where it happened. Messages of errors may hold what was typed, so they are left out. */
function report(what, error) {
  console.error(`coterie: ${what}: ${error?.name ?? "error"}`, error?.stack?.replace(error.message, "") ?? "");
}

self.addEventListener("message", ({ data }) => {
  if ("control" in data) CONTROLS[data.control]();
  else answer(data);
});
