"""Coming back into a group by an external commit with the device's own signature key (RFC 9420 section 12.4.3.2).

It is a row of the outbox: the exact bytes, and beside the old rows all rows of the group as it will be. It takes the
place of the old ones in the turn that sees its own envelope, byte for byte, and not before; until then the old state
reads on as far as it can. `coterie.core.rejoining` says from which GroupInfo one is built.
"""

from __future__ import annotations

import hashlib
from typing import Any

from coterie.core import people, spent, views
from coterie.core.effects import Call, LookAgain
from coterie.core.group import lines, outbox, pace
from coterie.core.mls import Member
from coterie.core.records import Group, Invitation, Invite, Outgoing, Sent
from coterie.core.state import Turn
from coterie_wire import Envelope, uuid_bytes

MENDED = ("missed_commit", "outlived", "state_behind", "unknown_own_commit")
"""Why a group is broken from which this device comes back by itself, once it knows that its own state is to blame."""
ANSWER_WITHIN = 15_000
"""How long the service has to hand over the GroupInfo before it is asked again, in milliseconds."""


def pending(turn: Turn, group: Group) -> Outgoing | None:
    """The rejoin in the outbox, or None."""
    return next((row for row in turn.rows(Outgoing, group.key) if row.kind == "rejoin"), None)


def plan(turn: Turn, group: Group) -> Group:
    """This device is to come back by itself: at once, or an hour after it last did.

    Not into a group that somebody broke, and not where another copy of it took its place.
    """
    if group.state == "broken" and group.why not in MENDED:
        return group
    if group.rejoin_due or pending(turn, group) or turn.backend.read_only:
        return group
    due = max(turn.now, min(group.rejoin_at, turn.now) + lines.HOUR)
    return ask_if_due(turn, group.with_(rejoin_due=due, rejoin_at=due, rejoin_tries=0))


def ask_if_due(turn: Turn, group: Group) -> Group:
    """Ask for the GroupInfo when it is time, and again while no answer comes."""
    if not group.rejoin_due or group.over or pending(turn, group):
        return group
    if not pace.waits(turn, group.rejoin_due, lines.HOUR):
        turn.do(Call("group_info_get", {"group_id": group.group_id}))
        group = group.with_(rejoin_due=turn.now + ANSWER_WITHIN)
    turn.put(group)
    return group


def later(turn: Turn, group: Group, wait: int) -> Group:
    """Ask again in up to `wait` milliseconds: who lost the same epoch must not come back in the same moment."""
    due = turn.now + wait // 2 + pace.random_below(turn, wait // 2)
    turn.do(LookAgain(due))
    group = group.with_(rejoin_due=due)
    turn.put(group)
    return group


def pass_over(turn: Turn, group: Group, envelope: Envelope) -> Group:
    """An envelope of a group that can't be read on: it is counted, unless it is the way back, or an own line."""
    row = next(
        (row for row in turn.rows(Outgoing, group.key) if row.mls_bytes and _is(envelope, row.mls_bytes)),
        None,
    )
    if row and row.kind == "rejoin":
        return back(turn, group, row)
    if row and row.kind == "message":
        return outbox.settle(turn, group, row, envelope.seq, group.index)
    sent = turn.get(Sent, uuid_bytes(envelope.message_id))
    if sent and sent.hash == envelope.hash:
        return group
    group = lines.counted(group, "passed_over")
    group = group.with_(passed=group.passed + (envelope.kind == "application"))
    turn.put(group)
    return group


def _is(envelope: Envelope, data: bytes) -> bool:
    return hashlib.sha256(data).digest() == envelope.hash


def back(turn: Turn, group: Group, row: Outgoing) -> Group:
    """The own rejoin came back: its rows take the place of the old ones, and what waited is framed anew."""
    turn.delete(row)
    if group.state == "active" and group.epoch > row.epoch:  # another commit took this epoch: it was refused
        return lines.notice(turn, group, "replayed")
    before = {leaf.identity: leaf for leaf in turn.backend.members(group.mls_id)}
    try:
        merged = turn.backend.merge_rejoin(row.note["record"])
    except (
        turn.mls.MlsError
    ):  # the stored record is damaged: the members are in an epoch that is closed to this device
        group = lines.notice(turn, group.with_(state="broken", why="missed_commit"), "rejoin_unreadable")
        return later(turn, group, ANSWER_WITHIN)
    missed = group.state != "active" or group.epoch < row.epoch
    group = _lines(turn, _renewed(turn, group, merged), merged, before)
    if missed:
        group = _unsure(turn, group)
    group = outbox.frame_anew(turn, group)
    _asked_no_more(turn, group)
    turn.show("members", group_id=group.group_id, members=views.members(turn, group))
    lines.drain(turn, group)
    return group


