import { html, useRef } from "./html.js";

/** A button that asks for a file and hands it over; `busy` says what is done with it meanwhile, in a word. */
export function FileButton({ label, onFile, busy }) {
  const input = useRef(null);
  const chosen = () => {
    const [file] = input.current.files;
    if (file) onFile(file);
    input.current.value = "";
  };
  return html`
    <button type="button" class="plain" disabled=${Boolean(busy)} onClick=${() => input.current.click()}>${busy || label}</button>
    <input ref=${input} type="file" hidden onChange=${chosen} aria-label=${label} />
  `;
}
