// Questions before what can't be undone; each says what follows.
import { Dialog } from "../components/dialog.js";
import { html } from "../components/html.js";
import { useTask } from "../components/task.js";

export function Confirm({ act, title, button, work, children }) {
  const [run, busy, problem] = useTask(work);
  return html`
    <${Dialog} title=${title} onClose=${act.hide} held=${busy}>
      <div class="dialog-body">
        ${children} ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
        <div class="dialog-foot">
          <button type="button" class="plain" disabled=${busy} onClick=${act.hide} autofocus>Cancel</button>
          <button type="button" class="primary danger" disabled=${busy} onClick=${run}>${busy ? "One moment…" : button}</button>
        </div>
      </div>
    <//>
  `;
}

export const Remove = ({ act, group, about: { member, name } }) => html`
  <${Confirm} act=${act} title=${`Remove ${name}?`} button="Remove" work=${() => act.removeMember(group.group_id, member.identity)}>
    <p>${name} can read nothing that is written in “${group.name}” from then on. What they have read already stays with them.</p>
    <p><strong>Every invite link of this group ends too</strong>, because whoever was in the group knows the links. You can make a new one afterwards.</p>
  <//>
`;

export const Leave = ({ act, group }) => html`
  <${Confirm} act=${act} title=${`Leave “${group.name}”?`} button="Leave" work=${() => act.leave(group.group_id)}>
    <p>The others see that you left. You get nothing that is written afterwards; what is on this device stays until you delete it.</p>
    <p>To come back you need a new invitation.</p>
  <//>
`;

export const Forget = ({ act, group }) => html`
  <${Confirm} act=${act} title=${`Delete “${group.name}” from this device?`} button="Delete" work=${() => act.forget(group.group_id)}>
    <p>The whole history of this group is deleted here. There is no other copy of it for you.</p>
  <//>
`;

export const RevokeDevice = ({ act, about: { device } }) => html`
  <${Confirm} act=${act} title=${`Remove the device “${device.name}”?`} button="Remove" work=${() => act.revokeDevice(device.device_id)}>
    <p>It is signed out at once and gets nothing that is written from now on. What it holds already stays on it.</p>
    <p>It can't be taken back: to use that device again, sign in on it anew.</p>
  <//>
`;

export const SignOut = ({ state, act }) => html`
  <${Confirm} act=${act} title="Sign out and delete everything here?" button="Sign out and delete" work=${act.signOut}>
    <p>This deletes your groups, their history and your keys from this browser. Nobody can bring them back.</p>
    ${state.me.session.guest
      ? html`<p>You are a guest: who comes here next is a new person, also to the groups that you are in now.</p>`
      : html`<p>Your passkey signs you in again as the same person, but on a new device, which your groups have to add anew.</p>`}
    <p>If you only want to stop for now, just close the page.</p>
  <//>
`;
