// The list: joins that wait, groups with their last line, who one is, and how the connection is.
import { Brand } from "../components/brand.js";
import { CONNECTION } from "../components/connection.js";
import { html } from "../components/html.js";
import { Icon } from "../components/icon.js";
import { rowOf } from "./group_rows.js";
import { SignedOut } from "./signed_out.js";
import { BackupHint } from "./storage.js";

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
  const idle = state.phase === "opening" || me?.read_only || me?.session.state === "ended";
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

export function Groups({ state, act }) {
  const opening = state.phase === "opening";
  const groups = act.groupsInOrder();
  const joins = Object.values(state.joins).filter((join) => join.state !== "joined");
  const invitations = Object.values(state.invitations);
  const some = groups.length + joins.length + invitations.length > 0;
  const row = rowOf(state, act);
  return html`
    <nav class="side" aria-label="Groups">
      <header class="side-head">
        <${Brand} />
        <button type="button" class="round" aria-label="Settings" disabled=${opening} onClick=${() => act.show("settings")}><${Icon} name="gear" /></button>
      </header>
      <div class="side-list">
        <${SignedOut} ...${{ state, act }} />
        ${opening && html`<${Skeleton} />`} ${!opening && !some && html`<${Nothing} />`}
        <ul class="rows">
          ${invitations.map(row.invitation)} ${joins.map(row.join)} ${groups.map(row.group)}
        </ul>
        <${BackupHint} ...${{ state, act }} />
      </div>
      <${Foot} ...${{ state, act, some }} />
    </nav>
  `;
}
