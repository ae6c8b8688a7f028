// The first visit: choose a name. It can be typed and sent before Python is there.
import { Brand } from "../components/brand.js";
import { Field, NAME_MAX } from "../components/field.js";
import { FileButton } from "../components/file.js";
import { html, useState } from "../components/html.js";
import { useTask } from "../components/task.js";

export function Welcome({ state, act }) {
  const [name, setName] = useState("");
  const [submit, busy, problem] = useTask(() => act.setName(name));
  const [restore, , trouble] = useTask(act.importState);
  const onSubmit = (event) => {
    event.preventDefault();
    if (name.trim()) submit();
  };
  return html`
    <main class="screen">
      <${Brand} large />
      <form class="card" onSubmit=${onSubmit}>
        ${state.lost &&
        html`<p class="notice-box">This browser no longer holds your groups: its storage was cleared. You begin anew, and can join again by a link.</p>`}
        <h1>Talk in private, from a link</h1>
        <p>No account, no phone number. What you write is encrypted on this device; the server can't read a word.</p>
        <${Field}
          id="name"
          label="What should others call you?"
          hint="Shown to the members of your groups. You can change it later."
          value=${name}
          onInput=${setName}
          maxlength=${NAME_MAX}
          autofocus
        />
        <button type="submit" class="primary wide" disabled=${busy || !name.trim()}>${busy ? "One moment…" : "Start"}</button>
        ${(problem ?? trouble) && html`<p class="wrong" role="alert">${problem ?? trouble}</p>`}
        <details class="more">
          <summary>I have an exported copy</summary>
          <p>A copy shows your groups and what was said. It can't send, because the device it was made on may still be in use.</p>
          <${FileButton} label="Open a copy…" onFile=${restore} />
        </details>
      </form>
    </main>
  `;
}
