// What the dialogs of a backup have in common.
import { Field } from "./field.js";
import { html } from "./html.js";

/** A field for a passphrase, hidden unless `shown`. */
export const Secret = ({ shown, ...rest }) => html`<${Field} ...${rest} type=${shown ? "text" : "password"} autocomplete="off" spellcheck="false" />`;

/** The one button: to begin, and to close when it is done. */
export const Foot = ({ busy, working, ready, label, act, done }) => html`
  <div class="dialog-foot">
    ${done
      ? html`<button type="button" class="primary" onClick=${act.hide} autofocus>Close</button>`
      : html`<button type="submit" class="primary" disabled=${busy || !ready}>${busy ? working : label}</button>`}
  </div>
`;
