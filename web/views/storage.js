// What the browser promises of this device's storage, and what to do where it promises nothing.
import { amount } from "../components/amount.js";
import { html, useState } from "../components/html.js";
import { useTask } from "../components/task.js";

const KEPT = {
  true: "This browser has promised not to delete it by itself. It goes all the same when you clear its data.",
  false: "This browser may delete it when space is short, or when you were not here for long. A backup keeps what was said.",
  null: "This browser does not say whether it keeps it. A backup keeps what was said.",
};

/** A part of the settings. */
export function Storage({ state, act }) {
  const { kept = null, usage = null, quota = null } = state.storage ?? {};
  const [asked, setAsked] = useState(false);
  const [keep, asking] = useTask(() => act.keepStorage().then(() => setAsked(true)));
  return html`
    <section class="part" aria-labelledby="storage">
      <h3 id="storage">Storage and backup</h3>
      <p class="hint">Your groups, their history and your keys lie in this browser, and nowhere else. ${KEPT[kept]}</p>
      ${usage !== null && html`<p class="hint">${amount(usage)} are used${quota ? ` of ${amount(quota)}` : ""}.</p>`}
      <div class="side-buttons">
        <button type="button" class="plain" onClick=${() => act.show("backup")}>Back up…</button>
        <button type="button" class="plain" onClick=${() => act.show("restore")}>Restore…</button>
        ${kept === false && html`<button type="button" class="plain" disabled=${asking} onClick=${keep}>Ask the browser to keep it</button>`}
      </div>
      <p class="hint" role="status">${asked && (kept ? "The browser keeps it from now on." : "The browser did not agree. Some do once you come here more often, or have put Coterie among your apps.")}</p>
    </section>
  `;
}

/** Where what is written does not outlast the window, said before anybody relies on it. */
export const Private = ({ state }) =>
  state.storage?.private &&
  html`<p class="notice-box" role="status">This is a private window: all that Coterie keeps here is gone when you close it, your place in the groups too. Use a normal window for what you want to keep.</p>`;

/** To whom the browser has thrown away what it held, wherever they come in. */
export const Lost = ({ state }) =>
  state.lost &&
  html`<p class="notice-box" role="status">This browser no longer holds your groups: its storage was cleared, and the keys with it. You begin anew. A backup brings back what was said; into the groups you come again by a link.</p>`;

/** Once, where there is something to lose and the browser does not promise to keep it. */
export function BackupHint({ state, act }) {
  const groups = Object.values(state.groups).some((group) => group.state !== "archive");
  if (state.storage?.kept !== false || state.storage.hinted || !groups || state.me?.read_only) return null;
  return html`
    <section class="notice-box" aria-label="Storage">
      <p>This browser has not promised to keep what is here. A backup does.</p>
      <div class="side-buttons">
        <button type="button" class="plain" onClick=${() => act.show("backup")}>Back up…</button>
        <button type="button" class="plain" onClick=${act.hinted}>Not now</button>
      </div>
    </section>
  `;
}
