"""Welcomes that nobody here asked for: kept, shown, and opened only when the user accepts.

Until it is opened, who sent it is what the service says. Opened, it must be signed by that device, and by the keys
under which this one knows it; else nothing of it happened.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from coterie.core import causes, device, entering, people, spent, views
from coterie.core.effects import DIRECTORY_LANE, Call
from coterie.core.group import lines, outbox
from coterie.core.records import Group, Invitation, Outgoing, group_key
from coterie.core.state import Turn
from coterie.errors import InviteError, StateError
from coterie_wire import WireError, from_hex, integer, uuid_text

MOST = 50
MOST_BYTES = 16 << 20
"""Invitations that are kept, and the bytes of their Welcomes; the service keeps the others."""
NO_KEYS = "It was made for keys that this device does not have any more. Ask to be added again."
UNREADABLE = "It could not be opened. Ask to be added again."
WRONG_SENDER = "It does not come from the person whom the service names. It was refused; nothing was joined."
WRONG_KEY = (
    "It comes with other keys than this person had in your other groups. It was refused; nothing was joined."
)
STRANGER = (
    "It would put another state in the place of a group that you have, and comes from somebody who is not a member"
    " of it. It was refused; nothing was joined."
)
WRONG_GROUP = "It leads into another group than the service says. It was refused; nothing was joined."
OLD = "It leads into a past state of this group. It was refused; nothing was joined."


def listed(turn: Turn) -> list[dict[str, Any]]:
    """`[Invitation]` of docs/bridge.md, the oldest first."""
    waiting = [one for one in turn.rows(Invitation) if one.state != "declined"]
    return [_view(turn, one) for one in sorted(waiting, key=lambda one: one.created_at)]


def _view(turn: Turn, invitation: Invitation) -> dict[str, Any]:
    return views.invitation(turn, invitation, people.name_of(turn, invitation.sender))


def take_all(turn: Turn, raws: list[Any], *, alone: bool = False) -> None:
    """Elements of `welcomes_list`; `alone`: of one group, so that a Welcome is there however large it is."""
    for raw in raws:
        take(turn, raw, alone=alone)


def take(turn: Turn, raw: Any, *, alone: bool = False) -> None:
    """One element of `welcomes_list`, or an `invitation` frame."""
    try:
        group_id = uuid_text(raw.get("group_id") if isinstance(raw, dict) else None, name="group_id")
        if raw.get("welcome") is None and not alone:  # too large for a list
            turn.do(Call("welcomes_list", {"group_id": group_id}))
            return
        invitation = _read(group_id, raw)
    except WireError:
        return
    old, group = turn.get(Invitation, invitation.key), turn.get(Group, invitation.key)
    if (old and old.seq >= invitation.seq) or _served(turn, group, invitation):
        return
    if group and group.state == "active" and not _added_anew(turn, group, invitation):
        return
    if _full(turn, invitation):
        return
    if not spent.named(turn, invitation.welcome):
        invitation = invitation.with_(state="failed", why=NO_KEYS, welcome=b"")
    turn.put(invitation)
    turn.show("invitation", invitation=_view(turn, invitation))


def _added_anew(turn: Turn, group: Group, invitation: Invitation) -> bool:
    """Whether the service says that a group in which the device is has gone on without it, and added it again.

    Then nothing is sent there until the user decides, or the group goes on after all. Any other invitation to a group
    that the device has is a line. Of either there is one line in an hour.
    """
    anew = invitation.from_seq > group.service_cursor + 1
    code = "added_anew" if anew else "bad_invitation"
    if lines.once_an_hour(turn, group, code):
        group = lines.save(turn, lines.notice(turn, group, code))
    if anew and not group.why:  # one that does not send for another reason keeps that one
        lines.save(turn, group.with_(why="added_anew"))
    return anew


def _full(turn: Turn, invitation: Invitation) -> bool:
    kept = [one for one in turn.rows(Invitation) if one.key != invitation.key]
    return len(kept) >= MOST or sum(len(one.welcome) for one in (*kept, invitation)) > MOST_BYTES


def _read(group_id: str, raw: dict[str, Any]) -> Invitation:
    try:
        created = int(datetime.fromisoformat(str(raw.get("created_at"))).timestamp() * 1000)
    except (ValueError, OverflowError):
        created = 0
    return Invitation(
        group_id=group_id,
        welcome=from_hex(raw.get("welcome"), name="welcome"),
        seq=integer(raw.get("seq"), name="seq", at_least=1),
        from_seq=integer(raw.get("from_seq"), name="from_seq", at_least=1),
        sender_user=uuid_text(raw.get("sender_user"), name="sender_user"),
        sender_device=uuid_text(raw.get("sender_device"), name="sender_device"),
        created_at=max(0, created),
    )


def _digest(invitation: Invitation) -> bytes:
    return hashlib.sha256(invitation.welcome).digest()


def _served(turn: Turn, group: Group | None, invitation: Invitation) -> bool:
    """Whether this device came into the group by just this Welcome, and the service does not know yet."""
    return group is not None and lines.was_seen(turn, group, "welcome", _digest(invitation))


def _need(turn: Turn, group_id: str) -> Invitation:
    try:
        invitation = turn.get(Invitation, group_key(group_id))
    except ValueError:
        invitation = None
    if invitation is None or invitation.state == "declined":
        raise StateError("no_invitation", "There is no such invitation on this device.")
    return invitation


def accept(turn: Turn, group_id: str) -> dict[str, Any]:
    """Enter the group; its view. Raises `StateError`, and `InviteError` for a Welcome that does not hold."""
    if turn.backend.read_only:
        raise StateError("read_only", causes.sentence("imported", []))
    invitation = _need(turn, group_id)
    if invitation.state != "waiting":
        raise StateError("invitation_failed", invitation.why)
    old = turn.get(Group, invitation.key)
    refs = spent.named(turn, invitation.welcome)
    there = turn.backend.members(old.mls_id) if old and not old.over else None
    entering.make_room(turn, old, group_id)
    known = people.met(turn, outside=group_id)
    try:
        joined = turn.backend.join(invitation.welcome)
    except turn.mls.MlsError:
        raise InviteError("bad_welcome", UNREADABLE) from None
    _check(turn, invitation, joined, old)
    sender = known.get(joined.inviter.identity)
    if people.differs(sender, joined.inviter):
        raise InviteError("key_changed", WRONG_KEY)
    if there is not None and not people.among(there, joined.inviter):
        raise InviteError("unknown_sender", STRANGER)
    for ref in refs:
        spent.used(turn, ref)
    return _enter(turn, invitation, joined, old, met=sender is not None)


def _check(turn: Turn, invitation: Invitation, joined: Any, old: Group | None) -> None:
    """The group is the one that the service names, and no other that this device has; its sender too."""
    named = device.group_uuid(joined.group_data) == invitation.key
    taken = joined.group_id in entering.taken(turn, invitation.group_id)
    if not named or taken or not entering.same(turn, invitation.group_id, joined.group_id):
        raise InviteError("other_group", WRONG_GROUP)
    if old and joined.epoch <= old.epoch:
        raise InviteError("old_group", OLD)
    if joined.inviter.identity != invitation.sender:
        raise InviteError("wrong_sender", WRONG_SENDER)


def _enter(
    turn: Turn, invitation: Invitation, joined: Any, old: Group | None, *, met: bool
) -> dict[str, Any]:
    group = entering.enter(turn, joined, invitation.group_id, "", invitation.from_seq - 1, old)
    lines.first_time(turn, group, "welcome", _digest(invitation), group.cursor)
    sender = people.name_of(turn, invitation.sender)
    if sender:
        lines.learn_name(turn, group, invitation.sender, sender, hearsay=True)
    group = lines.notice(turn, group, "added_self", [invitation.sender])
    if not met:
        group = lines.notice(turn, group, "new_key", [invitation.sender])
    group = entering.say_hello(turn, group)
    return views.group(turn, lines.save(turn, group))


def fail(turn: Turn, group_id: str, error: Exception) -> dict[str, Any]:
    """The Welcome does not hold: it is said, and never tried again; the user declines it."""
    failed = _need(turn, group_id).with_(state="failed", why=str(error), welcome=b"")
    turn.put(failed)
    view = _view(turn, failed)
    turn.show("invitation", invitation=view)
    return view


def decline(turn: Turn, group_id: str) -> None:
    """Refuse it, or forget one that failed: the service is told, then the row goes, with the keys that it used."""
    invitation = _need(turn, group_id)
    for ref in spent.named(turn, invitation.welcome):
        spent.used(turn, ref)
    group = turn.get(Group, invitation.key)
    if group and not group.over and invitation.state == "failed":
        _put_away(turn, group, invitation)
    else:
        if group and group.why == "added_anew":
            group = outbox.give_up(turn, group, "not_a_member", "you left the group before it went out.")
            lines.save(turn, lines.notice(turn, group.with_(state="left", why="left_self"), "left_self"))
        turn.put(invitation.with_(state="declined", welcome=b""))
        outbox.post(turn, DIRECTORY_LANE, "group_leave", {"group_id": group_id})
    turn.show("invitation_gone", group_id=group_id)


def _put_away(turn: Turn, group: Group, invitation: Invitation) -> None:
    """Nothing showed that it was true: the group may go on, and to tell the service anything would be to leave it."""
    if group.why == "added_anew":
        lines.drain(turn, lines.save(turn, group.with_(why="")))
    turn.delete(invitation)


def answered(turn: Turn, row: Outgoing) -> None:
    """The service's final word on the `group_leave` of a declined invitation."""
    turn.delete(row)
    invitation = turn.get(Invitation, group_key(row.fields["group_id"]))
    if invitation and invitation.state == "declined":
        turn.delete(invitation)
