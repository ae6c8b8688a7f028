import { html } from "./html.js";

/** A labelled choice; `options` are [value, words], values are numbers. */
export const Select = ({ id, label, options, value, onInput }) => html`
  <div class="field">
    <label for=${id}>${label}</label>
    <select id=${id} value=${value} onChange=${(event) => onInput(Number(event.currentTarget.value))}>
      ${options.map(([choice, words]) => html`<option key=${choice} value=${choice} selected=${choice === value}>${words}</option>`)}
    </select>
  </div>
`;
