// The settings' part about locking this device: what opens its data when Coterie is opened.
import { Field } from "../components/field.js";
import { html, useEffect, useState } from "../components/html.js";
import { useTask } from "../components/task.js";

const [NOTHING, OPEN] = [{}, "The lock is gone."];
const LOCKED = "From now on it is asked for when Coterie is opened here.";
const NOBODY = "Nobody can give it back if you lose it.";

const Secret = ({ id, label, value, onInput, current }) =>
  html`<${Field} ...${{ id, label, value, onInput }} type="password" autocomplete=${current ? "current-password" : "new-password"} />`;

/** A form of passphrases, by their labels; they are forgotten when it was done. */
function Passphrases({ name, labels, button, danger, onSave }) {
  const [values, setValues] = useState(labels.map(() => ""));
  const [save, busy, problem] = useTask(async () => {
    await onSave(...values);
    setValues(labels.map(() => ""));
  });
  const onSubmit = (event) => {
    event.preventDefault();
    save();
  };
  const put = (at) => (value) => setValues(values.map((other, place) => (place === at ? value : other)));
  return html`
    <form onSubmit=${onSubmit}>
      ${labels.map((label, at) => html`<${Secret} id=${`lock-${name}-${at}`} label=${label} value=${values[at]} onInput=${put(at)} current=${label === "Passphrase now"} />`)}
      <button type="submit" class=${danger ? "plain danger" : "plain"} disabled=${busy || values.includes("")}>${busy ? "One moment…" : button}</button>
      ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
    </form>
  `;
}

function Press({ button, danger, work, busy = "Your browser asks you…" }) {
  const [run, running, problem] = useTask(work);
  return html`
    <button type="button" class=${danger ? "plain danger" : "plain"} disabled=${running} onClick=${run}>${running ? busy : button}</button>
    ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
  `;
}

/** What a person types twice, so that a slip of the finger locks nobody out. */
async function twice(first, second, work) {
  if (first !== second) throw new Error("The two passphrases differ.");
  await work();
}

const Unlocked = ({ act, onDone }) => html`
  <p class="hint">Groups, messages and keys are encrypted here, but this browser opens them for anybody who uses it or copies its files. With a lock they open only for you. ${NOBODY}</p>
  <${Passphrases}
    name="new"
    labels=${["Passphrase", "The same again"]}
    button="Lock with a passphrase"
    onSave=${(first, second) => twice(first, second, () => act.lockWith("passphrase", NOTHING, { passphrase: first })).then(() => onDone(LOCKED))}
  />
  ${act.canPasskeys() && html`<${Press} button="Lock with a passkey" work=${() => act.lockWith("passkey", NOTHING, null).then(() => onDone(LOCKED))} />`}
`;

const WithPassphrase = ({ act, onDone }) => html`
  <details class="more">
    <summary>Change the passphrase</summary>
    <${Passphrases}
      name="change"
      labels=${["Passphrase now", "New passphrase", "The same again"]}
      button="Change"
      onSave=${(passphrase, first, second) =>
        twice(first, second, () => act.lockWith("passphrase", { passphrase }, { passphrase: first })).then(() => onDone("The new passphrase holds."))}
    />
  </details>
  <details class="more">
    <summary>Remove the lock</summary>
    <${Passphrases} name="remove" labels=${["Passphrase now"]} button="Remove the lock" danger onSave=${(passphrase) => act.lockWith("device", { passphrase }, NOTHING).then(() => onDone(OPEN))} />
  </details>
`;

const WithPasskey = ({ act, onDone }) =>
  html`<${Press} button="Remove the lock" danger work=${() => act.lockWith("device", null, NOTHING).then(() => onDone(OPEN))} />`;

const LockNow = ({ act, way }) => html`
  <p class="hint">Groups, messages and keys here open only with your ${way}. ${NOBODY}</p>
  <${Press} button="Lock now" busy="Locking…" work=${act.lock} />
`;

const PARTS = { device: Unlocked, passphrase: WithPassphrase, passkey: WithPasskey };

export function Lock({ act }) {
  const [way, setWay] = useState(null);
  const [said, setSaid] = useState("");
  const [load, , problem] = useTask(async () => setWay((await act.lockState()).way));
  useEffect(() => void load(), []);
  const onDone = (text) => (setSaid(text), load());
  return html`
    <section class="part" aria-labelledby="lock">
      <h3 id="lock">Lock this device</h3>
      ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
      <p class="hint" role="status">${said}</p>
      ${way && way !== "device" && html`<${LockNow} ...${{ act, way }} />`} ${way && html`<${PARTS[way]} key=${way} ...${{ act, onDone }} />`}
    </section>
  `;
}
