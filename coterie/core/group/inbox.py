"""What comes in: one path opens every envelope, each once, in the group's order.

Whatever an envelope turns out to be, the cursor moves past it in the same transaction as the ratchet and the line, so
nothing is opened twice and a poison message never blocks those behind it.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Any

from coterie.core import content as contents
from coterie.core import people, views
from coterie.core.effects import Acknowledge, CatchUp
from coterie.core.group import commits, controls, leaves, lines, membership, once, outbox, pace, rejoin
from coterie.core.mls import Member
from coterie.core.records import SERVICE_BEHIND, Group, Outgoing, Sent, group_key
from coterie.core.state import Turn
from coterie.errors import ContentError, StorageError
from coterie_wire import ContentType, Envelope, WireError, parse_header, uuid_bytes

CAUSE = {
    "wrong_group": "wrong_group",
    "stale": "replayed",
    "too_early": "too_early",
    "malformed": "malformed",
    "forged": "forged",
}
"""A binding's error code, and the line that it makes; any other is `unreadable`."""
NOT_OF_NOW = frozenset({"wrong_group", "replayed", "too_early"})
"""Causes of a commit that is not one of the present epoch of this group: it breaks nothing."""


LATE = 86_400_000
"""After so many milliseconds a key package in a commit may have run out since it was made."""


def receive(turn: Turn, envelope: Envelope, *, paged: bool) -> None:
    """Take one envelope. `paged`: it came in a page that has all there is, so a gap before it is a gap."""
    group = turn.get(Group, group_key(envelope.group_id))
    if group is None or group.state in ("removed", "left"):
        return
    envelope = replace(envelope, seq=envelope.seq + group.went_back)  # from here on, its place
    if envelope.seq <= group.cursor:
        turn.do(Acknowledge(group.group_id, group.service_cursor))
        return
    missing = envelope.seq - group.cursor - 1
    if missing and not paged:
        turn.do(CatchUp(group.group_id))
        return
    if missing:
        group = lines.notice(turn, group, "gap", [str(missing)], times=missing)
    own_line = envelope.seq in outbox.sent_seqs(turn, group)
    if group.why == "added_anew":  # it goes on after all, and so does what waits
        group = group.with_(why="")
        lines.drain(turn, group)
    group = group.with_(cursor=envelope.seq, index=int(own_line), updated_at=turn.now)
    turn.put(group)
    # A broken group has later epochs that are closed to this device.
    group = (_open if group.state == "active" else rejoin.pass_over)(turn, group, envelope)
    for sent in turn.rows(Sent):
        if sent.group_id == group.group_id and sent.seq <= envelope.seq:
            turn.delete(sent)
    commits.look_for_lost(turn, group, all_read=False)
    lines.save(turn, group)
    turn.do(Acknowledge(group.group_id, group.service_cursor))


def at(envelope: Envelope) -> int:
    """The service's time of an envelope, in milliseconds since 1970; 0 for a time that never was."""
    try:
        return max(0, int(datetime.fromisoformat(envelope.server_time).timestamp() * 1000))
    except (ValueError, OverflowError):
        return 0


def _open(turn: Turn, group: Group, envelope: Envelope) -> Group:
    if envelope.mls_bytes is not None and not envelope.intact:
        return lines.notice(turn, group, "tampered", at=at(envelope))
    own = _own_row(turn, group, envelope)
    if own:
        return _own_back(turn, group, envelope, own)
    sent = turn.get(Sent, uuid_bytes(envelope.message_id))
    if sent and sent.hash == envelope.hash:
        return group
    if envelope.mls_bytes is None:
        return _gone(turn, group, envelope)
    return _process(turn, group, envelope, envelope.mls_bytes)


def _own_row(turn: Turn, group: Group, envelope: Envelope) -> Outgoing | None:
    """The outbox row whose bytes came back, whatever the envelope says of its sender.

    Where the service has dropped the bytes, their SHA-256 came back.
    """
    for row in turn.rows(Outgoing, group.key):
        if row.mls_bytes and hashlib.sha256(row.mls_bytes).digest() == envelope.hash:
            return row
    return None


