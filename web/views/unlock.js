// The locked device: nothing of it is shown before it is unlocked.
import { Brand } from "../components/brand.js";
import { Field } from "../components/field.js";
import { html, useState } from "../components/html.js";
import { Icon } from "../components/icon.js";
import { useTask } from "../components/task.js";

function Passphrase({ act }) {
  const [passphrase, setPassphrase] = useState("");
  const [unlock, busy, problem] = useTask(() => act.unlock(passphrase));
  const onSubmit = (event) => {
    event.preventDefault();
    if (passphrase) unlock();
  };
  return html`
    <form onSubmit=${onSubmit}>
      <${Field} id="passphrase" label="Passphrase" type="password" autocomplete="current-password" value=${passphrase} onInput=${setPassphrase} autofocus aria-invalid=${Boolean(problem)} />
      <button type="submit" class="primary wide" disabled=${busy || !passphrase}>${busy ? "Unlocking…" : "Unlock"}</button>
      ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
    </form>
  `;
}

function Passkey({ act }) {
  const [unlock, busy, problem] = useTask(act.unlockWithPasskey);
  return html`
    <button type="button" class="primary wide" disabled=${busy} onClick=${unlock} autofocus>${busy ? "Your browser asks you…" : "Unlock with your passkey"}</button>
    ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
  `;
}

export const Unlock = ({ state, act }) => html`
  <main class="screen">
    <${Brand} />
    <section class="card">
      <span class="card-sign"><${Icon} name="lock" /></span>
      <h1>This device is locked</h1>
      <p>What is here is encrypted until you unlock it.</p>
      ${state.reason === "passkey" ? html`<${Passkey} act=${act} />` : html`<${Passphrase} act=${act} />`}
      <p class="hint">Nobody can give back a ${state.reason} that is lost. To begin anew here, clear this site's data in your browser.</p>
    </section>
  </main>
`;
