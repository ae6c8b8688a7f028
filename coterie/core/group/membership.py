"""What a commit did to a group's members: a line for each change, and what it told the service compared with it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from coterie.core import people, views
from coterie.core.group import lines
from coterie.core.mls import Member
from coterie.core.records import Group, Invite
from coterie.core.state import Turn
from coterie_wire import CommitData, WireError

Leavers = dict[str, tuple[int, bytes]]
"""By identity: leaf index and encryption key of those who asked to leave."""


def tell(turn: Turn, group: Group, merged: Any, leavers: Leavers, time: int) -> Group:
    """The lines of a merged commit, at the service's `time` of it."""
    if merged.external:
        code = "replaced_self" if merged.self_removed else "rejoined"
        return lines.notice(turn, group, code, [merged.committer.identity], at=time)
    people.keep(turn, group, merged.removed)
    added = {leaf.identity for leaf in merged.added}
    for leaf in merged.removed:
        if leaf.identity not in added:  # else it is an older leaf of someone who is added anew
            asked = leavers.get(leaf.identity) == (leaf.index, leaf.encryption_key)
            code, about = (
                ("left", [leaf.identity]) if asked else _removal(turn, group, leaf, merged.committer)
            )
            group = lines.notice(turn, group, code, about, at=time)
    return _arrivals(turn, group, merged, time) if merged.added else group


def _removal(turn: Turn, group: Group, leaf: Member, committer: Member) -> tuple[str, list[str]]:
    """The cause of a removal that nobody asked for, and whom it names."""
    if leaf.identity == lines.own_identity(turn):
        return ("left_self" if group.why == "left_self" else "removed_self"), [committer.identity]
    if leaf.user_id == committer.user_id:
        return "device_removed", [leaf.identity, committer.identity]
    if committer.identity == views.owner(turn, group):
        return "removed", [leaf.identity, committer.identity]
    return "role_breach", [committer.identity, leaf.identity]


def _arrivals(turn: Turn, group: Group, merged: Any, time: int) -> Group:
    code = "joined" if _by_link(merged) else "added"
    for leaf in merged.added:
        lines.came(turn, group, leaf)
        group = lines.notice(turn, group, code, [leaf.identity, merged.committer.identity], at=time)
    for leaf in _further_devices(turn, group, merged.added):
        group = lines.notice(turn, group, "new_device", [leaf.identity], at=time)
    for name in people.impostors(turn, merged.added, outside=group.group_id):
        group = lines.notice(turn, group, "key_changed", [name], at=time)
    return group


def _further_devices(turn: Turn, group: Group, added: list[Member]) -> list[Member]:
    """Newcomers whose user has another device in the group."""
    users = Counter(leaf.user_id for leaf in turn.backend.members(group.mls_id))
    return [leaf for leaf in added if users[leaf.user_id] > 1]


def _by_link(merged: Any) -> bool:
    """Whether those whom a commit added came by an invite link."""
    try:
        return bool(CommitData.parse(merged.authenticated_data).invites)
    except WireError:
        return False


def compare_roster(turn: Turn, group: Group, merged: Any) -> Group:
    """Compare what the commit told the service with what it did, and end what it ended."""
    try:
        data = CommitData.parse(merged.authenticated_data) if merged.authenticated_data else CommitData()
    except WireError:
        return lines.notice(turn, group, "wrong_roster", [merged.committer.identity])
    added = {leaf.device_id for leaf in merged.added}
    removed = {leaf.device_id for leaf in merged.removed} - added
    if not merged.external and (set(data.added), set(data.removed)) != (added, removed):
        group = lines.notice(turn, group, "wrong_roster", [merged.committer.identity])
    if data.end_invites:
        group = group.with_(invites_since=merged.epoch)
    for invite in turn.rows(Invite):
        if invite.group_id != group.group_id:
            continue
        if data.end_invites:
            turn.put(invite.with_(ended=True))
        elif invite.invite_id in data.invites:
            share = len(added) if len(data.invites) == 1 else 1
            turn.put(invite.with_(uses=invite.uses + share))
    return group
