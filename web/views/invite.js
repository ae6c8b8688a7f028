// Invite links of a group: make one, hand it on, end it.
import { CopyButton } from "../components/copy.js";
import { Dialog } from "../components/dialog.js";
import { html, useEffect, useState } from "../components/html.js";
import { QrCode } from "../components/qr.js";
import { Select } from "../components/select.js";
import { useTask } from "../components/task.js";
import { until } from "../components/time.js";

const DAY_S = 86_400;
const EXPIRIES = [[DAY_S, "1 day"], [7 * DAY_S, "7 days"], [30 * DAY_S, "30 days"]];
const USES = [[1, "1 person"], [10, "10 people"], [50, "50 people"]];

const Loopback = () =>
  /^(localhost|127\.|\[::1\])/.test(location.host) &&
  html`<p class="notice-box">This address works on this computer only. To invite people elsewhere, run Coterie where they can reach it, with HTTPS.</p>`;

function Share({ link, group }) {
  const [share, , problem] = useTask(async () => {
    await navigator.share({ title: group.name, url: link }).catch((error) => {
      if (error.name !== "AbortError") throw new Error("Sharing did not work. Copy the link instead.");
    });
  });
  if (!navigator.share) return null;
  return html`<button type="button" class="plain" onClick=${share}>Share…</button>${problem && html`<p class="wrong">${problem}</p>`}`;
}

function Live({ invite, group, act }) {
  const [revoke, busy, problem] = useTask(() => act.revokeInvite(group.group_id, invite.invite_id));
  return html`
    <article class="invite">
      ${invite.link && html`<${QrCode} text=${invite.link} label="The same as a QR code" />`}
      <input class="invite-link" readonly autocomplete="off" value=${invite.link ?? "The link itself is known to who made it"} aria-label="Invite link" onFocus=${(event) => event.currentTarget.select()} />
      <p class="hint">Expires ${until(invite.expires_at)}. ${invite.uses} of ${invite.max_uses} used. Whoever has the link can join, so hand it only to people you mean.</p>
      <div class="dialog-foot">
        <button type="button" class="plain danger" disabled=${busy} onClick=${revoke}>${busy ? "Ending…" : "End this link"}</button>
        ${invite.link && html`<${Share} link=${invite.link} group=${group} /><${CopyButton} text=${invite.link} label="Copy link" />`}
      </div>
      ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
    </article>
  `;
}

function Create({ group, act, more }) {
  const [expires, setExpires] = useState(7 * DAY_S);
  const [uses, setUses] = useState(50);
  const [create, busy, problem] = useTask(() => act.createInvite(group.group_id, expires, uses));
  return html`
    <div class="invite-new">
      <${Select} id="expires" label="Works for" options=${EXPIRIES} value=${expires} onInput=${setExpires} />
      <${Select} id="uses" label="For at most" options=${USES} value=${uses} onInput=${setUses} />
      <button type="button" class=${more ? "plain wide" : "primary wide"} disabled=${busy} onClick=${create}>${busy ? "Making it…" : more ? "Make another link" : "Make a link"}</button>
      ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
    </div>
  `;
}

export function Invite({ state, act, group }) {
  const invites = state.invites[group.group_id];
  const [load, , problem] = useTask(() => act.listInvites(group.group_id));
  useEffect(() => void load(), [group.group_id]);
  const live = (invites ?? []).filter((invite) => !invite.ended && invite.uses < invite.max_uses && invite.expires_at > Date.now());
  return html`
    <${Dialog} title=${`Invite to “${group.name}”`} onClose=${act.hide}>
      <div class="dialog-body">
        <${Loopback} />
        ${!invites && !problem && html`<p class="hint" aria-busy="true">Looking for links…</p>`} ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
        ${invites && !live.length && html`<p>Who opens the link is in the group as soon as one of its members is online.</p>`}
        ${live.map((invite) => html`<${Live} key=${invite.invite_id} ...${{ invite, group, act }} />`)}
        ${invites && html`<${Create} ...${{ group, act }} more=${live.length > 0} />`}
      </div>
    <//>
  `;
}
