// Everything the page knows, and the one pure function that changes it. Views only draw it.
// Events are the worker's (docs/bridge.md, `event` is their type) and the page's own; an unknown one is an error.

export const PROBLEMS_SHOWN = 3;
const GONE = "storage_gone"; // the browser took the database away while it was in use

/** What is known before the worker has answered. `known`: this browser held an account when it was last here. */
export function initial({ known = false, link = null, problem = null, group_id = null } = {}) {
  const route = link || problem ? { view: "join" } : group_id ? { view: "group", group_id } : { view: "home" };
  return {
    phase: "opening", // opening, ready, locked (`reason` says by what), failed
    reason: null, // why it failed, in a sentence
    known,
    lost: false, // the browser has thrown away what it held
    storage: null, // what the browser says of the storage (web/storage.js), and whether a backup was hinted at
    me: null, // {user_id, device_id, name, read_only, session}
    connection: null,
    catching_up: {}, // group_id -> {done, total}: how many messages that were missed have come in, while they are many
    groups: {},
    joins: {},
    invitations: {}, // group_id -> Invitation
    additions: {}, // group_id -> user_id -> Addition: what became of adding somebody
    devices_changed: 0, // how often the list of devices became another
    talks: {}, // group_id -> {members, lines, more, first_unread}
    invites: {}, // group_id -> [Invite], once asked for
    route,
    dialog: null,
    link: link ? { link, preview: null, problem: null } : problem ? { link: null, preview: null, problem } : null,
    drafts: {}, // group_id -> text not yet sent; memory only
    problems: [],
    problem_count: 0,
  };
}

const byId = (records, id) => Object.fromEntries(records.map((record) => [record[id], record]));

function without(map, id) {
  const { [id]: _gone, ...rest } = map;
  return rest;
}

/**
 * `lines` with `line` in its place: keys sort as the lines do; `was` is the key it had before.
 * `dom` stays the same when a line moves, so that it is neither drawn nor read out anew.
 */
export function place(lines, line, was) {
  const before = lines.find((other) => other.key === line.key || other.key === was);
  const placed = { ...line, dom: before?.dom ?? line.key };
  const rest = lines.filter((other) => other.key !== line.key && other.key !== was);
  let at = rest.length;
  while (at > 0 && rest[at - 1].key > line.key) at -= 1;
  return [...rest.slice(0, at), placed, ...rest.slice(at)];
}

/** Lines of an older page put before those that are there. */
function prepend(older, lines) {
  const have = new Set(lines.map((line) => line.key));
  return [...older.filter((line) => !have.has(line.key)), ...lines];
}

/** The key of the line above which "New" stands: the unread ones are the last that others wrote. */
function firstUnread(lines, unread) {
  let left = unread;
  for (let at = lines.length - 1; at >= 0 && left > 0; at -= 1) {
    const line = lines[at];
    if (line.kind === "text" && !line.mine && (left -= 1) === 0) return line.key;
  }
  return unread > 0 ? (lines[0]?.key ?? null) : null;
}

function withTalk(state, group_id, change) {
  const talk = state.talks[group_id];
  return talk ? { ...state, talks: { ...state.talks, [group_id]: { ...talk, ...change(talk) } } } : state;
}

function withoutGroup(state, group_id) {
  const here = state.route.view === "group" && state.route.group_id === group_id;
  return {
    ...state,
    groups: without(state.groups, group_id),
    talks: without(state.talks, group_id),
    drafts: without(state.drafts, group_id),
    invites: without(state.invites, group_id),
    ...(here && { route: { view: "home" }, dialog: null }),
  };
}

function withAddition(state, group_id, user_id, addition) {
  return { ...state, additions: { ...state.additions, [group_id]: { ...state.additions[group_id], [user_id]: addition } } };
}

/** The place to be once it is known what there is. */
function routeAfter(state, groups) {
  const { route } = state;
  return route.view === "group" && !groups[route.group_id] ? { view: "home" } : route;
}

