import { html } from "./html.js";
import { initials, toneOf } from "./time.js";

/** A round sign for a person or a group; the name stands beside it in words. */
export const Avatar = ({ name, id, large }) => html`
  <span class=${`avatar tone-${toneOf(id)}${large ? " avatar-large" : ""}`} aria-hidden="true">${initials(name)}</span>
`;
