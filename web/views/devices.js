// The user's devices, as the service has them.
import { NAME_MAX } from "../components/field.js";
import { html, useEffect, useState } from "../components/html.js";
import { readable } from "../components/keys.js";
import { OwnRow, Renamable } from "../components/own_rows.js";
import { useTask } from "../components/task.js";
import { since } from "../components/time.js";

export function Devices({ state, act }) {
  const [devices, setDevices] = useState(null);
  const [load, , problem] = useTask(async () => setDevices(await act.devices()));
  useEffect(() => void load(), [state.devices_changed]);
  const live = devices?.filter((device) => !device.revoked);
  return html`
    <section class="part" aria-labelledby="devices">
      <h3 id="devices">Your devices</h3>
      ${!devices && !problem && html`<p class="hint" aria-busy="true">Asking the service…</p>`} ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
      <ul class="members">
        ${live?.map(
          (device) => html`
            <${OwnRow} key=${device.device_id} button=${`Remove the device ${device.name}`} working="Removing…" onRemove=${!device.current && (() => act.show({ kind: "revoke_device", device }))}>
              ${device.current
                ? html`<${Renamable} id="device-name" label="Name of this device" name=${device.name} max=${NAME_MAX} onSave=${async (name) => (await act.renameDevice(name), load())}> <span class="tag">this device</span><//>`
                : html`<span class="member-name">${device.name}</span>`}
              <span class="hint">Since ${since(device.created_at)}${device.current ? "" : `, last seen ${since(device.last_seen)}`}</span>
              ${device.key && html`<span class="hint">Its key begins with <code>${readable(device.key)}</code></span>`}
            <//>
          `,
        )}
      </ul>
    </section>
  `;
}
