// The first visit: choose a name. It can be typed and sent before Python is there.
import { Brand } from "../components/brand.js";
import { Field, NAME_MAX } from "../components/field.js";
import { FileButton } from "../components/file.js";
import { html, useState } from "../components/html.js";
import { useTask } from "../components/task.js";
import { Lost, Private } from "./storage.js";

/** For one who was here before; a new device has none of what was said. */
function SignIn({ act }) {
  const [signIn, busy, problem] = useTask(act.signIn);
  return html`
    <button type="button" class="plain wide" disabled=${busy} onClick=${signIn}>${busy ? "Your browser asks you…" : "Sign in with a passkey"}</button>
    ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
  `;
}

const Copy = ({ onFile, busy }) => html`
  <details class="more">
    <summary>I have an exported copy</summary>
    <p>A copy shows your groups and what was said. It can't send, because the device it was made on may still be in use.</p>
    <${FileButton} label="Open a copy…" onFile=${onFile} busy=${busy && "Opening…"} />
  </details>
`;

/** Signed in as somebody who can come back, not as a guest. */
const isUser = (session) => session?.state === "active" && !session.guest;

export function Welcome({ state, act }) {
  const [name, setName] = useState("");
  const [submit, busy, problem] = useTask(() => act.setName(name));
  const [restore, opening, trouble] = useTask(act.importState);
  const signedIn = isUser(state.me?.session);
  const onSubmit = (event) => {
    event.preventDefault();
    if (name.trim()) submit();
  };
  return html`
    <main class="screen">
      <${Brand} large />
      <form class="card" onSubmit=${onSubmit}>
        <${Lost} state=${state} />
        <${Private} state=${state} />
        ${signedIn && html`<p class="notice-box" role="status">You are signed in on a new device. What was said before is on your other devices; a member of each group can add this one.</p>`}
        <h1>Talk in private, from a link</h1>
        <p>No account, no phone number. What you write is encrypted on this device; the server can't read a word.</p>
        <${Field}
          id="name"
          label="What should others call you?"
          hint="Shown to the members of your groups. You can change it later. All of it stays in this browser: in a private window it is gone when you close it."
          value=${name}
          onInput=${setName}
          maxlength=${NAME_MAX}
          autofocus
        />
        <button type="submit" class="primary wide" disabled=${busy || !name.trim()}>${busy ? "One moment…" : "Start"}</button>
        ${(problem ?? trouble) && html`<p class="wrong" role="alert">${problem ?? trouble}</p>`}
        ${!signedIn && act.canPasskeys() && html`<${SignIn} act=${act} />`}
        <button type="button" class="plain wide" disabled=${state.phase !== "ready"} onClick=${() => act.show("restore")}>Restore a backup…</button>
        <${Copy} onFile=${restore} busy=${opening} />
      </form>
    </main>
  `;
}
