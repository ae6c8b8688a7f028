// Rows that a person may rename or take away, in lists of their own things.
import { Field } from "./field.js";
import { html, useState } from "./html.js";
import { useTask } from "./task.js";

/** A name that can be changed in its place. */
export function Renamable({ id, label, name, max, onSave, children }) {
  const [typed, setTyped] = useState(null);
  const [save, busy, problem] = useTask(async () => {
    if (typed.trim() !== name) await onSave(typed.trim());
    setTyped(null);
  });
  const onSubmit = (event) => {
    event.preventDefault();
    if (typed.trim()) save();
  };
  if (typed === null) {
    return html`<span class="member-name">${name}${children}</span><button type="button" class="link hint" aria-label=${`Rename ${name}`} onClick=${() => setTyped(name)}>Rename</button>`;
  }
  return html`
    <form class="with-button" onSubmit=${onSubmit}>
      <${Field} id=${id} label=${label} value=${typed} onInput=${setTyped} maxlength=${max} autofocus />
      <button type="submit" class="plain" disabled=${busy || !typed.trim()}>${busy ? "Saving…" : "Save"}</button>
      ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
    </form>
  `;
}

/** One row; what `onRemove` is refused for stands under it. */
export function OwnRow({ children, button, working, onRemove }) {
  const [remove, busy, problem] = useTask(onRemove ?? (() => {}));
  return html`
    <li class="member">
      <span class="member-main">${children}</span>
      ${onRemove && html`<button type="button" class="plain danger" aria-label=${button} disabled=${busy} onClick=${remove}>${busy ? working : "Remove"}</button>`}
      ${problem && html`<p class="wrong member-more" role="alert">${problem}</p>`}
    </li>
  `;
}
