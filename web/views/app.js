// The whole page, from the state alone.
import { Above } from "../components/dialog.js";
import { html } from "../components/html.js";
import { Problems } from "../components/problems.js";
import { Conversation } from "./conversation.js";
import { Dialogs } from "./dialogs.js";
import { Groups } from "./groups.js";
import { Invitation } from "./invitation.js";
import { Join } from "./join.js";
import { Screen } from "./screen.js";
import { Unlock } from "./unlock.js";
import { Waiting } from "./waiting.js";
import { Welcome } from "./welcome.js";

const none = (records) => !Object.keys(records).length;

const isNew = ({ phase, known, me, groups, joins, invitations }) =>
  phase === "opening" ? !known : !me?.name && none(groups) && none(joins) && none(invitations);

function Main({ state, act }) {
  const { route } = state;
  const group = state.groups[route.group_id];
  if (route.view === "group" && (group || state.phase === "opening")) {
    return html`<${Conversation} key=${route.group_id} ...${{ state, act, group }} />`;
  }
  const join = state.joins[route.join_id];
  if (route.view === "waiting" && join) return html`<${Waiting} key=${join.join_id} ...${{ join, act }} />`;
  const invitation = state.invitations[route.group_id];
  if (route.view === "invitation" && invitation) return html`<${Invitation} key=${route.group_id} ...${{ invitation, act }} />`;
  return html`
    <main class="empty">
      <p>${state.phase === "opening" ? "Opening your groups…" : "Choose a group, or make a new one."}</p>
    </main>
  `;
}

/** Which of the two columns a narrow screen shows: the list, once an invitation is gone that was open. */
const placeOf = ({ route, invitations }) => (route.view === "invitation" && !invitations[route.group_id] ? "home" : route.view);

function Page({ state, act }) {
  if (state.phase === "locked") return html`<${Unlock} ...${{ state, act }} />`;
  if (state.phase !== "opening" && state.phase !== "ready") return html`<${Screen} ...${{ state, act }} />`;
  if (state.route.view === "join" && state.link) return html`<${Join} ...${{ state, act }} />`;
  if (isNew(state)) return html`<${Welcome} ...${{ state, act }} />`;
  return html`
    <div class="columns" data-route=${placeOf(state)}>
      <${Groups} ...${{ state, act }} />
      <${Main} ...${{ state, act }} />
    </div>
  `;
}

export function App({ state, act }) {
  const problems = html`<${Problems} problems=${state.problems} onSeen=${act.problemSeen} />`;
  const asked = state.phase === "ready" && state.dialog;
  return html`
    <${Page} ...${{ state, act }} />
    ${asked ? html`<${Above.Provider} value=${problems}><${Dialogs} ...${{ state, act }} /><//>` : problems}
  `;
}
