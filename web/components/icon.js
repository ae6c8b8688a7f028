// Line icons, drawn as SVG paths; decoration only, so always hidden from screen readers.
import { html } from "./html.js";

const PATHS = {
  back: "M15 5l-7 7 7 7",
  people: "M9 11a3.5 3.5 0 100-7 3.5 3.5 0 000 7zM2.5 20c.6-3.6 3.2-5.5 6.5-5.5s5.9 1.9 6.5 5.5M16 4.3a3.5 3.5 0 010 6.4M18.2 14.9c1.9.8 3 2.5 3.3 5.1",
  link: "M10 14a4 4 0 005.7 0l3.5-3.5a4 4 0 00-5.7-5.7L12.4 6M14 10a4 4 0 00-5.7 0l-3.5 3.5a4 4 0 005.7 5.7l1.1-1.2",
  send: "M4 12l16-8-6 16-3-6.5L4 12z",
  plus: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
  gear: "M4 7h10M18 7h2M4 17h2M10 17h10M16 4.5v5M8 14.5v5",
  clock: "M12 21a9 9 0 100-18 9 9 0 000 18zM12 7.5V12l3 2",
  check: "M5 12.5l4.5 4.5L19 7.5",
  alert: "M12 8v5M12 16.5v.2M12 3.5l9.5 16.5h-19L12 3.5z",
  down: "M12 5v14M6 13l6 6 6-6",
  lock: "M7 11V8a5 5 0 0110 0v3M5.5 11h13v9h-13z",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
};

export const Icon = ({ name, small }) => html`
  <svg class=${small ? "icon icon-small" : "icon"} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${PATHS[name]} />
  </svg>
`;