def _asked_no_more(turn: Turn, group: Group) -> None:
    """This device is in: the service has dropped a Welcome that waited, and nothing opens it here any more."""
    invitation = turn.get(Invitation, group.key)
    if invitation:
        for ref in spent.named(turn, invitation.welcome):
            spent.used(turn, ref)
        turn.delete(invitation)
        turn.show("invitation_gone", group_id=group.group_id)


def _renewed(turn: Turn, group: Group, merged: Any) -> Group:
    """The group's row in the new epoch. What the user wants of it stays wanted, where it still makes sense."""
    rows = turn.rows(Outgoing, group.key)
    for commit in (row for row in rows if row.kind == "commit"):  # pending in the old rows
        turn.delete(commit)
    leaves = turn.backend.members(group.mls_id)
    here = {leaf.identity for leaf in leaves}
    standing = {(leaf.identity, leaf.index, leaf.encryption_key) for leaf in leaves}
    leaving = any(row.function == "group_leave" for row in rows)
    group = group.with_(
        state="active",
        why="left_self" if leaving else "",
        epoch=merged.epoch,
        counter=0,
        tree_hash=turn.backend.tree_hash(group.mls_id),
        epoch_authenticator=turn.backend.epoch_authenticator(group.mls_id),
        removals=[identity for identity in group.removals if identity in here],
        leavers=[leaver for leaver in group.leavers if (leaver[0], leaver[1], bytes(leaver[2])) in standing],
        adding=[wanted for wanted in group.adding if wanted[0] not in here],
        dropped=[],
        suspect="",
        rejoin_due=0,
        rejoin_tries=0,
    )
    turn.put(group)
    return group


def _lines(turn: Turn, group: Group, merged: Any, before: dict[str, Member]) -> Group:
    """What lay between becomes lines."""
    leaves = {leaf.identity: leaf for leaf in turn.backend.members(group.mls_id)}
    came = [leaf for identity, leaf in leaves.items() if identity not in before]
    gone = [leaf for identity, leaf in before.items() if identity not in leaves]
    group = lines.notice(turn, group, "back_in")
    if group.passed:
        group = lines.notice(turn, group, "missed", [str(group.passed)], times=group.passed)
    people.keep(turn, group, gone)
    for leaf in gone:
        group = lines.notice(turn, group, "went_meanwhile", [leaf.identity])
    for leaf in came:
        lines.came(turn, group, leaf)
        group = lines.notice(turn, group, "came_meanwhile", [leaf.identity])
    for name in people.impostors(turn, came, outside=group.group_id):
        group = lines.notice(turn, group, "key_changed", [name])
    if merged.group_data is not None:
        group = lines.notice(turn, group, "roles_changed", [merged.committer.identity])
    group = group.with_(passed=0)
    turn.put(group)
    return group


def _unsure(turn: Turn, group: Group) -> Group:
    """Commits were missed, and one of them may have ended the invites: the members are asked which are alive."""
    for invite in turn.rows(Invite):
        if invite.group_id == group.group_id and invite.alive(turn.now):
            turn.delete(invite)
    group = group.with_(invites_since=group.epoch, handover_by=turn.now, told=False, astray=[], mend_at=0)
    turn.put(group)
    return group


def replaced(turn: Turn, group: Group) -> Group:
    """An external commit with this device's own key, which it did not make: it stops, and does not undo that."""
    return called_off(turn, group.with_(state="broken", why="replaced_self"))


def called_off(turn: Turn, group: Group) -> Group:
    """No way back is wanted any more, nor one that is under way: it leads into a state of whoever ended this one."""
    row = pending(turn, group)
    if row:
        turn.delete(row)
    group = group.with_(rejoin_due=0)
    turn.put(group)
    return group
