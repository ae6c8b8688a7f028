"""Roles: what only the owner may commit, who did it all the same, and how that is undone.

MLS has accepted a breach by the time it is noticed, so the epoch has moved. It is undone by the next commit: that
removes the offender, restores the group's data, and lists those again who were thrown out, so that the service hands
out a key package of theirs; the one after it adds them, and they are asked whether they come back. The owner does it
at once; if the owner does not, or was the one thrown out, the lowest leaf does, the others after it had its time.

Everybody who saw the breach knows who the offender is, so whoever undoes it breaks no rule in turn. Who came in later
knows it from the handover. Until that came a newcomer judges nobody: it cannot know who had asked to leave. Nor can who
missed a message: else a service that keeps one from the owner could have the owner throw out whoever did their duty. It
asks the members who left, and names who was taken out meanwhile, and by whom.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from coterie.core import device, views
from coterie.core.group import fetching, lines
from coterie.core.group.roster import LISTED
from coterie.core.mls import Member
from coterie.core.records import Group
from coterie.core.state import Turn
from coterie_wire import is_uuid

OWNER_FIRST = 15_000
"""How long the others leave it to the owner, in milliseconds."""
TRIES = 3
"""So often this device tries to undo a breach whose undoing the service refuses."""
TRY_AGAIN = 60_000
"""Between two tries, in milliseconds."""
LISTED_FOR = 600_000
"""How long somebody who was thrown out is listed at the service while they are brought back, in milliseconds."""
MOST_WRONGED = 1_000
"""Of so many it is remembered that they were thrown out."""
MOST_TOLD = 500
"""So many of each are told in a handover, and taken from one."""
MAX_IDENTITY = 255
"""Bytes of an identity in a leaf; a handover may claim any."""
NEVER = 1 << 53
"""When this device acts on what it only heard of as a newcomer."""
UNSURE = NEVER + 1
"""When it acts on what it was told because it had missed a message."""


def asked(group: Group, leaf: Member) -> bool:
    """Whether a member asked to leave, with this very leaf."""
    return any(
        (identity, index, bytes(key)) == (leaf.identity, leaf.index, leaf.encryption_key)
        for identity, index, key, _ in group.leavers
    )


def on_hearsay(group: Group, leaf: Member) -> bool:
    """Whether it is another member's word alone that this one asked to leave, to a device that was here by then."""
    return any((identity, due) == (leaf.identity, UNSURE) for identity, _, _, due in group.leavers)


def may_remove(turn: Turn, group: Group, committer: Member, leaf: Member) -> bool:
    """Whether a member may remove another who did not ask: the owner anybody, everybody their own and offenders."""
    return (
        committer.identity == views.owner(turn, group)
        or committer.user_id == leaf.user_id
        or any(identity == leaf.identity for identity, *_ in group.offenders)
    )


def data_changed(turn: Turn, group: Group) -> bool:
    """Whether the group's data names another owner or another group than when this device came in."""
    found = turn.backend.group_data(group.mls_id)
    return bool(group.owner) and (device.group_uuid(found), device.group_owner(found)) != (
        group.key,
        group.owner,
    )


def restored_data(turn: Turn, group: Group) -> bytes | None:
    """The group's data as this device knows it, if it was changed and has to be put right."""
    return device.group_data(group.key, group.owner) if data_changed(turn, group) else None


def broke(turn: Turn, group: Group, offenders: Iterable[str], thrown_out: Iterable[str] = ()) -> Group:
    """Remember a breach, and when it is this device's turn to undo it; the owner breaks no rule."""
    owner = views.owner(turn, group)
    known = {identity for identity, *_ in (*group.offenders, *group.wronged)}
    fresh = [one for one in offenders if one not in known and one not in (owner, lines.own_identity(turn))]
    due = _due(turn, group, owner, fresh)
    wronged = [[one, due, 0] for one in thrown_out if one not in known]
    return group.with_(
        offenders=[*group.offenders, *([one, due, 0] for one in fresh)],
        wronged=[*group.wronged, *wronged][:MOST_WRONGED],
    )


def _due(turn: Turn, group: Group, owner: str, offenders: list[str]) -> int:
    if not group.told:
        return NEVER
    if owner == lines.own_identity(turn):
        return turn.now
    waits = OWNER_FIRST if lines.member(turn, group, owner) else 0
    return turn.now + waits + lines.rank(turn, group, *offenders) * lines.TURN_STEP


def due_offenders(turn: Turn, group: Group) -> set[str]:
    """Identities that this device removes now."""
    return {identity for identity, due, _ in group.offenders if due <= turn.now}


def to_list(turn: Turn, group: Group) -> set[str]:
    """Identities that this device lists again now."""
    return {identity for identity, due, until in group.wronged if not until and due <= turn.now}


def back(turn: Turn, group: Group) -> set[str]:
    """Devices that the next commit lists, or leaves listed, though they are no members."""
    listed = {identity for identity, _, until in group.wronged if turn.now < until}
    return {identity.partition("#")[2] for identity in listed | to_list(turn, group)}


