// A modal dialog: the browser's own <dialog>, which keeps the focus inside and gives it back afterwards.
import { html, useEffect, useRef } from "./html.js";
import { Icon } from "./icon.js";

let count = 0;

export function Dialog({ title, onClose, children }) {
  const box = useRef(null);
  const name = useRef(null);
  name.current ??= `dialog-${(count += 1)}`;
  useEffect(() => {
    const dialog = box.current;
    dialog.showModal();
    return () => dialog.close();
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
