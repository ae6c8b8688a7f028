// A scripted worker: answers docs/bridge.md from memory. For looking at the page only; nothing here is shipped.
import { own } from "./tabs.js";

const ME = "u-ada#d-1";
const GROUP = "11111111-1111-4111-8111-111111111111";
const EMPTY = "22222222-2222-4222-8222-222222222222";
const BROKEN = "33333333-3333-4333-8333-333333333333";
const JOIN = "44444444-4444-4444-8444-444444444444";
const NOW = Date.now();
const MINUTE = 60_000;

const key = (seq, index = 0) => seq.toString(16).padStart(16, "0") + index.toString(16).padStart(4, "0");
const member = (identity, name, more = {}) => ({
  identity,
  user_id: identity.split("#")[0],
  device_id: identity.split("#")[1],
  name,
  fingerprint: { "u-ada#d-1": "9f86d081", "u-sam#d-2": "4ec9599f", "u-sam2#d-3": "b5bb9d80", "u-lin#d-4": "7d865e95" }[identity],
  me: identity === ME,
  owner: false,
  ...more,
});
const MEMBERS = [
  member(ME, "Ada Lovelace", { owner: true }),
  member("u-sam#d-2", "Sam"),
  member("u-sam2#d-3", "Sam"),
  member("u-lin#d-4", "Lin Zhao"),
];

let seq = 0;
const text = (sender, words, minutesAgo, more = {}) => ({
  key: key((seq += 1)),
  kind: "text",
  at: NOW - minutesAgo * MINUTE,
  sender,
  text: words,
  mine: sender === ME,
  state: sender === ME ? "sent" : null,
  code: null,
  why: "",
  ...more,
});
const notice = (code, words, minutesAgo) => ({ ...text(null, words, minutesAgo), kind: "notice", code, sender: null, mine: false, state: null });

const GAP_ADVICE = "Coterie asked for them again, got none, and goes on without them. Whoever wrote them can send them again.";
const NEWER_ADVICE = "It is kept, and shown once Coterie is new enough here: reload the page, or update the program.";
const DAY = 1440;
const LINES = [
  notice("created", "You created the group.", DAY + 300),
  notice("joined", "Sam joined, added by you.", DAY + 290),
  text("u-sam#d-2", "Hello! The link worked at once, I did not have to install anything.", DAY + 289),
  text(ME, "That was the idea 🙂", DAY + 288),
  text("u-sam#d-2", "So what is on for Saturday?", DAY + 287),
  text("u-sam#d-2", "I could bring the big tent, if somebody else takes the stove.", DAY + 286),
  notice("joined", "Lin Zhao joined, added by Sam.", 190),
  notice("joined", "Sam joined, added by you.", 188),
  text("u-sam2#d-3", "Hi, the other Sam here.", 187),
  text("u-lin#d-4", "Here is the list so far:\n– tent (Sam)\n– stove\n– two torches\n– a map on paper, because there is no reception behind the ridge", 60),
  text(ME, "I take the stove and the torches.", 58),
  text(ME, "And <b>this</b> stays <script>text</script> & nothing else. A very long word: Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft", 57),
  text("u-lin#d-4", "Perfect. Train leaves 8:12, platform 4.", 20),
  text("u-sam#d-2", "Could we take the later one?", 5),
  { ...notice("gap", "2 messages were held back by the service.", 5), advice: GAP_ADVICE },
  text("u-sam#d-2", "This was sent by a newer version of Coterie.", 5, { code: "newer_version", advice: NEWER_ADVICE }),
  text("u-lin#d-4", "9:12 works too.", 4),
];

