// Which dialog is open. `dialog` in the state is a name, or {kind, …} where it is about something.
import { html } from "../components/html.js";
import { Add } from "./add.js";
import { Again } from "./again.js";
import { Backup } from "./backup.js";
import { Forget, Leave, Remove, RevokeDevice, SignOut } from "./confirms.js";
import { Health } from "./health.js";
import { Invite } from "./invite.js";
import { Members } from "./members.js";
import { NewGroup, OpenLink } from "./new_group.js";
import { Restore } from "./restore.js";
import { Settings } from "./settings.js";

const DIALOGS = {
  new_group: NewGroup,
  open_link: OpenLink,
  settings: Settings,
  backup: Backup,
  restore: Restore,
  members: Members,
  health: Health,
  invite: Invite,
  add: Add,
  again: Again,
  remove: Remove,
  leave: Leave,
  forget: Forget,
  sign_out: SignOut,
  revoke_device: RevokeDevice,
};

export function Dialogs({ state, act }) {
  const { dialog } = state;
  if (!dialog) return null;
  const kind = dialog.kind ?? dialog;
  const group = dialog.group ?? state.groups[state.route.group_id];
  return html`<${DIALOGS[kind]} key=${kind} ...${{ state, act, group, about: dialog }} />`;
}
