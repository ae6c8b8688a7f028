"""What a commit did to a group's members: a line for each change, who was allowed to, and what the service was told."""

from __future__ import annotations

from collections import Counter
from typing import Any

from coterie.core import people
from coterie.core.group import lines, roles, roster
from coterie.core.mls import Member
from coterie.core.records import Group, Invite
from coterie.core.state import Turn
from coterie_wire import CommitData, WireError


def take(turn: Turn, before: Group, group: Group, merged: Any, time: int) -> Group:
    """A merged commit, at the service's `time` of it: lines, breaches, the service's roster, invites that it ended.

    `before` is the group as it was, `group` as it is in the new epoch.
    """
    data = _data(merged)
    group = _tell(turn, before, group, merged, data or CommitData(), time)
    group = _data_kept(turn, group, merged, time)
    group = _end_invites(turn, group, merged, data or CommitData())
    if merged.self_removed:
        return group
    if data is None:
        group = lines.notice(turn, group, "wrong_roster", [merged.committer.identity])
    if not merged.external:
        group = roster.told(turn, before, group, merged, data or CommitData())
        unlisted = [leaf.identity for leaf in merged.added if leaf.device_id in roster.unlisted(group)]
        if unlisted:
            group = roles.broke(turn, group, [merged.committer.identity, *unlisted])
    return roles.settled(turn, group, merged)


def _data(merged: Any) -> CommitData | None:
    """What the commit told the service; None when it is nothing that can be read."""
    try:
        return CommitData.parse(merged.authenticated_data) if merged.authenticated_data else CommitData()
    except WireError:
        return None


def _tell(turn: Turn, before: Group, group: Group, merged: Any, data: CommitData, time: int) -> Group:
    if merged.external:
        code = "replaced_self" if merged.self_removed else "rejoined"
        return lines.notice(turn, group, code, [merged.committer.identity], at=time)
    people.keep(turn, group, merged.removed)
    thrown_out = []
    for leaf in merged.removed:
        if any(one.signature_key == leaf.signature_key for one in merged.added):
            continue  # an older leaf of someone who is added anew
        code, about = _removal(turn, before, merged.committer, leaf, data)
        group = lines.notice(turn, group, code, about, at=time)
        if code == "role_breach":
            thrown_out.append(leaf.identity)
    if thrown_out:
        group = roles.broke(turn, group, [merged.committer.identity], thrown_out)
    return _arrivals(turn, group, merged, data, time) if merged.added else group


def _removal(
    turn: Turn, group: Group, committer: Member, leaf: Member, data: CommitData
) -> tuple[str, list[str]]:
    """The cause of a removal, and whom it names. `group` is as it was before."""
    if leaf.identity == lines.own_identity(turn):
        return _own_removal(turn, group, committer, leaf), [committer.identity]
    if roles.asked(group, leaf) and not roles.on_hearsay(group, leaf):
        return "left", [leaf.identity]
    if roles.may_remove(turn, group, committer, leaf):
        code = "device_removed" if leaf.user_id == committer.user_id else "removed"
    elif roles.sure(group) and not roles.asked(group, leaf):
        return "role_breach", [committer.identity, leaf.identity]
    elif not group.told:  # a newcomer goes by the committer's word: whether the links end
        code = "removed" if data.end_invites else "left"
    else:
        code = "taken_out"
    return code, [leaf.identity, committer.identity]


def _own_removal(turn: Turn, group: Group, committer: Member, leaf: Member) -> str:
    if group.why == "left_self":
        return "left_self"
    return "removed_self" if roles.may_remove(turn, group, committer, leaf) else "thrown_out"


def _data_kept(turn: Turn, group: Group, merged: Any, time: int) -> Group:
    """This version never changes the group's data, so nobody may, unless it is to put them right."""
    if merged.group_data is None or not (merged.self_removed or roles.data_changed(turn, group)):
        return group
    group = lines.notice(turn, group, "roles_changed", [merged.committer.identity], at=time)
    return group if merged.self_removed else roles.broke(turn, group, [merged.committer.identity])


def _arrivals(turn: Turn, group: Group, merged: Any, data: CommitData, time: int) -> Group:
    code = "joined" if data.invites else "added"
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


def _end_invites(turn: Turn, group: Group, merged: Any, data: CommitData) -> Group:
    """End what the commit ended, and count the uses of the invites that it names."""
    if data.end_invites:
        group = group.with_(invites_since=merged.epoch)
    for invite in turn.rows(Invite):
        if invite.group_id != group.group_id:
            continue
        if data.end_invites:
            turn.put(invite.with_(ended=True))
        elif invite.invite_id in data.invites:
            share = len(merged.added) if len(data.invites) == 1 else 1
            turn.put(invite.with_(uses=invite.uses + share))
    return group
