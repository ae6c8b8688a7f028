// What a person can do on the page: calls over the bridge, and what they change in the state.
import { createBackups } from "./backups.js";
import { saveFile } from "./files.js";
import { groupsInOrder } from "./state.js";
import { keepStorage as askToKeep, lookAtStorage, storageKept } from "./storage.js";
import { readLink } from "./link.js";
import { mark, marked, unmark } from "./marks.js";
import { canPasskeys, makePasskey, secretOf, usePasskey } from "./passkeys.js";

const HINTED = "coterie.backup_hint"; // says only that the hint was seen
const REFRESHED = 200; // lines that are read again at most when a name changes
/**
 * @param {{call: Function, restart: Function}} session whoever carries out operations now
 * @param {() => object} get the state
 * @param {(event: object) => void} dispatch
 */
export function createActions(session, get, dispatch) {
  const { call } = session;
  let sending = 0; // lines that are not saved yet
  const unsaved = []; // [group_id, text] of those that could not be, until no other is under way
  const again = new Set(); // failed lines that are being sent again
  const problem = (error) => dispatch({ type: "problem", code: error.code ?? "internal", sentence: error.message });
  const told = (promise) => promise.catch(problem);
  const go = (route) => dispatch({ type: "go", route });
  const hide = () => dispatch({ type: "dialog", dialog: null });
  const draft = (group_id, text) => dispatch({ type: "draft", group_id, text });
  const enter = (group_id) => go({ view: "group", group_id });

  /** Asks the browser not to clear this device's data, where there is something to lose; shows what it says. */
  async function keepStorage() {
    await askToKeep();
    await noteStorage();
  }

  async function noteStorage() {
    dispatch({ type: "storage", storage: { ...(await lookAtStorage()), hinted: marked(HINTED) } });
  }

  const backups = createBackups(call);

  /** The hint to make a backup has been read, or followed. */
  function hinted() {
    mark(HINTED);
    noteStorage();
  }

  async function preview() {
    const { link } = get().link;
    dispatch({ type: "link_problem", problem: null });
    try {
      const found = await call("preview_link", { link });
      if (found.kind === "preview") dispatch({ type: "previewed", preview: found });
      else arrive(found);
    } catch (error) {
      dispatch({ type: "link_problem", problem: error.message });
    }
  }

  /** A link that leads to where one already is, or waits. */
  function arrive(found) {
    dispatch({ type: "link_done" });
    if (found.kind === "member") enter(found.group_id);
    else go({ view: "waiting", join_id: found.join_id });
  }

  async function join(link, name) {
    const made = await call("join", { link, name });
    keepStorage();
    if (!get().me.name) dispatch({ type: "named", name: name.trim() });
    if (made.state === "joined") arrive({ kind: "member", group_id: made.group_id });
    else arrive({ kind: "waiting", join_id: made.join_id });
  }

  /** What was written is never lost: it goes back in its order, before what was begun since. */
  function giveBack() {
    for (const [group_id, text] of unsaved.splice(0).reverse()) {
      const begun = get().drafts[group_id];
      draft(group_id, begun ? `${text}\n${begun}` : text);
    }
  }

  /** Have a line saved: whether it was. That it was not is told, and `onFailed` is called before. */
  async function submit(group_id, text, onFailed) {
    dispatch({ type: "unread_seen", group_id });
    addEventListener("beforeunload", stay);
    sending += 1;
    try {
      // The line itself comes as an event; by its id it is one line, even if another tab's worker is asked again.
      await call("send_text", { group_id, text: text.toWellFormed?.() ?? text, line_id: crypto.randomUUID() });
      return true;
    } catch (error) {
      onFailed?.();
      problem(error);
      return false;
    } finally {
      sending -= 1;
      if (!sending) {
        removeEventListener("beforeunload", stay);
        giveBack();
      }
    }
  }

  async function send(group_id, text) {
    if (!text.trim()) return;
    draft(group_id, "");
    await submit(group_id, text, () => unsaved.push([group_id, text]));
  }

  /** A line that failed stands where it is until its like is saved. */
  async function sendAgain(group_id, { key, text }) {
    const line = `${group_id} ${key}`;
    if (again.has(line)) return; // clicked twice
    again.add(line);
    if (await submit(group_id, text)) await told(call("discard_line", { group_id, key }));
    again.delete(line);
  }

  const listInvites = async (group_id) =>
    dispatch({ type: "invites", group_id, invites: await call("list_invites", { group_id }) });

  return {
    go,
    hide,
    draft,
    preview,
    join,
    send,
    sendAgain,
    listInvites,
    groupsInOrder: () => groupsInOrder(get()),
    show: (dialog) => dispatch({ type: "dialog", dialog }),
    problemSeen: (id) => dispatch({ type: "problem_seen", id }),
    canPasskeys,
    linkDone: () => dispatch({ type: "link_done" }),
    reload: () => location.reload(),
    /** The reload finds nothing, maybe not even the sign that there was something: it is told here that there was. */
    beginAnew() {
      history.replaceState({ ...history.state, lost: true }, "");
      location.reload();
    },

    async setName(name) {
      dispatch({ type: "named", ...(await call("set_name", { name: name.trim() })) });
    },
    async createGroup(name) {
      const group = await call("create_group", { name: name.trim() });
      keepStorage();
      if (!get().groups[group.group_id]) dispatch({ type: "group", group });
      enter(group.group_id);
    },
    async openLink(text) {
      const found = readLink(text);
      if (!found || found.problem) throw new Error(found?.problem ?? "This is not an invite link.");
      hide();
      dispatch({ type: "link", link: found.link });
      preview();
    },
    open: (group_id) => told(call("open_group", { group_id }).then((talk) => dispatch({ type: "opened", ...talk }))),
    older: (group_id, before) =>
      told(call("open_group", { group_id, before }).then(({ lines, more }) => dispatch({ type: "older", group_id, lines, more }))),
    async health(group_id) {
      const [health, kept] = await Promise.all([call("health", { group_id }), storageKept()]);
      return { health, kept };
    },
    refresh(group_id) {
      const shown = get().talks[group_id]?.lines.length;
      if (!shown) return undefined;
      const again = call("open_group", { group_id, limit: Math.min(shown, REFRESHED) });
      return told(again.then(({ lines }) => dispatch({ type: "refreshed", group_id, lines })));
    },
    /** All that is shown of a group, as whoever goes on with the client has it. */
    reread(group_id) {
      const limit = Math.max(get().talks[group_id].lines.length, 1);
      return told(call("open_group", { group_id, limit }).then((talk) => dispatch({ type: "reread", ...talk })));
    },
    markRead: (group_id, seq) => told(call("mark_read", { group_id, seq })),
    discard: (group_id, key) => told(call("discard_line", { group_id, key })),
    async createInvite(group_id, expires_in, max_uses) {
      await call("create_invite", { group_id, expires_in, max_uses });
      await listInvites(group_id);
    },
    async revokeInvite(group_id, invite_id) {
      await call("revoke_invite", { invite_id });
      await listInvites(group_id);
    },
    async cancelJoin(join_id) {
      await call("cancel_join", { join_id });
    },
    async dismissJoin(join_id) {
      await call("dismiss_join", { join_id });
      dispatch({ type: "join_gone", join_id });
    },
    people: () => call("people"),
    async addPerson(group_id, user_id, accept) {
      dispatch({ type: "adding", group_id, user_id });
      await call("add_person", { group_id, user_id, accept }); // what became of it comes as an event
    },
    async acceptInvitation(group_id) {
      const { group } = await call("accept_invitation", { group_id });
      if (!group) return; // it does not hold: the invitation says why
      keepStorage();
      enter(group_id);
    },
    async declineInvitation(group_id) {
      await call("decline_invitation", { group_id });
      go({ view: "home" });
    },
    async removeMember(group_id, identity) {
      await call("remove_member", { group_id, identity });
      hide();
    },
    async leave(group_id) {
      await call("leave_group", { group_id });
      hide();
    },
    async startAgain(group_id) {
      const group = await call("start_again", { group_id });
      if (!get().groups[group.group_id]) dispatch({ type: "group", group });
      enter(group.group_id);
    },
    async rejoin(group_id) {
      await call("rejoin", { group_id });
    },
    async forget(group_id) {
      await call("forget_group", { group_id });
      dispatch({ type: "group_gone", group_id });
    },
    devices: () => call("devices"),
    async revokeDevice(device_id) {
      await call("revoke_device", { device_id });
      dispatch({ type: "dialog", dialog: "settings" });
    },
    renameDevice: (name) => call("rename_device", { name }),
    listPasskeys: () => call("list_passkeys"),
    async addPasskey() {
      const { challenge_id, options } = await call("passkey_options");
      await call("passkey_verify", { challenge_id, credential: await makePasskey(options) });
      keepStorage();
    },
    renamePasskey: (passkey_id, name) => call("rename_passkey", { passkey_id, name }),
    removePasskey: (passkey_id) => call("remove_passkey", { passkey_id }),
    async signIn() {
      const { challenge_id, options } = await call("sign_in_options");
      const credential = await usePasskey(options);
      dispatch({ type: "snapshot", snapshot: await call("sign_in_verify", { challenge_id, credential }) });
      keepStorage();
    },
    lockState: () => call("lock_state"),
    /** `current` and `following`: what opens the lock as it is and as it will be; null for a passkey that is asked. */
    async lockWith(way, current, following) {
      const known = (await call("lock_state")).credential;
      await call("lock_with", { way, current: current ?? (await secretOf(known)), following: following ?? (await secretOf(null)) });
    },
    lock: () => call("lock"), // every tab is told, and reloads
    unlock: (passphrase) => call("unlock", { passphrase }), // every tab is told, and starts
    async unlockWithPasskey() {
      const { prf } = await secretOf((await call("lock_state")).credential);
      await call("unlock", { prf });
    },
    async exportState() {
      saveFile([await call("export_state")], "coterie-copy.bin");
    },
    async importState(file) {
      const data = new Uint8Array(await file.arrayBuffer());
      dispatch({ type: "snapshot", snapshot: await call("import_state", { data }) });
    },
    async backUp(passphrase, onSize, signal) {
      const size = await backups.backUp(passphrase, onSize, signal);
      hinted();
      return size;
    },
    async restore(file, options) {
      const restored = await backups.restore(file, options);
      keepStorage();
      return restored;
    },
    keepStorage,
    noteStorage,
    hinted,
    async signOut() {
      await call("sign_out");
      unmark(HINTED);
      session.restart();
    },
  };
}

/** Asks before the page is closed while a line is not saved yet; that takes milliseconds, or as long as Python boots. */
const stay = (event) => event.preventDefault();
