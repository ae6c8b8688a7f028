// The service does not take this device any more; what is here stays, and the sentence says what can be done.
import { html } from "../components/html.js";
import { useTask } from "../components/task.js";

function SignIn({ act }) {
  const [signIn, busy, problem] = useTask(act.signIn);
  return html`
    <button type="button" class="plain" disabled=${busy} onClick=${signIn}>${busy ? "Your browser asks you…" : "Sign in again"}</button>
    ${problem && html`<p role="alert">${problem}</p>`}
  `;
}

export function SignedOut({ state, act }) {
  const session = state.me?.session;
  if (session?.state !== "ended") return null;
  return html`
    <section class="notice-box signed-out" role="status">
      <p>${session.why}</p>
      ${session.code !== "device_revoked" && !session.guest && act.canPasskeys() ? html`<${SignIn} act=${act} />` : html`<button type="button" class="plain" onClick=${() => act.show("sign_out")}>Sign out…</button>`}
    </section>
  `;
}
