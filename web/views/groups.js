// The list: joins that wait, groups with their last line, who one is, and how the connection is.
import { Avatar } from "../components/avatar.js";
import { Brand } from "../components/brand.js";
import { html } from "../components/html.js";
import { Icon } from "../components/icon.js";
import { shortTime } from "../components/time.js";

const CONNECTION = {
  online: "Connected",
  polling: "Connected, a little slower",
  offline: "Not connected",
};
const JOIN = { waiting: "Waiting to be let in", joined: "You are in" };

const GroupRow = ({ group, here, onGo }) => html`
  <li>
    <button type="button" class="row" aria-current=${here ? "page" : undefined} onClick=${onGo}>
      <${Avatar} name=${group.name} id=${group.group_id} />
      <span class="row-main">
        <span class="row-top"><span class="row-name">${group.name}</span>${group.last_line && html`<time>${shortTime(group.last_line.at)}</time>`}</span>
        <span class="row-top">
          <span class="row-text">${group.state === "active" ? (group.last_line?.text ?? "Nothing written yet") : group.why}</span>
          ${group.unread > 0 && html`<span class="badge"><span class="hidden">, unread: </span>${group.unread > 99 ? "99+" : group.unread}</span>`}
        </span>
      </span>
    </button>
  </li>
`;

const JoinRow = ({ join, here, onGo }) => html`
  <li>
    <button type="button" class="row" aria-current=${here ? "page" : undefined} onClick=${onGo}>
      <span class="avatar avatar-wait" aria-hidden="true"><${Icon} name="clock" /></span>
      <span class="row-main">
        <span class="row-top"><span class="row-name">${join.group_name}</span></span>
        <span class="row-text">${JOIN[join.state] ?? join.why}</span>
      </span>
    </button>
  </li>
`;

const Skeleton = () => html`
  <ul class="rows" aria-hidden="true">
    ${[1, 2, 3].map((n) => html`<li key=${n} class="row row-empty"><span class="avatar"></span><span class="row-main"><i></i><i></i></span></li>`)}
  </ul>
`;

const Nothing = () => html`
  <div class="nothing">
    <p>You are in no group yet.</p>
    <p>Make one and invite people with a link, or open a link that someone gave you.</p>
  </div>
`;

/** What one can begin, who one is, and how the connection is. A copy begins nothing: it reads and never sends. */
function Foot({ state, act, some }) {
  const { me, connection } = state;
  const idle = state.phase === "opening" || me?.read_only;
  return html`
    <footer class="side-foot">
      <div class="side-buttons">
        <button type="button" class="primary" disabled=${idle} onClick=${() => act.show("new_group")}><${Icon} name="plus" />New group</button>
        <button type="button" class="plain" disabled=${idle} onClick=${() => act.show("open_link")}><${Icon} name="link" />Open a link</button>
      </div>
      <p class="me">
        <span class="me-name">${me?.name ?? ""}</span>
        ${me?.read_only && html`<span>A copy: it never sends</span>`}
        ${!me?.read_only && some && html`<span class="connection" data-state=${connection} role="status">${CONNECTION[connection]}</span>`}
      </p>
    </footer>
  `;
}

const rowOf = (state, act) => ({
  join: (join) => html`<${JoinRow} key=${join.join_id} join=${join} here=${state.route.join_id === join.join_id} onGo=${() => act.go({ view: "waiting", join_id: join.join_id })} />`,
  group: (group) => html`<${GroupRow} key=${group.group_id} group=${group} here=${state.route.group_id === group.group_id} onGo=${() => act.go({ view: "group", group_id: group.group_id })} />`,
});

export function Groups({ state, act }) {
  const opening = state.phase === "opening";
  const groups = act.groupsInOrder();
  const joins = Object.values(state.joins).filter((join) => join.state !== "joined");
  const some = groups.length + joins.length > 0;
  const row = rowOf(state, act);
  return html`
    <nav class="side" aria-label="Groups">
      <header class="side-head">
        <${Brand} />
        <button type="button" class="round" aria-label="Settings" disabled=${opening} onClick=${() => act.show("settings")}><${Icon} name="gear" /></button>
      </header>
      <div class="side-list">
        ${opening && html`<${Skeleton} />`} ${!opening && !some && html`<${Nothing} />`}
        <ul class="rows">
          ${joins.map(row.join)} ${groups.map(row.group)}
        </ul>
      </div>
      <${Foot} ...${{ state, act, some }} />
    </nav>
  `;
}
