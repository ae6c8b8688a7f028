// A group that is broken, or of which the service has lost a change, is started again: the way there, the question before it, and the ways between the two groups.
import { html } from "../components/html.js";
import { Confirm } from "./confirms.js";

function asked(people) {
  if (people === 0) return "You are alone in it until you invite somebody.";
  return people === 1 ? "The other person of this one is asked to come." : `The ${people} other people of this one are asked to come.`;
}

const listed = new Intl.ListFormat("en");

/** What can be done with a group that cannot go on: start it again, or go to where it goes on. */
export function Onward({ group, act }) {
  const { goes_on_in: next, again } = group;
  if (next) return html`<button type="button" class="primary" onClick=${() => act.go({ view: "group", group_id: next })}>Go to the new group</button>`;
  if (!again) return null;
  const who = again.without.length > 0 ? ` without ${listed.format(again.without)}` : "";
  return html`<button type="button" onClick=${() => act.show({ kind: "again", group })}>Start again${who}…</button>`;
}

/** From a group that was started again to the one before it, which has the history. */
export const Earlier = ({ group, act }) =>
  group.after && html`<button type="button" class="plain" onClick=${() => act.go({ view: "group", group_id: group.after })}>Earlier messages</button>`;

export function Again({ act, group }) {
  const { without, people } = group.again ?? { without: [], people: 0 };
  return html`
    <${Confirm} act=${act} title=${`Start “${group.name}” again?`} button="Start again" work=${() => act.startAgain(group.group_id)}>
      <p>
        A new group of the same name is made. ${asked(people)} The history of this one stays here, for everybody who has it.
      </p>
      ${without.length > 0 &&
      html`<p>
        <strong>${listed.format(without)} ${without.length > 1 ? "are" : "is"} left out</strong>, because the service says that the change which broke
        the group came from there. Only the service says so: if you can't believe it, ask them first.
      </p>`}
      ${group.state === "active" &&
      html`<p>
        Ask the others first: if some can still write here, try to get back in when one of them has changed something. Whoever does not accept the
        invitation stays in this group.
      </p>`}
      <p>If somebody else has started it again already, their invitation is among your groups: accept that one instead.</p>
    <//>
  `;
}
