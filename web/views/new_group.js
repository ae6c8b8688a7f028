import { Dialog } from "../components/dialog.js";
import { Field, NAME_MAX } from "../components/field.js";
import { html, useState } from "../components/html.js";
import { useTask } from "../components/task.js";

function Ask({ act, title, button, label, hint, max, text, onDone }) {
  const [value, setValue] = useState("");
  const [run, busy, problem] = useTask(() => onDone(value));
  const onSubmit = (event) => {
    event.preventDefault();
    if (value.trim()) run();
  };
  return html`
    <${Dialog} title=${title} onClose=${act.hide}>
      <form class="dialog-body" onSubmit=${onSubmit}>
        ${text && html`<p>${text}</p>`}
        <${Field} id="ask" label=${label} hint=${hint} value=${value} onInput=${setValue} maxlength=${max} autofocus />
        ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
        <div class="dialog-foot"><button type="submit" class="primary" disabled=${busy || !value.trim()}>${busy ? "One moment…" : button}</button></div>
      </form>
    <//>
  `;
}

export const NewGroup = ({ act }) => html`
  <${Ask}
    act=${act}
    title="New group"
    label="Name of the group"
    hint="Only its members can read the name."
    button="Create"
    max=${NAME_MAX}
    onDone=${act.createGroup}
  />
`;

export const OpenLink = ({ act }) => html`
  <${Ask}
    act=${act}
    title="Open a link"
    text="Paste the invite link that someone gave you, with everything after the # sign."
    label="Invite link"
    button="Open"
    max=${300}
    onDone=${act.openLink}
  />
`;
