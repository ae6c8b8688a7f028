// A join that waits, or that ended without getting in.
import { html } from "../components/html.js";
import { Icon } from "../components/icon.js";
import { useTask } from "../components/task.js";

const TITLES = {
  refused: "The group said no",
  expired: "The invite ended before anyone let you in",
  cancelled: "You took this request back",
  failed: "Joining did not work",
};

const WORDS = { cancelled: "Open the link again if you change your mind." };

export const Back = ({ act }) => html`
  <header class="talk-head"><button type="button" class="round back" aria-label="Back to the groups" onClick=${() => act.go({ view: "home" })}><${Icon} name="back" /></button></header>
`;

function Open({ join, act }) {
  const [cancel, busy, problem] = useTask(() => act.cancelJoin(join.join_id));
  const inviter = join.inviter_name || "the person who invited you";
  return html`
    <section class="card card-center">
      <span class="card-sign card-sign-wait"><${Icon} name="clock" /></span>
      <h1>Waiting to be let in to “${join.group_name}”</h1>
      <p>Someone in the group has to be online for that: ${inviter}, or any other member who has Coterie open. Their device does it by itself.</p>
      <p>You may close this page and come back: your place is kept.</p>
      <button type="button" class="plain" disabled=${busy} onClick=${cancel}>${busy ? "Taking it back…" : "Take my request back"}</button>
      ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
    </section>
  `;
}

function Ended({ join, act }) {
  const [dismiss, busy, problem] = useTask(() => act.dismissJoin(join.join_id));
  return html`
    <section class="card card-center">
      <span class="card-sign"><${Icon} name=${join.state === "cancelled" ? "check" : "alert"} /></span>
      <h1>${TITLES[join.state] ?? "This request has ended"}</h1>
      <p>${(join.state !== "cancelled" && join.why) || WORDS[join.state] || `Ask for a new link to “${join.group_name}” if you still want to join.`}</p>
      <button type="button" class="primary" disabled=${busy} onClick=${dismiss}>All right</button>
      ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
    </section>
  `;
}

export const Waiting = ({ join, act }) => html`
  <main class="talk">
    <${Back} act=${act} />
    <div class="talk-center" aria-live="polite">${join.state === "waiting" ? html`<${Open} ...${{ join, act }} />` : html`<${Ended} ...${{ join, act }} />`}</div>
  </main>
`;