def settled(turn: Turn, group: Group, merged: Any) -> Group:
    """After a commit: who is out or in again is forgotten; who is listed again is fetched by who committed it."""
    members = {leaf.identity for leaf in turn.backend.members(group.mls_id)}
    at_service = {device for device, how in group.astray if how == LISTED}
    guilty = any(identity == merged.committer.identity for identity, *_ in group.offenders)
    wronged, listed = [], []
    for identity, due, until in group.wronged:
        if identity in members or (until and until <= turn.now):
            continue
        now_listed = not until and not guilty and identity.partition("#")[2] in at_service
        listed += [identity] if now_listed else []
        wronged.append([identity, due, turn.now + LISTED_FOR if now_listed else until])
    offenders = [one for one in group.offenders if one[0] in members]
    group = group.with_(offenders=offenders, wronged=wronged)
    turn.put(group)
    if listed and merged.committer.identity == lines.own_identity(turn):
        fetching.ask(turn, group, listed)
    return group


def refused(turn: Turn, group: Group) -> Group:
    """The service refused a commit for good: what it was to undo is tried again after a while, and not for ever."""
    later = turn.now + TRY_AGAIN
    return group.with_(
        offenders=[
            [one, NEVER if tries + 1 >= TRIES else max(due, later), tries + 1]
            if due <= turn.now
            else [one, due, tries]
            for one, due, tries in group.offenders
        ],
        wronged=[one if one[2] or one[1] > turn.now else [one[0], NEVER, 0] for one in group.wronged],
    )


# -- what a newcomer is told, and who missed a message --


def sure(group: Group) -> bool:
    """Whether this device knows all who asked to leave or broke the roles."""
    return group.told and not group.in_doubt


def handover(group: Group) -> dict[str, Any]:
    """What is needed to judge a removal; nothing from who does not know it. At most 400 KB."""
    if not sure(group):
        return {}
    leavers = [[identity, index, key] for identity, index, key, _ in group.leavers]
    offenders = [identity for identity, *_ in group.offenders]
    wronged = [identity for identity, *_ in group.wronged if _is_identity(identity)]
    return {
        "leavers": leavers[:MOST_TOLD],
        "offenders": offenders[:MOST_TOLD],
        "wronged": wronged[:MOST_TOLD],
    }


def handed_over(turn: Turn, group: Group, body: dict[Any, Any]) -> Group:
    """Take it, once. It is one member's word, so this device removes nobody and brings nobody back on it.

    Who missed a message saw every commit, and takes nobody for an offender who broke no rule before its eyes.
    """
    if sure(group) or "offenders" not in body:
        return group
    present = turn.backend.members(group.mls_id)
    group = _leavers_told(group, present, body)
    return group.with_(in_doubt=False) if group.told else _breaches_told(turn, group, present, body)


def _leavers_told(group: Group, present: list[Member], body: dict[Any, Any]) -> Group:
    """Of leaves that stand in the group: so no more is kept than there is of these."""
    standing = {(leaf.identity, leaf.index, leaf.encryption_key) for leaf in present}
    known = {identity for identity, *_ in group.leavers}
    said = {tuple(one) for one in _list(body, "leavers") if _is_leaver(one)}
    due = UNSURE if group.told else NEVER
    fresh = [[*one, due] for one in sorted(said & standing) if one[0] not in known]
    return group.with_(leavers=[*group.leavers, *fresh])


def _breaches_told(turn: Turn, group: Group, present: list[Member], body: dict[Any, Any]) -> Group:
    members = {leaf.identity for leaf in present}
    known = {identity for identity, *_ in (*group.offenders, *group.wronged)}
    exempt = known | {views.owner(turn, group), lines.own_identity(turn)}
    offenders = ({one for one in _list(body, "offenders") if isinstance(one, str)} & members) - exempt
    wronged = {one for one in _list(body, "wronged") if _is_identity(one)} - members - known
    room = max(0, MOST_TOLD - len(group.wronged))
    return group.with_(
        told=True,
        in_doubt=False,
        offenders=[*group.offenders, *([one, NEVER, 0] for one in sorted(offenders))],
        wronged=[*group.wronged, *([one, NEVER, 0] for one in sorted(wronged)[:room])],
    )


def _list(body: dict[Any, Any], name: str) -> list[Any]:
    found = body.get(name)
    return found[:MOST_TOLD] if isinstance(found, list) else []


def _is_identity(one: Any) -> bool:
    """Whether it is a string that can be the identity of a device at the service."""
    if not isinstance(one, str) or len(one.encode()) > MAX_IDENTITY:
        return False
    user_id, _, device_id = one.partition("#")
    return bool(user_id) and is_uuid(device_id)


def _is_leaver(one: Any) -> bool:
    match one:
        case [str(), int(index), bytes()]:
            return not isinstance(index, bool)
    return False
