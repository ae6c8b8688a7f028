// One group: its head, its lines, and the composer.
import { Avatar } from "../components/avatar.js";
import { html, useState } from "../components/html.js";
import { Icon } from "../components/icon.js";
import { useTask } from "../components/task.js";
import { counted } from "../components/time.js";
import { Onward } from "./again.js";
import { Composer } from "./composer.js";
import { Lines } from "./lines.js";
import { SignedOut } from "./signed_out.js";

const Head = ({ group, act }) => html`
  <header class="talk-head">
    <button type="button" class="round back" aria-label="Back to the groups" onClick=${() => act.go({ view: "home" })}><${Icon} name="back" /></button>
    <${Avatar} name=${group.name} id=${group.group_id} />
    <div class="talk-title">
      <h1>${group.name}</h1>
      <p>${group.state === "active" ? counted(group.members, "member") : group.state === "archive" ? "Only to read" : "Closed"}</p>
    </div>
    ${group.state === "active" &&
    html`<button type="button" class="plain" aria-label="Invite" onClick=${() => act.show("invite")} disabled=${!group.can_send}><${Icon} name="link" /><span class="wide-only">Invite</span></button>`}
    <button type="button" class="round" aria-label="Members and more" onClick=${() => act.show("members")}><${Icon} name="people" /></button>
  </header>
`;

const Opening = () => html`
  <main class="talk" aria-busy="true">
    <header class="talk-head"></header>
    <div class="talk-wait"><p>Opening…</p></div>
  </main>
`;

function WayBack({ group, act }) {
  const [asked, setAsked] = useState(false);
  const [run, busy, problem] = useTask(() => act.rejoin(group.group_id).then(() => setAsked(true)));
  return html`
    <button type="button" disabled=${busy} onClick=${run}>Try to get back in</button>
    <p class="hint" role="status">${asked && "The service is asked, again and again while it does not answer. What comes of it is a line above."}</p>
    ${problem && html`<p role="alert">${problem}</p>`}
  `;
}

function Closed({ group, act }) {
  return html`
    <div class="closed">
      <p>${group.why}</p>
      <${Onward} ...${{ group, act }} />
      ${group.can_rejoin && html`<${WayBack} ...${{ group, act }} />`}
      ${group.can_forget && html`<button type="button" class="plain" onClick=${() => act.show({ kind: "forget", group })}>Delete from this device…</button>`}
    </div>
  `;
}

export function Conversation({ state, act, group }) {
  const talk = group && state.talks[group.group_id];
  if (!group) return html`<${Opening} />`;
  const ended = state.me.session.state === "ended";
  const revoked = state.me.session.code === "device_revoked"; // what is written would wait for ever
  const behind = state.catching_up[group.group_id];
  const offline = !ended && state.connection === "offline" && group.can_send;
  return html`
    <main class="talk">
      <${Head} group=${group} act=${act} />
      <${SignedOut} ...${{ state, act }} />
      ${offline && html`<p class="offline" role="status">Not connected. What you write is kept here and goes out by itself.</p>`}
      ${behind && html`<p class="offline" role="status">Catching up, ${behind.done} of ${behind.total}.</p>`}
      ${talk ? html`<${Lines} ...${{ talk, group, act, offline }} />` : html`<div class="talk-wait" aria-busy="true"></div>`}
      ${revoked ? null : group.can_send ? html`<${Composer} group=${group} act=${act} draft=${state.drafts[group.group_id] ?? ""} />` : html`<${Closed} group=${group} act=${act} />`}
    </main>
  `;
}
