// The rows of the list: invitations, joins that wait, groups with their last line.
import { Avatar } from "../components/avatar.js";
import { html } from "../components/html.js";
import { Icon } from "../components/icon.js";
import { shortTime } from "../components/time.js";
import { nameOf } from "./invitation.js";

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

const InvitationRow = ({ invitation, here, onGo }) => html`
  <li>
    <button type="button" class="row" aria-current=${here ? "page" : undefined} onClick=${onGo}>
      <span class="avatar avatar-wait" aria-hidden="true"><${Icon} name="people" /></span>
      <span class="row-main">
        <span class="row-top"><span class="row-name">Invitation to ${nameOf(invitation)}</span></span>
        <span class="row-text">${invitation.state === "waiting" ? `${invitation.sender.name ?? "Someone"} added you` : invitation.why}</span>
      </span>
    </button>
  </li>
`;

export const rowOf = (state, act) => ({
  join: (join) => html`<${JoinRow} key=${join.join_id} join=${join} here=${state.route.join_id === join.join_id} onGo=${() => act.go({ view: "waiting", join_id: join.join_id })} />`,
  invitation: (invitation) =>
    html`<${InvitationRow} key=${invitation.group_id} invitation=${invitation} here=${state.route.view === "invitation" && state.route.group_id === invitation.group_id} onGo=${() => act.go({ view: "invitation", group_id: invitation.group_id })} />`,
  group: (group) => html`<${GroupRow} key=${group.group_id} group=${group} here=${state.route.view === "group" && state.route.group_id === group.group_id} onGo=${() => act.go({ view: "group", group_id: group.group_id })} />`,
});
