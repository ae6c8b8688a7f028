// A modal dialog: the browser's own <dialog>, which keeps the focus inside.
import { html, useEffect, useRef } from "./html.js";
import { Icon } from "./icon.js";

let count = 0;
let opener = null; // what had the focus before the first of several dialogs

/** The focus goes back to where it was, unless another dialog takes the place of this one. */
function giveBack() {
  if (!document.querySelector("dialog[open]") && opener?.isConnected) opener.focus();
}

export function Dialog({ title, onClose, children }) {
  const box = useRef(null);
  const name = useRef(null);
  name.current ??= `dialog-${(count += 1)}`;
  useEffect(() => {
    const before = document.activeElement;
    if (before !== document.body) opener = before;
    box.current.showModal();
    return () => setTimeout(giveBack);
  }, []);
  const onClick = (event) => event.target === box.current && onClose();
  const onCancel = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`
    <dialog ref=${box} aria-labelledby=${name.current} onClick=${onClick} onCancel=${onCancel}>
      <div class="dialog">
        <header class="dialog-head">
          <h2 id=${name.current}>${title}</h2>
          <button type="button" class="round" aria-label="Close" onClick=${onClose}><${Icon} name="close" /></button>
        </header>
        ${children}
      </div>
    </dialog>
  `;
}
