"""What the user does with a group: make, open, read, leave, forget, remove somebody from it."""

from __future__ import annotations

from typing import Any

from coterie.core import archive, causes, device, people, salvage, views
from coterie.core import content as contents
from coterie.core.effects import Call
from coterie.core.group import commits, lines, outbox
from coterie.core.group.commits import Newcomer
from coterie.core.mls import new_id
from coterie.core.records import ABOUT_GROUP, Chat, Group, Invite, Line, Outgoing, Sent, group_key
from coterie.core.state import Turn
from coterie.errors import StateError


def create(turn: Turn, name: str) -> dict[str, Any]:
    """A group with this device in it; its view. Raises `LocalError`."""
    if turn.backend.read_only:
        raise StateError("read_only", causes.sentence("imported", []))
    group = new_group(turn, contents.clean_name(name))
    group = lines.notice(turn, group, "created", [lines.own_identity(turn)])
    return views.group(turn, lines.save(turn, group))


def new_group(turn: Turn, name: str) -> Group:
    """A group with this device in it, and the call that tells the service."""
    group = _rows(turn, name)
    info = turn.backend.group_info(group.mls_id)
    message_id = new_id(turn.mls)
    return outbox.call(
        turn, group, "group_create", group_id=group.group_id, group_info=info, message_id=message_id
    )


def _rows(turn: Turn, name: str) -> Group:
    group_id, own = new_id(turn.mls), lines.own_identity(turn)
    mls_id = turn.backend.create_group(device.group_data(group_key(group_id), own))
    group = Group(
        group_id=group_id,
        mls_id=mls_id,
        epoch=0,
        tree_hash=turn.backend.tree_hash(mls_id),
        epoch_authenticator=turn.backend.epoch_authenticator(mls_id),
        updated_at=turn.now,
        owner=own,
        entered_at=turn.now,
    )
    turn.put(group)
    turn.put(Chat(id=group_id, rev=1, modified_at=turn.now, name=name))
    lines.learn_own_name(turn, group)
    return group


def opened(turn: Turn, group_id: str, rows: list[tuple[bytes, bytes]], *, newest: bool) -> dict[str, Any]:
    """Group, members and the lines of stored `rows`; with the pending ones at the end of the newest page."""
    archived = archive.find(turn, group_id)
    if archived:
        return archive.opened(turn, archived, rows)
    group = lines.need(turn, group_id)
    shown = [views.line(turn, line) for line in salvage.lines(rows) if not line.deleted]
    if newest:
        shown += [views.pending(turn, row) for row in turn.rows(Outgoing, group.key) if _is_text(row)]
    return {"group": views.group(turn, group), "members": views.members(turn, group), "lines": shown}


def _is_text(row: Outgoing) -> bool:
    return row.kind == "message" and contents.decode(row.content).control is None


def discard_line(turn: Turn, group_id: str, value: bytes) -> None:
    """Forget an own line that was not sent; `value` is its stored row. Raises `StateError` (`not_failed`)."""
    line = Line.decode(value)
    if line.notice != "not_sent":
        raise StateError("not_failed", "Only a line that was not sent can be discarded.")
    turn.put(line.changed(turn.now, deleted=True, content=b"", about=[]))
    turn.show("line_gone", group_id=group_id, key=line.key[16:].hex())


def mark_read(turn: Turn, group_id: str, seq: int) -> None:
    """The user has seen all up to `seq`; of an archive nothing is unread."""
    if archive.find(turn, group_id):
        return
    group = lines.need(turn, group_id)
    chat = turn.get(Chat, group.key)
    if chat and (group.unread or seq > chat.read_seq):
        turn.put(chat.changed(turn.now, read_seq=max(seq, chat.read_seq)))
        lines.save(turn, group.with_(unread=0))


def remove_member(turn: Turn, group_id: str, identity: str, newcomers: list[Newcomer]) -> None:
    """Remove somebody; ends the invites. Raises `StateError` (`not_owner`, `no_member`)."""
    group = lines.need_sending(turn, group_id)
    if lines.own_identity(turn) != views.owner(turn, group):
        raise StateError("not_owner", "Only the person who made this group can remove somebody.")
    if identity == lines.own_identity(turn) or lines.member(turn, group, identity) is None:
        raise StateError("no_member", "There is no such member to remove.")
    group = group.with_(removals=sorted({*group.removals, identity}))
    turn.put(group)
    commits.advance(turn, group, newcomers)


def leave(turn: Turn, group_id: str) -> None:
    """Tell the members, then the service; the members commit the removal."""
    group = lines.need_sending(turn, group_id)
    group = outbox.send_control(turn, group, {"type": "leave"})
    group = outbox.call(turn, group, "group_leave", group_id=group_id)
    lines.save(turn, group.with_(why="left_self"))


def forget(turn: Turn, group_id: str, line_keys: list[bytes]) -> None:
    """Delete a group that is over or stuck, or an archive, with its history. Raises `StateError` (`still_member`)."""
    archived = archive.find(turn, group_id)
    if archived:
        archive.forget(turn, archived, line_keys)
        return
    group = lines.need(turn, group_id)
    if not (group.over or group.stuck or turn.backend.read_only):
        raise StateError("still_member", "Leave the group first.")
    if group.stuck and not turn.backend.read_only:  # it cannot say so itself; the service at least stops
        turn.do(Call("group_leave", {"group_id": group_id}))
    people.keep(turn, group, people.leaves(turn, group))
    chat = turn.get(Chat, group.key)
    if chat:
        turn.put(chat.changed(turn.now, deleted=True, name=""))
    _delete_rows(turn, group)
    for key in line_keys:
        turn.delete_key("messages", key)
    turn.show("group_gone", group_id=group_id)


def _delete_rows(turn: Turn, group: Group) -> None:
    turn.delete_all((Group, Outgoing, *ABOUT_GROUP), group.key)
    elsewhere: list[Invite | Sent] = [*turn.rows(Invite), *turn.rows(Sent)]
    for known in elsewhere:
        if known.group_id == group.group_id:
            turn.delete(known)
    if group.mls_id not in {other.mls_id for other in turn.rows(Group)}:
        turn.backend.delete_group(group.mls_id)