const ON = {
  phase: (state, { phase, reason = null }) => ({ ...state, phase, reason }),

  snapshot(state, { snapshot }) {
    const { groups, joins, invitations, connection, ...me } = snapshot;
    const byGroup = byId(groups, "group_id");
    return {
      ...state,
      phase: "ready",
      reason: null,
      me,
      connection,
      catching_up: {},
      groups: byGroup,
      joins: byId(joins, "join_id"),
      invitations: byId(invitations, "group_id"),
      talks: {},
      invites: {},
      route: routeAfter(state, byGroup),
    };
  },

  /** Another tab goes on with the client: what is shown stays, and is read again. */
  resumed(state, { snapshot }) {
    const { group_id } = state.route;
    const shown = state.talks[group_id];
    const next = ON.snapshot(state, { snapshot });
    return shown && next.groups[group_id] ? { ...next, talks: { [group_id]: shown }, invites: state.invites } : next;
  },
  reread: (state, { group, members, lines, more }) =>
    withTalk({ ...state, groups: { ...state.groups, [group.group_id]: group } }, group.group_id, () => ({ members, lines, more })),

  connection: (state, { state: connection }) => ({ ...state, connection }),
  catching_up(state, { group_id, done, total }) {
    const rest = without(state.catching_up, group_id);
    return { ...state, catching_up: done < total ? { ...rest, [group_id]: { done, total } } : rest };
  },
  session: (state, { session }) => ({ ...state, me: { ...state.me, session } }),
  named: (state, { name }) => ({ ...state, known: true, me: { ...state.me, name } }),
  lost: (state) => ({ ...state, lost: true, known: false }),

  group: (state, { group }) => ({ ...state, groups: { ...state.groups, [group.group_id]: group } }),
  group_gone: (state, { group_id }) => withoutGroup(state, group_id),
  members: (state, { group_id, members }) => withTalk(state, group_id, () => ({ members })),

  opened(state, { group, members, lines, more }) {
    const talk = { members, lines, more, first_unread: firstUnread(lines, group.unread) };
    return {
      ...state,
      groups: { ...state.groups, [group.group_id]: group },
      talks: { ...state.talks, [group.group_id]: talk },
    };
  },
  older: (state, { group_id, lines, more }) =>
    withTalk(state, group_id, (talk) => ({ lines: prepend(lines, talk.lines), more })),
  /** Lines that read otherwise now, because somebody's name became known or changed. */
  refreshed: (state, { group_id, lines }) =>
    withTalk(state, group_id, (talk) => ({
      lines: lines.reduce((all, line) => (all.some(({ key }) => key === line.key) ? place(all, line) : all), talk.lines),
    })),
  line: (state, { group_id, line, was }) =>
    withTalk(state, group_id, (talk) => {
      const beyond = talk.more && talk.lines.length > 0 && line.key < talk.lines[0].key;
      return beyond ? {} : { lines: place(talk.lines, line, was) };
    }),
  line_gone: (state, { group_id, key }) =>
    withTalk(state, group_id, (talk) => ({ lines: talk.lines.filter((line) => line.key !== key) })),
  unread_seen: (state, { group_id }) => withTalk(state, group_id, () => ({ first_unread: null })),

  join(state, { join }) {
    const here = state.route.view === "waiting" && state.route.join_id === join.join_id;
    const arrived = here && join.state === "joined" && { route: { view: "group", group_id: join.group_id } };
    return { ...state, joins: { ...state.joins, [join.join_id]: join }, ...arrived };
  },
  join_gone(state, { join_id }) {
    const here = state.route.view === "waiting" && state.route.join_id === join_id;
    return { ...state, joins: without(state.joins, join_id), ...(here && { route: { view: "home" } }) };
  },

  invitation: (state, { invitation }) => ({ ...state, invitations: { ...state.invitations, [invitation.group_id]: invitation } }),
  /** Where one goes from there is decided by who accepted or declined it. */
  invitation_gone: (state, { group_id }) => ({ ...state, invitations: without(state.invitations, group_id) }),
  adding: (state, { group_id, user_id }) => withAddition(state, group_id, user_id, null),
  addition: (state, { addition }) => withAddition(state, addition.group_id, addition.user_id, addition),
  devices_changed: (state) => ({ ...state, devices_changed: state.devices_changed + 1 }),

  link: (state, { link = null, problem = null }) => ({ ...state, link: { link, problem, preview: null }, route: { view: "join" } }),
  previewed: (state, { preview }) => (state.link ? { ...state, link: { ...state.link, preview, problem: null } } : state),
  link_problem: (state, { problem }) => (state.link ? { ...state, link: { ...state.link, problem } } : state),
  link_done: (state) => ({ ...state, link: null, ...(state.route.view === "join" && { route: { view: "home" } }) }),

  invites: (state, { group_id, invites }) => ({ ...state, invites: { ...state.invites, [group_id]: invites } }),
  draft: (state, { group_id, text }) => ({ ...state, drafts: { ...state.drafts, [group_id]: text } }),

  go: (state, { route }) => ({ ...state, route, dialog: null }),
  /** Outcomes of adding somebody are shown in the dialog in which it was asked for, and nowhere later. */
  dialog: (state, { dialog }) => ({ ...state, dialog, additions: {} }),

  /** Lines came into a group above those that are there: what is shown is read again. */
  history: (state, { group_id }) => ({ ...state, talks: without(state.talks, group_id) }),
  storage: (state, { storage }) => ({ ...state, storage }),

  problem(state, { code, sentence }) {
    if (code === GONE) return { ...state, phase: "gone", reason: sentence };
    const said = state.me?.session?.why === sentence; // it stands on the page for as long as it holds
    if (said || state.problems.some((problem) => problem.sentence === sentence)) return state;
    const problem = { id: state.problem_count, code, sentence };
    const problems = [...state.problems, problem].slice(-PROBLEMS_SHOWN);
    return { ...state, problems, problem_count: state.problem_count + 1 };
  },
  problem_seen: (state, { id }) => ({ ...state, problems: state.problems.filter((problem) => problem.id !== id) }),
};

/** The state after `event`; the state given is never changed. */
export function reduce(state, event) {
  const change = Object.hasOwn(ON, event.type) ? ON[event.type] : null;
  if (!change) throw new Error(`unknown event ${event.type}`);
  return change(state, event);
}

/** Groups, the last active first. */
export function groupsInOrder(state) {
  return Object.values(state.groups).sort((a, b) => b.updated_at - a.updated_at || (a.group_id < b.group_id ? -1 : 1));
}
