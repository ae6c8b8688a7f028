// The user's passkeys at the service.
import { html, useEffect, useState } from "../components/html.js";
import { OwnRow, Renamable } from "../components/own_rows.js";
import { useTask } from "../components/task.js";
import { since } from "../components/time.js";

const NAME_MAX = 120; // characters that the service keeps

export function Passkeys({ state, act }) {
  const [passkeys, setPasskeys] = useState(null);
  const [load, , problem] = useTask(async () => setPasskeys(await act.listPasskeys()));
  const [add, busy, trouble] = useTask(async () => {
    await act.addPasskey();
    await load();
  });
  useEffect(() => void load(), []);
  const { guest } = state.me.session;
  return html`
    <section class="part" aria-labelledby="passkeys">
      <h3 id="passkeys">Passkeys</h3>
      <p class="hint">
        ${guest
          ? "You are here as a guest: if this browser loses its sign-in, nobody can give it back. A passkey lets you sign in again, and on your other devices. It takes your screen lock or a security key; there is no password."
          : "With a passkey you sign in again after a loss, and on your other devices. Messages are not in it: they stay on each device."}
      </p>
      ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
      <ul class="members">
        ${passkeys?.map(
          (one) => html`
            <${OwnRow} key=${one.id} button=${`Remove the passkey ${one.friendly_name}`} working="Removing…" onRemove=${passkeys.length > 1 && (async () => (await act.removePasskey(one.id), load()))}>
              <${Renamable} id=${`passkey-${one.id}`} label="Name of the passkey" name=${one.friendly_name || "Passkey"} max=${NAME_MAX} onSave=${async (name) => (await act.renamePasskey(one.id, name), load())} />
              <span class="hint">Made ${since(one.created_at)}${one.last_used_at ? `, last used ${since(one.last_used_at)}` : ""}</span>
            <//>
          `,
        )}
      </ul>
      ${act.canPasskeys()
        ? html`<button type="button" class="plain" disabled=${busy || !passkeys} onClick=${add}>${busy ? "Your browser asks you…" : "Add a passkey"}</button>`
        : html`<p class="hint">This browser can't use passkeys.</p>`}
      ${trouble && html`<p class="wrong" role="alert">${trouble}</p>`}
    </section>
  `;
}