def _gone(turn: Turn, group: Group, envelope: Envelope) -> Group:
    """The service keeps the bytes no longer: of a message a line says so, without a commit nothing can be read."""
    if envelope.kind == "commit":
        return rejoin.plan(turn, _broken(turn, group, "missed_commit", ""))
    return lines.notice(turn, group, "expired", at=at(envelope))


def _own_back(turn: Turn, group: Group, envelope: Envelope, row: Outgoing) -> Group:
    if row.kind == "message":
        return outbox.settle(turn, group, row, envelope.seq, group.index)
    if row.kind == "rejoin":
        return rejoin.back(turn, group, row)
    if row.epoch != group.epoch:  # of an epoch that is over: its commit cannot be pending any more
        return lines.notice(turn, group, "replayed", at=at(envelope))
    merged = turn.backend.merge_pending(group.mls_id)
    turn.delete(row)
    group = _after_commit(turn, group.with_(losses=0, commit_at=0), envelope, merged)
    for identity, name in row.fields["names"].items():
        lines.learn_name(turn, group, identity, name, hearsay=True)
    return group.with_(answer_at=turn.now) if merged.added else group  # newcomers are told once all is read


def _process(turn: Turn, group: Group, envelope: Envelope, data: bytes) -> Group:
    try:
        opened = turn.backend.process(group.mls_id, data)
    except turn.mls.MlsError as error:
        return _failed(turn, group, envelope, data, getattr(error, "code", ""))
    if isinstance(opened, turn.mls.Application):
        return _application(turn, group, envelope, opened)
    if isinstance(opened, turn.mls.Merged):
        return _after_commit(turn, group, envelope, opened)
    if opened.content_type == ContentType.COMMIT:
        return _unknown_own_commit(turn, group, envelope)
    elsewhere = turn.backend.read_only or group.why == "state_behind"
    return lines.notice(turn, group, "own_unknown" if elsewhere else "forged_own", at=at(envelope))


def _failed(turn: Turn, group: Group, envelope: Envelope, data: bytes, code: str) -> Group:
    """A message that MLS refuses: a line with its cause; a commit that cannot be accepted breaks the group.

    Raises `StorageError` when it is this device's own state that does not hold: the message is not to blame.
    """
    if code == "corrupt":
        raise StorageError("corrupt_row", "This device's keys cannot be read.")
    cause = CAUSE.get(code, "unreadable")
    if code == "unacceptable" and _is_commit(data) and turn.now - at(envelope) > LATE:
        return rejoin.plan(turn, _broken(turn, group, "outlived", ""))
    # Others may go on from a state of before the loss: nobody is to blame for their commits.
    elsewhere = group.why in SERVICE_BEHIND
    if _is_commit(data) and not elsewhere and (cause not in NOT_OF_NOW or _ends_this_epoch(group, data)):
        return _broken(turn, group, "bad_commit", _hinted_sender(turn, group, envelope))
    group = lines.notice(turn, group, cause, at=at(envelope))
    return rejoin.plan(turn, group) if _of_now(group, data, cause) else group


def _is_commit(data: bytes) -> bool:
    try:
        return parse_header(data).content_type == ContentType.COMMIT
    except WireError:
        return False


def _ends_this_epoch(group: Group, data: bytes) -> bool:
    """Whether the service took a commit for the one that ends this epoch: it knows no MLS ids and no generations.

    So its maker chose that nobody can open it, by another group's id or by a generation far ahead.
    """
    return parse_header(data).epoch == group.epoch


def _of_now(group: Group, data: bytes, cause: str) -> bool:
    """Whether what could not be read says that it is of this epoch or a later one: others may see another state."""
    try:
        header = parse_header(data)
    except WireError:
        return False
    return cause != "replayed" and header.group_id == group.mls_id and header.epoch >= group.epoch


def _hinted_sender(turn: Turn, group: Group, envelope: Envelope) -> str:
    for leaf in turn.backend.members(group.mls_id):
        if leaf.device_id == envelope.sender_device:
            return str(leaf.identity)
    return f"the device {envelope.sender_device}"


