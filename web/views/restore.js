// Put a backup beside what is here.
import { Dialog } from "../components/dialog.js";
import { html, useRef, useState } from "../components/html.js";
import { useLeaving } from "../components/leaving.js";
import { Foot, Secret } from "../components/passphrase.js";
import { useTask } from "../components/task.js";
import { counted } from "../components/time.js";

const found = ({ groups, lines }) =>
  lines || groups ? `Restored: ${counted(lines, "line")}, in ${counted(groups, "group")}.` : "All that is in this backup was here already.";

export function Restore({ act }) {
  const input = useRef(null);
  const [file, setFile] = useState(null);
  const [value, setValue] = useState("");
  const [part, setPart] = useState(0);
  const [other, setOther] = useState(false); // it is of another user, who may be the same person
  const [done, setDone] = useState(null);
  const leaving = useLeaving();
  const work = () => act.restore(file, { passphrase: value, mine: other, onPart: setPart, signal: leaving });
  const tell = (error) => {
    setPart(0);
    setOther(error.code === "other_user");
    throw error;
  };
  const [run, busy, problem] = useTask(() => work().then(setDone, tell));
  const choose = () => {
    setFile(input.current.files[0] ?? null);
    setOther(false);
  };
  const onSubmit = (event) => (event.preventDefault(), run());
  return html`
    <${Dialog} title="Restore a backup" onClose=${act.hide} held=${busy && part === 1}>
      <form class="dialog-body" onSubmit=${onSubmit}>
        <p>What is here stays as it is; what the backup has beside it is added. Groups in which this device is not can be read.</p>
        ${done === null
          ? html`
              <div class="field">
                <label for="restore-file">Backup file</label>
                <input ref=${input} id="restore-file" type="file" onChange=${choose} disabled=${busy} autofocus />
              </div>
              <${Secret} id="restore-passphrase" label="Passphrase of the backup" value=${value} onInput=${setValue} />
            `
          : html`<p class="notice-box" role="status">${found(done)}</p>`}
        ${busy && html`<progress aria-label="Restoring" max="1" value=${part}></progress>`}
        ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
        <${Foot} busy=${busy} working="Restoring…" ready=${file && value} label=${other ? "It is mine: restore it" : "Restore"} act=${act} done=${done !== null} />
      </form>
    <//>
  `;
}
