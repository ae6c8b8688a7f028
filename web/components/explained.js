// A line that tells of something wrong: it opens to what happens next, and to what one quotes when asking for help.
import { html } from "./html.js";
import { moment } from "./time.js";

/** What was opened is seen, at the end of the list too. */
const inSight = ({ currentTarget: box }) => box.open && box.scrollIntoView({ block: "nearest" });

export const Explained = ({ line, children }) => html`
  <details class="explained" onToggle=${inSight}>
    <summary>${children}</summary>
    <p>${line.advice}</p>
    <p class="hint">Cause <code>${line.code}</code>, <time datetime=${new Date(line.at).toISOString()}>${moment(line.at)}</time></p>
  </details>
`;
