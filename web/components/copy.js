import { html, useEffect, useState } from "./html.js";
import { Icon } from "./icon.js";

const SHOWN_MS = 2500;

/** Copies `text`; where the browser refuses, says to do it by hand. */
export function CopyButton({ text, label, what = "link" }) {
  const [said, say] = useState(null);
  useEffect(() => {
    if (!said) return undefined;
    const timer = setTimeout(() => say(null), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      say(`Select the ${what} and copy it by hand`);
    }
  };
  return html`
    <button type="button" class="primary" onClick=${copy}>
      <${Icon} name=${said === "Copied" ? "check" : "copy"} /><span aria-live="polite">${said ?? label}</span>
    </button>
  `;
}
