// What the dialogs of a backup have in common.
import { Field } from "./field.js";
import { html, useEffect, useRef } from "./html.js";

/** A field for a passphrase, hidden unless `shown`. */
export const Secret = ({ shown, ...rest }) => html`<${Field} ...${rest} type=${shown ? "text" : "password"} autocomplete="off" spellcheck="false" />`;

/** The one button: to begin, and to close when it is done. The focus stays with it: a button that is disabled loses it. */
export function Foot({ busy, working, ready, label, act, done }) {
  const close = useRef(null);
  useEffect(() => void close.current?.focus(), [done]);
  return html`
    <div class="dialog-foot">
      ${done
        ? html`<button key="close" type="button" class="primary" ref=${close} onClick=${act.hide}>Close</button>`
        : html`<button key="begin" type="submit" class="primary" disabled=${!ready} aria-disabled=${busy}>${busy ? working : label}</button>`}
    </div>
  `;
}
