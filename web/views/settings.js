import { Dialog } from "../components/dialog.js";
import { Field, NAME_MAX } from "../components/field.js";
import { FileButton } from "../components/file.js";
import { html, useState } from "../components/html.js";
import { useTask } from "../components/task.js";
import { Devices } from "./devices.js";
import { Lock } from "./lock.js";
import { Passkeys } from "./passkeys.js";
import { Storage } from "./storage.js";

function Name({ state, act }) {
  const [name, setName] = useState(state.me.name ?? "");
  const [save, busy, problem] = useTask(() => act.setName(name));
  const onSubmit = (event) => {
    event.preventDefault();
    save();
  };
  const same = name.trim() === state.me.name;
  return html`
    <form class="with-button" onSubmit=${onSubmit}>
      <${Field} id="own-name" label="Your name" hint="A change is told to all your groups." value=${name} onInput=${setName} maxlength=${NAME_MAX} />
      <button type="submit" class="plain" disabled=${busy || same || !name.trim()}>${busy ? "Saving…" : "Save"}</button>
      ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
    </form>
  `;
}

function Copies({ act, empty }) {
  const [save, saving, problem] = useTask(act.exportState);
  const [restore, opening, trouble] = useTask(act.importState);
  return html`
    <details class="more">
      <summary>Advanced</summary>
      <p>A copy of this device's state holds your private keys and everything you can read. Whoever has the file can read it all. Opened elsewhere, a copy can read but never sends: two devices with the same keys would betray what they write.</p>
      <div class="side-buttons">
        <button type="button" class="plain" disabled=${saving} onClick=${save}>${saving ? "Saving…" : "Save a copy…"}</button>
        ${empty && html`<${FileButton} label="Open a copy…" onFile=${restore} busy=${opening && "Opening…"} />`}
      </div>
      ${(problem ?? trouble) && html`<p class="wrong" role="alert">${problem ?? trouble}</p>`}
    </details>
  `;
}

export const Settings = ({ state, act }) => html`
  <${Dialog} title="Settings" onClose=${act.hide}>
    <div class="dialog-body">
      ${state.me.read_only && html`<p class="notice-box">This is a copy of another device's state. It can read, but it never sends.</p>`}
      ${!state.me.read_only && html`<${Name} ...${{ state, act }} />`}
      ${state.me.session.state === "active" && html`<${Passkeys} ...${{ state, act }} /><${Devices} ...${{ state, act }} />`}
      <${Lock} act=${act} />
      <${Storage} ...${{ state, act }} />
      <${Copies} act=${act} empty=${!state.me.device_id} />
      <div class="dialog-foot"><button type="button" class="plain danger" onClick=${() => act.show("sign_out")}>Sign out…</button></div>
    </div>
  <//>
`;
