import { html } from "./html.js";

/** The sign and the name. */
export const Brand = ({ large }) => html`
  <div class=${large ? "brand brand-large" : "brand"}>
    <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <circle cx="12" cy="12" r="8.5" class="brand-a" />
      <circle cx="20.5" cy="20.5" r="8.5" class="brand-b" />
    </svg>
    <span>Coterie</span>
  </div>
`;
