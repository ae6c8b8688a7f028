// Starts the page: what the address says, the first picture, then the owner of the state and what it tells.
import { createActions } from "./actions.js";
import { html } from "./components/html.js";
import { addressOf, groupInHash, readLink } from "./link.js";
import { mark, marked, unmark } from "./marks.js";
import { Session } from "./session.js";
import { initial, reduce } from "./state.js";
import { render } from "./vendor/preact.mjs";
import { effect, signal } from "./vendor/signals.mjs";
import { App } from "./views/app.js";

const KNOWN = "coterie.known"; // says only that this browser held an account, to tell a first visit from lost storage

const INSECURE =
  "Browsers allow encryption only on pages that come over HTTPS, or from localhost. Open this address with https:// in front, or ask whoever runs it to set that up.";
const TOO_OLD = "This browser is too old for Coterie: it lacks something that the encryption or the storage needs. Update it, or use another.";

/** What the address asks for; a link's secret is taken out of the address bar before anything else happens. */
function readAddress() {
  const found = readLink(location.href);
  const kept = history.state?.link ?? null; // a reload while the link is being looked at
  if (!found && !kept) return { group_id: groupInHash(location.hash) };
  const link = found ? (found.link ?? null) : kept;
  history.replaceState({ link }, "", "/");
  return { link, problem: found?.problem ?? null };
}

function cannotRun() {
  if (!isSecureContext) return INSECURE;
  const has = globalThis.WebAssembly && globalThis.indexedDB && navigator.locks && globalThis.BroadcastChannel;
  return has ? null : TOO_OLD;
}

const asked = readAddress();
const state = signal(initial({ ...asked, known: marked(KNOWN) }));
const get = () => state.peek();
const dispatch = (event) => (state.value = reduce(state.peek(), event));

/** The owner's events, in bundles; `refresh` asks for lines to be read again. */
function onEvents(events) {
  const again = new Set();
  let next = get();
  for (const { event: type, ...fields } of events) {
    if (type === "refresh") again.add(fields.group_id);
    else if (type === "signed_out") return restart();
    else if (type === "locked") return location.reload(); // what was shown goes with the page
    else if (type === "unlocked") next = reopened(next);
    else next = reduce(next, { type, ...fields });
  }
  state.value = next;
  for (const group_id of again) act.refresh(group_id);
  return undefined;
}

/** The lock is open: what is behind it takes a moment, in which nobody should look at the lock any more. */
function reopened(now) {
  session.again();
  return now.phase === "locked" ? reduce(now, { type: "phase", phase: "opening" }) : now;
}

/** The client has started, in whichever tab; once more when another tab went on with it. */
function onStart(snapshot) {
  const { known, link, phase } = get();
  if ((known || history.state?.lost) && !snapshot.name && !snapshot.device_id) forgotten();
  dispatch({ type: phase === "ready" ? "resumed" : "snapshot", snapshot });
  for (const group_id of Object.keys(get().talks)) act.reread(group_id);
  if (link?.link && !link.preview) act.preview();
}

/** A lock is a phase of its own, whose reason is what opens it. */
function onFailure(sentence, code) {
  const way = /^locked_(\w+)$/.exec(code)?.[1];
  dispatch(way ? { type: "phase", phase: "locked", reason: way } : { type: "phase", phase: "failed", reason: sentence });
}

/** The browser threw away what it held: said, once, and not answered by pretending that nothing was lost. */
function forgotten() {
  unmark(KNOWN);
  history.replaceState({ ...history.state, lost: undefined }, "");
  dispatch({ type: "lost" });
}

/** The address and the history follow the place in the page, so that "back" and reload do what one expects. */
function followRoute() {
  let before = get().route;
  effect(() => {
    const { route, link } = state.value;
    if (!link && history.state?.link) history.replaceState(null, "", location.href);
    if (route === before) return;
    const deeper = before.view === "home";
    before = route;
    if (route.view !== "join") remember(route, deeper);
  });
  addEventListener("popstate", ({ state: kept }) => {
    if (readLink(location.href)) return location.reload(); // a link pasted over the address
    const group_id = groupInHash(location.hash);
    before = kept?.route ?? (group_id ? { view: "group", group_id } : { view: "home" });
    return dispatch({ type: "go", route: before });
  });
}

/** One entry of the history for the list, one for what was chosen in it. */
function remember(route, deeper) {
  const pushed = history.state?.pushed ?? false;
  if (route.view === "home" && pushed) history.back();
  else if (deeper) history.pushState({ route, pushed: true }, "", addressOf(route));
  else history.replaceState({ route, pushed }, "", addressOf(route));
}

/** A conversation that is shown gets loaded. */
function followTalk() {
  const asking = new Set();
  effect(() => {
    const { phase, route, talks, groups } = state.value;
    const { group_id } = route;
    if (phase !== "ready" || !groups[group_id] || talks[group_id] || asking.has(group_id)) return;
    asking.add(group_id);
    act.open(group_id).finally(() => asking.delete(group_id));
  });
}

function followTitle() {
  effect(() => {
    const unread = Object.values(state.value.groups).reduce((sum, group) => sum + group.unread, 0);
    document.title = unread ? `(${unread}) Coterie` : "Coterie";
  });
}

function followKnown() {
  effect(() => {
    const { me } = state.value;
    if (me?.device_id || me?.name) mark(KNOWN);
  });
}

const unable = cannotRun();
if (unable) dispatch({ type: "phase", phase: "failed", reason: unable });
const session = unable ? { call: () => new Promise(() => {}) } : new Session({ onEvents, onStart, onFailure });

/** Start anew with nothing in memory, on purpose: this device was signed out, here or in another tab. */
function restart() {
  unmark(KNOWN);
  location.replace("/");
}

const act = createActions({ call: session.call, restart }, get, dispatch);
const Root = () => html`<${App} state=${state.value} act=${act} />`;
render(html`<${Root} />`, document.getElementById("app"));
followRoute();
followTalk();
followTitle();
followKnown();
act.noteStorage();
