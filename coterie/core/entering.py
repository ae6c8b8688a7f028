"""Into a group by a Welcome, whichever way it came: its rows, its first lines, what is told to whom."""

from __future__ import annotations

from typing import Any

from coterie.core import device, people, salvage
from coterie.core.group import controls, leaves, lines, outbox
from coterie.core.records import Chat, Group, Invitation, group_key
from coterie.core.state import Turn


def make_room(turn: Turn, old: Group | None, group_id: str, mls_id: bytes = b"") -> None:
    """Drop the keys of a group that this device has left, or whose rows are damaged, before it enters anew."""
    for row in salvage.clear(turn, group_key(group_id), mls_id):
        turn.put(row)  # `enter` says of each line that it was not sent
    if old:
        people.keep(turn, old, people.leaves(turn, old))
        leaves.forget(turn, old)
        turn.backend.delete_group(old.mls_id)


def taken(turn: Turn, group_id: str) -> dict[bytes, bytes]:
    """The MLS ids of all groups here but this one, each with its group's key in the tables.

    Two groups over the same MLS keys would end with the first of them.
    """
    aside = {one.mls_id: key for key, one in turn.state.set_aside.items()}
    here = aside | {group.mls_id: group.key for group in turn.rows(Group)}
    return {mls_id: key for mls_id, key in here.items() if key != group_key(group_id)}


def same(turn: Turn, group_id: str, mls_id: bytes) -> bool:
    """Whether this device had no group of this name before, as far as it knows, or the same one."""
    key = group_key(group_id)
    group, aside = turn.get(Group, key), turn.state.set_aside.get(key)
    known = group.mls_id if group else aside.mls_id if aside else b""
    return known in (b"", mls_id)


def enter(turn: Turn, joined: Any, group_id: str, name: str, cursor: int, old: Group | None) -> Group:
    """The group's rows. `old`: as it was before this device left it; its lines stay, and none takes the place of one.

    `cursor` is the service's seq of the commit that let this device in. `name` may be empty: members tell it.
    """
    went_back = index = 0
    if old and cursor <= old.cursor:  # the service has lost what lay between, and gives its seqs anew
        went_back, index = old.cursor - cursor, old.index
    group = Group(
        group_id=group_id,
        mls_id=joined.group_id,
        epoch=joined.epoch,
        tree_hash=turn.backend.tree_hash(joined.group_id),
        epoch_authenticator=turn.backend.epoch_authenticator(joined.group_id),
        updated_at=turn.now,
        cursor=cursor + went_back,
        index=index,
        went_back=went_back,
        owner=device.group_owner(joined.group_data),
        invites_since=joined.epoch,
        handover_by=turn.now + controls.HANDOVER_WITHIN,
        counts=old.counts if old else {},
        entered_at=turn.now,
        told=False,
    )
    turn.put(group)
    invitation = turn.get(Invitation, group.key)
    if invitation:  # also of another Welcome than the one that let this device in
        turn.delete(invitation)
        turn.show("invitation_gone", group_id=group_id)
    _chat(turn, group_id, name)
    lines.learn_own_name(turn, group)
    # What waits is of an earlier membership.
    return outbox.give_up(turn, group, "not_a_member", "you were taken out of the group before it went out.")


def _chat(turn: Turn, group_id: str, name: str) -> None:
    old = turn.get(Chat, group_key(group_id))
    if old:
        turn.put(old.changed(turn.now, name=name or old.name, deleted=False))
    else:
        turn.put(Chat(id=group_id, rev=1, modified_at=turn.now, name=name))


def say_hello(turn: Turn, group: Group) -> Group:
    """Warn of members with other keys than before, start delivery, and tell the own name."""
    present = turn.backend.members(group.mls_id)
    for name in people.impostors(turn, present, outside=group.group_id):
        group = lines.notice(turn, group, "key_changed", [name])
    group = outbox.call(turn, group, "group_join", group_id=group.group_id)
    return outbox.send_profile(turn, group)
