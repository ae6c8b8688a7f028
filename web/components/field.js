import { html } from "./html.js";

export const NAME_MAX = 64; // characters of a display name or a group's name

/** A labelled text input; its hint is read out with it, and so is what `describedby` names. */
export const Field = ({ label, hint, describedby, id, value, onInput, ...rest }) => html`
  <div class="field">
    <label for=${id}>${label}</label>
    <input
      id=${id}
      value=${value}
      onInput=${(event) => onInput(event.currentTarget.value)}
      autocomplete="off"
      aria-describedby=${[hint && `${id}-hint`, describedby].filter(Boolean).join(" ") || null}
      ...${rest}
    />
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
  </div>
`;
