// The whole page, from the state alone.
import { html } from "../components/html.js";
import { Problems } from "../components/problems.js";
import { Conversation } from "./conversation.js";
import { Dialogs } from "./dialogs.js";
import { Groups } from "./groups.js";
import { Join } from "./join.js";
import { Screen } from "./screen.js";
import { Waiting } from "./waiting.js";
import { Welcome } from "./welcome.js";

const isNew = ({ phase, known, me, groups, joins }) =>
  phase === "opening" ? !known : !me?.name && !Object.keys(groups).length && !Object.keys(joins).length;

function Main({ state, act }) {
  const { route } = state;
  const group = state.groups[route.group_id];
  if (route.view === "group" && (group || state.phase === "opening")) {
    return html`<${Conversation} key=${route.group_id} ...${{ state, act, group }} />`;
  }
  const join = state.joins[route.join_id];
  if (route.view === "waiting" && join) return html`<${Waiting} key=${join.join_id} ...${{ join, act }} />`;
  return html`
    <main class="empty">
      <p>${state.phase === "opening" ? "Opening your groups…" : "Choose a group, or make a new one."}</p>
    </main>
  `;
}

function Page({ state, act }) {
  if (state.phase !== "opening" && state.phase !== "ready") return html`<${Screen} ...${{ state, act }} />`;
  if (state.route.view === "join" && state.link) return html`<${Join} ...${{ state, act }} />`;
  if (isNew(state)) return html`<${Welcome} ...${{ state, act }} />`;
  return html`
    <div class="columns" data-route=${state.route.view}>
      <${Groups} ...${{ state, act }} />
      <${Main} ...${{ state, act }} />
    </div>
  `;
}

export const App = ({ state, act }) => html`
  <${Page} ...${{ state, act }} />
  ${state.phase === "ready" && html`<${Dialogs} ...${{ state, act }} />`}
  <${Problems} problems=${state.problems} onSeen=${act.problemSeen} />
`;
