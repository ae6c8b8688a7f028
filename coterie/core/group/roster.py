"""What the service takes for the members of a group, as far as commits told it, and what the next one has to tell it.

The service compares a commit's authenticated data with the request, never with the MLS change, so a committer can have
it believe anything. The data is authenticated to the members, who therefore know what the service was told. Kept are
only the differences between its roster and the leaves (`Group.astray`); whoever commits next mends them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from coterie.core.group import lines
from coterie.core.records import Group
from coterie.core.state import Turn
from coterie_wire import CommitData, is_uuid

CUT_OFF = "cut_off"
"""A member whom a commit took off the service's roster: nothing reaches it until it is listed again."""
UNKNOWN = "unknown"
"""A member of whom the service was never told: it cannot be listed without a Welcome."""
LISTED = "listed"
"""On the service's roster, and no member: it gets ciphertext that it cannot read."""


def devices(turn: Turn, group: Group) -> set[str]:
    """The ids of the members' devices."""
    return {leaf.device_id for leaf in turn.backend.members(group.mls_id)}


def _astray(group: Group, members: set[str]) -> dict[str, str]:
    """Where the service's roster is not `members`. It has no device whose id is no UUID; MLS lets a member add one."""
    return dict(group.astray) | {device: UNKNOWN for device in members if not is_uuid(device)}


def believed(group: Group, members: set[str]) -> set[str]:
    """The service's roster, when the devices in the group are `members`."""
    astray = _astray(group, members)
    missing = {device for device, how in astray.items() if how != LISTED}
    return (members - missing) | (astray.keys() - missing)


def change(
    turn: Turn, group: Group, *, leaving: set[str], coming: set[str], back: Collection[str]
) -> tuple[set[str], set[str]]:
    """What a commit has to say it added and removed, so that the service's roster is the group's after it.

    `leaving` and `coming` are devices whose leaves it removes and adds, `back` those that are listed though they are no
    members, because they are being brought back (`group/roles.py`).
    """
    members = devices(turn, group)
    listed, staying = believed(group, members), members - leaving
    unknown = {device for device, how in _astray(group, members).items() if how == UNKNOWN}
    kept = (staying | set(back)) - coming
    return coming | (kept - listed - unknown), listed - kept


def told(turn: Turn, before: Group, group: Group, merged: Any, data: CommitData) -> Group:
    """Keep what a merged commit told the service; a line names the committer if that made the roster a wrong one.

    `before` is the group as it was.
    """
    after = devices(turn, group)
    came, gone = ({leaf.device_id for leaf in leaves} for leaves in (merged.added, merged.removed))
    members = (after - came) | gone
    roster, old = believed(group, members), _astray(group, members)
    listed = (roster - set(data.removed)) | set(data.added)
    astray = dict.fromkeys(listed - after, LISTED)
    for device in after - listed:
        astray[device] = CUT_OFF if device in roster or old.get(device) == CUT_OFF else UNKNOWN
    group = group.with_(astray=sorted([device, how] for device, how in astray.items()))
    returning = {identity.partition("#")[2] for identity, *_ in before.wronged}
    if not group.told:  # who is being brought back is not known here yet
        return group
    if {device for device in astray if astray[device] != old.get(device)} - returning:
        group = lines.notice(turn, group, "wrong_roster", [merged.committer.identity])
    mend_at = group.mend_at or turn.now + lines.rank(turn, group) * lines.TURN_STEP
    return group.with_(mend_at=mend_at if to_mend(turn, group) else 0)


def unlisted(group: Group) -> set[str]:
    """Devices that came into the group without the service being told."""
    return {device for device, how in group.astray if how == UNKNOWN}


def to_mend(turn: Turn, group: Group) -> bool:
    """Whether the next commit puts something right; who came without the service knowing is put out, not listed."""
    returning = {identity.partition("#")[2] for identity, _, until in group.wronged if turn.now < until}
    return any(how != UNKNOWN and device not in returning for device, how in group.astray)


def doubted(group: Group) -> Group:
    """The service refused a commit for good, maybe because of what this device believes of its roster.

    That is forgotten: the next commit says only what it does itself.
    """
    return group.with_(astray=[], mend_at=0)