def _unknown_own_commit(turn: Turn, group: Group, envelope: Envelope) -> Group:
    if group.why == "state_behind":  # of this device, after the state that it has now was saved
        return rejoin.plan(turn, group.with_(state="broken"))
    own = lines.own_identity(turn)
    if envelope.hash in [bytes(digest) for _, digest in group.dropped]:
        return _broken(turn, group, "refused_commit", own)
    # Whose leaf it names was read before anything was authenticated: any member can write that.
    if envelope.sender_device != turn.backend.device_id:
        return _broken(turn, group, "bad_commit", _hinted_sender(turn, group, envelope))
    return _broken(turn, group, "unknown_own_commit", own)


def _broken(turn: Turn, group: Group, code: str, suspect: str) -> Group:
    """No further message of this group can be read; what was read stays. `suspect`: whose device broke it, if any."""
    group = lines.notice(turn, group, code, [suspect] if suspect else [])
    group = group.with_(state="broken", why=code, suspect=suspect)
    return group if code in rejoin.MENDED else rejoin.called_off(turn, group)


def _application(turn: Turn, group: Group, envelope: Envelope, opened: Any) -> Group:
    sender: Member = opened.sender
    try:
        content = contents.decode(opened.data)
    except ContentError:
        return lines.notice(turn, group, "bad_content", at=at(envelope))
    # A control message does the same twice. Were it passed over, then by those alone who know the first.
    if content.control is None and not once.is_new(turn, group, sender.identity, content.id):
        return lines.counted(group, "repeated")
    if envelope.sender_device == sender.device_id:
        people.hear(turn, sender)
    if content.epoch == group.epoch and content.authenticator != group.epoch_authenticator[:16]:
        group = rejoin.plan(turn, lines.notice(turn, group, "fork", [sender.identity]))
    if content.control is not None:
        return controls.take(turn, group, sender, content)
    if content.text is None:
        group = lines.counted(group, "newer_version")
    line = lines.text_line(
        turn,
        group,
        seq=envelope.seq,
        index=group.index,
        sender=sender.identity,
        at=at(envelope) or turn.now,
        content=opened.data,
    )
    return lines.add(turn, group.with_(unread=group.unread + 1), line)


def _after_commit(turn: Turn, group: Group, envelope: Envelope, merged: Any) -> Group:
    """The group is in a new epoch: its row, its lines, what the commit ended."""
    before = group
    turn_row = commits.pending_row(turn, group)
    if turn_row:  # merging another's commit dropped our own; what it was for is looked at again
        group = pace.lost(turn, group, turn_row)
    group = _new_epoch(turn, group, merged)
    group = leaves.told(turn, group, merged, at(envelope))
    group = membership.take(turn, before, group, merged, at(envelope))
    if merged.self_removed:
        return rejoin.replaced(turn, group) if merged.external else _out(turn, group)
    turn.show("members", group_id=group.group_id, members=views.members(turn, group))
    lines.drain(turn, group)
    return group


def _new_epoch(turn: Turn, group: Group, merged: Any) -> Group:
    came = {leaf.identity for leaf in (*merged.added, *([merged.committer] if merged.external else []))}
    gone = {leaf.identity for leaf in merged.removed} - came
    group = group.with_(
        epoch=merged.epoch,
        counter=0,
        renew_soon=group.renew_soon or bool(gone),
        removals=[identity for identity in group.removals if identity not in gone],
        leavers=[leaver for leaver in group.leavers if leaver[0] not in gone],
        adding=[wanted for wanted in group.adding if wanted[0] not in came],
        dropped=[entry for entry in group.dropped if entry[0] >= merged.epoch],
    )
    if not merged.self_removed:
        group = group.with_(
            tree_hash=turn.backend.tree_hash(group.mls_id),
            epoch_authenticator=turn.backend.epoch_authenticator(group.mls_id),
        )
    turn.put(group)
    return group


def _out(turn: Turn, group: Group) -> Group:
    """This device was removed: nothing more is sent, and what waited is said not to have gone."""
    left = group.why == "left_self"
    group = group.with_(state="left") if left else group.with_(state="removed", why="not_a_member")
    turn.put(group)
    group = outbox.give_up(turn, group, "not_a_member", "you are not a member any more.")
    turn.show("members", group_id=group.group_id, members=[])
    return group
