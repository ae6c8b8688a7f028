import { html } from "./html.js";

export const NAME_MAX = 64; // characters of a display name or a group's name

/** A labelled text input. */
export const Field = ({ label, hint, id, value, onInput, ...rest }) => html`
  <div class="field">
    <label for=${id}>${label}</label>
    <input id=${id} value=${value} onInput=${(event) => onInput(event.currentTarget.value)} autocomplete="off" ...${rest} />
    ${hint && html`<p class="hint">${hint}</p>`}
  </div>
`;
