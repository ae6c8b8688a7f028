// A group to which somebody added this device: nothing of it is opened before the person has said yes.
import { html } from "../components/html.js";
import { Icon } from "../components/icon.js";
import { useTask } from "../components/task.js";
import { Back } from "./waiting.js";

/** What the group is called here: its name is known only from an earlier time in it. */
export const nameOf = (invitation) => (invitation.group_name ? `“${invitation.group_name}”` : "a group");

function Open({ invitation, act }) {
  const [accept, entering, problem] = useTask(() => act.acceptInvitation(invitation.group_id));
  const [decline, leaving, trouble] = useTask(() => act.declineInvitation(invitation.group_id));
  const busy = entering || leaving;
  const { name } = invitation.sender;
  return html`
    <section class="card card-center">
      <span class="card-sign card-sign-wait"><${Icon} name="people" /></span>
      <h1>${name ?? "Someone"} added you to ${nameOf(invitation)}</h1>
      <p>${name ? `This is what the service says; it is checked when you enter.` : "You know nobody by that name here. Enter only if you expected this."} You will read what is written from now on.</p>
      <button type="button" class="primary wide" disabled=${busy} onClick=${accept}>${entering ? "Entering…" : "Enter the group"}</button>
      <button type="button" class="plain wide" disabled=${busy} onClick=${decline}>${leaving ? "Declining…" : "No, thanks"}</button>
      ${(problem ?? trouble) && html`<p class="wrong" role="alert">${problem ?? trouble}</p>`}
    </section>
  `;
}

function Failed({ invitation, act }) {
  const [forget, busy, problem] = useTask(() => act.declineInvitation(invitation.group_id));
  return html`
    <section class="card card-center">
      <span class="card-sign"><${Icon} name="alert" /></span>
      <h1>This invitation can't be used</h1>
      <p>${invitation.why}</p>
      <button type="button" class="primary" disabled=${busy} onClick=${forget}>All right</button>
      ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
    </section>
  `;
}

export const Invitation = ({ invitation, act }) => html`
  <main class="talk">
    <${Back} act=${act} />
    <div class="talk-center" aria-live="polite">${invitation.state === "waiting" ? html`<${Open} ...${{ invitation, act }} />` : html`<${Failed} ...${{ invitation, act }} />`}</div>
  </main>
`;