const group = (group_id, name, more = {}) => ({
  group_id,
  name,
  epoch: 5,
  state: "active",
  why: "",
  unread: 0,
  last_line: { text: "9:12 works too.", at: NOW - 4 * MINUTE },
  members: 4,
  updated_at: NOW,
  can_send: true,
  can_forget: false,
  can_rejoin: false,
  again: null,
  after: null,
  goes_on_in: null,
  ...more,
});
const GROUPS = [
  group(GROUP, "Weekend in the hills", { unread: 2 }),
  group(EMPTY, "Reading circle", { members: 1, last_line: null, updated_at: NOW - 90 * MINUTE }),
  group(BROKEN, "Old flat", {
    state: "removed",
    why: "You were removed by Lin Zhao.",
    can_send: false,
    can_forget: true,
    last_line: { text: "Keys are under the mat", at: NOW - 9 * DAY * MINUTE },
    updated_at: NOW - 9 * DAY * MINUTE,
  }),
];
const LINK = `${location.origin}/?join=AAAAAAAAAAAAAAAAAAAAAA#1.BBBBBBBBBBBBBBBBBBBBBB`;
const INVITE = { invite_id: "ab".repeat(16), link: LINK, created_at: NOW, expires_at: NOW + 7 * DAY * MINUTE, max_uses: 50, uses: 2, ended: false };
const WAITING = { join_id: JOIN, group_name: "Garden committee", inviter_name: "Noor", state: "waiting", why: "" };

