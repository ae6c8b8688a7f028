import { html, useRef } from "./html.js";

/** A button that asks for a file and hands over its bytes. */
export function FileButton({ label, onFile }) {
  const input = useRef(null);
  const chosen = async () => {
    const [file] = input.current.files;
    if (file) onFile(new Uint8Array(await file.arrayBuffer()));
    input.current.value = "";
  };
  return html`
    <button type="button" class="plain" onClick=${() => input.current.click()}>${label}</button>
    <input ref=${input} type="file" hidden onChange=${chosen} aria-label=${label} />
  `;
}
