// Adding somebody whom this device knows from another group, without a link.
import { Avatar } from "../components/avatar.js";
import { Dialog } from "../components/dialog.js";
import { html, useEffect, useState } from "../components/html.js";
import { readable } from "../components/keys.js";
import { useTask } from "../components/task.js";

const named = (person) => person.name ?? "Someone";

/** Where one knows them from. */
function from(person, groups) {
  const names = person.groups.map((id) => groups[id]?.name).filter(Boolean);
  if (!names.length) return "From a group that you are no longer in together";
  return `In ${names.map((name) => `“${name}”`).join(", ")}`;
}

/** What became of it, as far as it is known. */
function Outcome({ addition, name, onAccept, busy }) {
  const keys = addition.new_keys.map(({ key }) => readable(key));
  return html`
    ${addition.refused.length > 0 &&
    html`<p class="wrong" role="alert">The service gave out keys that are not the ones by which you know ${name}. They were not used.</p>`}
    ${keys.length > 0 &&
    html`<div class="notice-box" role="alert">
      <p>${name} has a device that you have not met. Its key begins with ${keys.map((key) => html`<code key=${key}>${key}</code> `)}. Compare all of it with ${name}, over the phone or in person, before you add it (that device shows it in its settings): whoever runs the service could have put it there.</p>
      <button type="button" class="plain" disabled=${busy} onClick=${() => onAccept(addition.new_keys.map(({ key }) => key))}>${busy ? "Adding…" : "The key is right, add it"}</button>
    </div>`}
    ${addition.missing > 0 && html`<p class="hint">${addition.missing === 1 ? "One of their devices" : `${addition.missing} of their devices`} can't be added now.</p>`}
    ${addition.why && html`<p class="wrong" role="alert">${addition.why}</p>`}
  `;
}

function Person({ person, label, groups, addition, onAdd }) {
  const [add, busy, problem] = useTask(onAdd);
  const done = addition?.added.length > 0 || addition?.members.length > 0;
  return html`
    <li class="member">
      <${Avatar} name=${label} id=${person.user_id} />
      <span class="member-main">
        <span class="member-name">${label}</span>
        <span class="hint">${from(person, groups)}. Key begins with <code>${person.fingerprint}</code></span>
      </span>
      ${done ? html`<span class="tag" role="status">Added</span>` : html`<button type="button" class="plain" aria-label=${`Add ${label}`} disabled=${busy} onClick=${() => add([])}>${busy ? "Adding…" : "Add"}</button>`}
      ${(addition || problem) &&
      html`<div class="member-more">
        ${addition && html`<${Outcome} addition=${addition} name=${label} onAccept=${add} busy=${busy} />`} ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
      </div>`}
    </li>
  `;
}

export function Add({ state, act, group }) {
  const [people, setPeople] = useState(null);
  const [inside, setInside] = useState(null); // as it was when the dialog opened: who is added stays in view
  const [load, , problem] = useTask(async () => {
    setInside(new Set((state.talks[group.group_id]?.members ?? []).map((member) => member.user_id)));
    setPeople(await act.people());
  });
  useEffect(() => void load(), [group.group_id]);
  const others = people?.filter((person) => !inside.has(person.user_id));
  return html`
    <${Dialog} title=${`Add someone to “${group.name}”`} onClose=${act.hide}>
      <div class="dialog-body">
        ${!people && !problem && html`<p class="hint" aria-busy="true">Looking whom you know…</p>`} ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
        ${others?.length === 0 && html`<p>Everybody whom you know from your groups is here already. An invite link brings in others.</p>`}
        ${others?.length > 0 && html`<p class="hint">People whom you know from other groups. They are asked before they are in, and can read nothing that was written before.</p>`}
        <ul class="members">
          ${others?.map(
            (person) =>
              html`<${Person}
                key=${person.user_id}
                person=${person}
                label=${named(person)}
                groups=${state.groups}
                addition=${state.additions[group.group_id]?.[person.user_id]}
                onAdd=${(accept) => act.addPerson(group.group_id, person.user_id, accept)}
              />`,
          )}
        </ul>
        <div class="dialog-foot"><button type="button" class="plain" onClick=${() => act.show("invite")}>Invite with a link instead</button></div>
      </div>
    <//>
  `;
}