const SESSION = { state: "active", guest: true, why: "" };
const NONE = { state: "none", guest: false, why: "" };
const ENDED = { state: "ended", guest: false, why: "The service has ended this device's session. Sign in again as the same person: your groups, your history and what waits to be sent are kept." };
const INVITATION = { group_id: "55555555-5555-4555-8555-555555555555", group_name: null, sender: { user_id: "u-lin", device_id: "d-4", name: "Lin Zhao" }, created_at: NOW, state: "waiting", why: "" };
const PEOPLE = [
  { user_id: "u-noor", name: "Noor", fingerprint: "2c26b46b", devices: 1, groups: [EMPTY] },
  { user_id: "u-kim", name: "Kim", fingerprint: "fcde2b2e", devices: 2, groups: [] },
];
const NEW_KEY = { added: [], members: [], new_keys: [{ device_id: "d-9", key: "18ac3e7343f016890c510e93f935261169d9e3f565436429830faf0934f4f8e4" }], refused: [], missing: 0, why: "" };
const DEVICES = [
  { device_id: "d-1", name: "Browser", created_at: "2026-11-01T09:00:00Z", last_seen: new Date(NOW).toISOString(), current: true, revoked: false, key: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", groups: 2 },
  { device_id: "d-7", name: "Laptop", created_at: "2026-10-11T09:00:00Z", last_seen: "2026-11-12T09:00:00Z", current: false, revoked: false, key: null, groups: 2 },
];
const PASSKEYS = [{ id: "p-1", friendly_name: "Phone", created_at: "2026-11-02T10:00:00Z", last_used_at: null }];

const HEALTH = {
  group_id: GROUP,
  at: NOW,
  state: "active",
  code: null,
  why: "",
  epoch: 5,
  last_commit: { leaf: 3, name: "Lin Zhao", at: NOW - 190 * MINUTE },
  members: 4,
  out_of_date: [{ leaf: 2, name: "Sam", days: 12 }],
  outbox: { waiting: 0, oldest_at: null },
  cursor: 141,
  last_seq: 141,
  service: "",
  connection: "online",
  causes: [
    { code: "gap", times: 2, everywhere: 2, sentence: "Some messages were held back by the service.", advice: GAP_ADVICE },
    { code: "newer_version", times: 1, everywhere: 4, sentence: "This was sent by a newer version of Coterie.", advice: NEWER_ADVICE },
  ],
  findings: [
    { what: "state", text: "active", good: true },
    { what: "epoch", text: "5, by leaf 3 at 2026-11-21 15:55 UTC", good: true },
    { what: "members", text: "4; keys not renewed: leaf 2 (12 days)", good: true },
    { what: "causes", text: "gap 2, newer_version 1", good: true },
  ],
  good: true,
};

const scene = self.SCENE ?? "talk"; // set by server.mjs: talk, first, offline, dead, ended

let tabs = null;
const emit = (event) => tabs.event(event);
let name = "Ada Lovelace";
const invites = [];
const lines = new Map([[GROUP, LINES], [EMPTY, [notice("created", "You created the group.", 90)]], [BROKEN, [text("u-lin#d-4", "Keys are under the mat", 9 * DAY), notice("removed_self", "You were removed by Lin Zhao.", 9 * DAY)]]]);

const OPS = {
  start() {
    const fresh = scene === "first";
    if (fresh) name = null;
    return { user_id: fresh ? null : "u-ada", device_id: fresh ? null : "d-1", name, session: fresh ? NONE : scene === "ended" ? ENDED : SESSION, read_only: false, groups: fresh ? [] : GROUPS, joins: fresh ? [] : [WAITING], invitations: fresh ? [] : [INVITATION], connection: scene === "offline" ? "offline" : "online" };
  },
  set_name: (data) => ({ name: (name = data.name) }),
  create_group: (data) => {
    const made = group(crypto.randomUUID(), data.name, { members: 1, last_line: null });
    GROUPS.push(made);
    lines.set(made.group_id, [notice("created", "You created the group.", 0)]);
    return made;
  },
  open_group: ({ group_id, before }) => {
    const all = lines.get(group_id);
    if (before) return { group: GROUPS.find((one) => one.group_id === group_id), members: MEMBERS, lines: [], more: false };
    return { group: GROUPS.find((one) => one.group_id === group_id), members: MEMBERS, lines: all, more: group_id === GROUP };
  },
  send_text({ group_id, text: words }) {
    const pending = { ...text(ME, words, 0, { state: "pending" }), at: Date.now(), key: `8${key(0).slice(1, 12)}${crypto.randomUUID().slice(0, 8)}` };
    emit({ event: "line", group_id, line: pending });
    if (scene === "offline") return pending;
    const state = words.startsWith("fail") ? { state: "failed", code: "not_sent", why: "Not sent: the service refused it as too large." } : { state: "sent" };
    setTimeout(() => emit({ event: "line", group_id, line: { ...pending, key: key((seq += 1)), ...state }, was: pending.key }), 80);
    return pending;
  },
  health: () => ({ ...HEALTH, at: Date.now() }),
  discard_line: ({ group_id, key: gone }) => emit({ event: "line_gone", group_id, key: gone }) ?? {},
  list_invites: () => invites,
  create_invite: () => (invites.push(INVITE), INVITE),
  revoke_invite: () => (invites.pop(), {}),
  preview_link: () => {
    if (scene === "dead") throw { code: "invite_unavailable", sentence: "This invite link does not work any more. Ask for a new one." };
    return { kind: "preview", group_name: "Garden committee", inviter_name: "Noor", expires_at: NOW + 3 * DAY * MINUTE };
  },
  join: () => (emit({ event: "join", join: WAITING }), WAITING),
  cancel_join: ({ join_id }) => (emit({ event: "join", join: { ...WAITING, join_id, state: "cancelled" } }), {}),
  dismiss_join: () => ({}),
  remove_member: () => ({}),
  people: () => PEOPLE,
  add_person({ group_id, user_id, accept }) {
    const added = user_id === "u-noor" || accept.length > 0;
    emit({ event: "addition", addition: { ...NEW_KEY, group_id, user_id, ...(added && { added: [`${user_id}#d-9`], new_keys: [] }) } });
    return {};
  },
  devices: () => DEVICES,
  list_passkeys: () => PASSKEYS,
  mark_read: ({ group_id }) => {
    const one = GROUPS.find((other) => other.group_id === group_id);
    one.unread = 0;
    emit({ event: "group", group: { ...one } });
    return {};
  },
  export_state: () => new TextEncoder().encode("copy"),
};

async function perform({ op, data }) {
  try {
    return { result: await OPS[op](data) };
  } catch (error) {
    return { error: error.code ? error : { code: "internal", sentence: String(error) } };
  }
}

const begin = () => navigator.locks.request("fake", () => ((tabs = own(perform)), new Promise(() => {})));

self.addEventListener("message", ({ data }) => data.control === "begin" && setTimeout(begin, 100));
