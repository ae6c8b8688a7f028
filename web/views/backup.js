// Back up what was said, the names and the people, under a passphrase.
import { amount } from "../components/amount.js";
import { Dialog } from "../components/dialog.js";
import { html, useState } from "../components/html.js";
import { useLeaving } from "../components/leaving.js";
import { Foot, Secret } from "../components/passphrase.js";
import { SHORTEST, strengthOf, suggestion } from "../components/strength.js";
import { useTask } from "../components/task.js";

/** Two fields for a new passphrase, or one that is suggested and shown. */
function NewPassphrase({ value, again, onValue, onAgain }) {
  const [shown, show] = useState(false);
  const suggest = () => {
    const made = suggestion();
    onValue(made);
    onAgain(made);
    show(true);
  };
  return html`
    <${Secret} id="backup-passphrase" label="Passphrase" hint=${strengthOf(value)} value=${value} onInput=${onValue} shown=${shown} autofocus describedby="backup-hint" />
    <${Secret} id="backup-again" label="The same again" hint=${again && again !== value ? "Not the same yet." : ""} value=${again} onInput=${onAgain} shown=${shown} />
    <div class="side-buttons">
      <button type="button" class="plain" onClick=${suggest}>Suggest one</button>
      <button type="button" class="plain" aria-pressed=${shown} onClick=${() => show(!shown)}>${shown ? "Hide it" : "Show it"}</button>
    </div>
  `;
}

/** How it stands, in one place that is read out when it changes. */
function told(busy, size, done) {
  if (done !== null) return `The backup is in your downloads: ${amount(done)}. Keep it where this device is not.`;
  if (!busy) return "";
  return size ? `${amount(size)} so far…` : "Making the key…";
}

export function Backup({ act }) {
  const [value, setValue] = useState("");
  const [again, setAgain] = useState("");
  const [size, setSize] = useState(0);
  const [done, setDone] = useState(null);
  const leaving = useLeaving();
  const [run, busy, problem] = useTask(async () => setDone(await act.backUp(value, setSize, leaving)));
  const onSubmit = (event) => {
    event.preventDefault();
    run();
  };
  return html`
    <${Dialog} title="Back up" onClose=${act.hide}>
      <form class="dialog-body" onSubmit=${onSubmit}>
        <p>What was said, the names and the people you know go into one encrypted file. The keys with which you write stay here: a restored backup is read, and to write you come in again by a link.</p>
        ${done === null &&
        html`<${NewPassphrase} value=${value} again=${again} onValue=${setValue} onAgain=${setAgain} />
          <p class="hint" id="backup-hint">Write the passphrase down. Without it nobody can open the file, nor can you.</p>`}
        <p class=${done === null ? "hint" : "notice-box"} role="status">${told(busy, size, done)}</p>
        ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
        <${Foot} busy=${busy} working="Backing up…" ready=${value.length >= SHORTEST && value === again} label="Make the backup" act=${act} done=${done !== null} />
      </form>
    <//>
  `;
}
