// Who is in the group, and what one can do about it.
import { Avatar } from "../components/avatar.js";
import { Dialog } from "../components/dialog.js";
import { html } from "../components/html.js";
import { Icon } from "../components/icon.js";
import { labels } from "../components/people.js";
import { counted } from "../components/time.js";
import { Earlier } from "./again.js";

const Member = ({ member, label, onRemove }) => html`
  <li class="member">
    <${Avatar} name=${label.name} id=${member.identity} />
    <span class="member-main">
      <span class="member-name">${label.name}${member.me && html` <span class="tag">you</span>`}${member.owner && html` <span class="tag">made the group</span>`}</span>
      ${label.fingerprint && html`<span class="hint">Key begins with <code>${label.fingerprint}</code></span>`}
    </span>
    ${onRemove && html`<button type="button" class="round" aria-label=${`Remove ${label.name}`} onClick=${onRemove}><${Icon} name="close" /></button>`}
  </li>
`;

export function Members({ state, act, group }) {
  const members = state.talks[group.group_id]?.members ?? [];
  const known = labels(members);
  const twins = [...known.values()].some((label) => label.fingerprint);
  const mayRemove = group.can_send && members.some((member) => member.me && member.owner);
  return html`
    <${Dialog} title=${group.name} onClose=${act.hide}>
      <div class="dialog-body">
        <p class="hint">${counted(members.length, "member")}</p>
        ${twins && html`<p class="notice-box">Some members have the same name. Compare the beginning of their keys with them, over the phone or in person.</p>`}
        <ul class="members">
          ${members.map((member) => {
            const label = known.get(member.identity);
            const remove = mayRemove && !member.me && (() => act.show({ kind: "remove", group, member, name: label.name }));
            return html`<${Member} key=${member.identity} member=${member} label=${label} onRemove=${remove} />`;
          })}
        </ul>
        ${group.state !== "archive" &&
        html`<p class="hint">Something seems wrong? <button type="button" class="link" onClick=${() => act.show({ kind: "health", group })}>Health of this group</button></p>`}
        <div class="dialog-foot">
          <${Earlier} ...${{ group, act }} />
          ${!group.can_forget
            ? html`<button type="button" class="plain danger" disabled=${!group.can_send} onClick=${() => act.show({ kind: "leave", group })}>Leave the group…</button>`
            : html`<button type="button" class="plain danger" onClick=${() => act.show({ kind: "forget", group })}>Delete from this device…</button>`}
          ${group.can_send && html`<button type="button" class="plain" onClick=${() => act.show("add")}><${Icon} name="plus" />Add someone</button>
            <button type="button" class="primary" onClick=${() => act.show("invite")}><${Icon} name="link" />Invite people</button>`}
        </div>
      </div>
    <//>
  `;
}
