// A modal dialog: the browser's own <dialog>, which keeps the focus inside, and all else from being used or read out.
import { createContext, html, useContext, useEffect, useRef } from "./html.js";
import { Icon } from "./icon.js";

let count = 0;
let opener = null; // what had the focus before the first of several dialogs

/** What stands above everything, so within a dialog while one is open. */
export const Above = createContext(null);

/** The focus goes back to where it was, unless another dialog takes the place of this one. */
function giveBack() {
  if (!document.querySelector("dialog[open]") && opener?.isConnected) opener.focus();
}

/** `held`: what was begun in it can't be taken back any more, so it stays until that is done. */
export function Dialog({ title, onClose, held = false, children }) {
  const box = useRef(null);
  const name = useRef(null);
  const pressed = useRef(null); // where the pointer went down: a text that is selected may end outside
  name.current ??= `dialog-${(count += 1)}`;
  useEffect(() => {
    const before = document.activeElement;
    if (before !== document.body) opener = before;
    box.current.showModal();
    return () => setTimeout(giveBack);
  }, []);
  const leave = () => held || onClose();
  const onPointerDown = (event) => (pressed.current = event.target);
  const onClick = (event) => event.target === box.current && pressed.current === box.current && leave();
  const onCancel = (event) => {
    if (event.target !== box.current) return; // a file that was not chosen
    event.preventDefault();
    leave();
  };
  const onClosed = () => (held ? box.current.showModal() : onClose()); // a browser lets nobody keep Escape from it twice
  return html`
    <dialog ref=${box} aria-labelledby=${name.current} onPointerDown=${onPointerDown} onClick=${onClick} onCancel=${onCancel} onClose=${onClosed}>
      <div class="dialog">
        <header class="dialog-head">
          <h2 id=${name.current}>${title}</h2>
          <button type="button" class="round" aria-label="Close" aria-disabled=${held} onClick=${leave}><${Icon} name="close" /></button>
        </header>
        ${children}
      </div>
      ${useContext(Above)}
    </dialog>
  `;
}
