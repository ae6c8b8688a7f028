"""Commits: what is wanted becomes one pending commit, posted with its exact bytes, merged only when it comes back.

What is wanted is state (removals, leavers, known people to add, verified joins), so an intent whose commit lost is
built again from what still holds, and otherwise forgotten.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

from coterie.core import invite as invites
from coterie.core import people
from coterie.core.group import lines, outbox, pace, roles, roster, tasks
from coterie.core.mls import new_id
from coterie.core.records import Group, Invite, Outgoing
from coterie.core.state import Turn
from coterie_wire import CommitData

MOST_ADDED = 25
"""Known devices in one commit: each gets its own copy of a Welcome, which grows with the group."""
LEAVE_RETRY = 60_000
"""How long after a refused commit a member who left is tried again, in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """Somebody to add: a join whose tag this device verified and whose claim it holds, or a known device."""

    group_id: str
    identity: str
    signature_key: bytes
    key_package: bytes
    name: str = ""
    join_id: str = ""
    """Empty for a known device, which comes without a link."""
    invite_id: bytes = b""

    @property
    def device_id(self) -> str:
        return self.identity.partition("#")[2]


def pending_row(turn: Turn, group: Group) -> Outgoing | None:
    """The commit in the outbox, or None."""
    return next((row for row in turn.rows(Outgoing, group.key) if row.kind == "commit"), None)


def advance(turn: Turn, group: Group, newcomers: list[Newcomer]) -> None:
    """Build the commit that carries out all that is wanted now, if anything is and no commit is pending."""
    if turn.backend.read_only or not group.can_send or pending_row(turn, group):
        return
    if pace.waits(turn, group.commit_at, pace.LONGEST_WAIT):  # it has just lost; `LookAgain` comes back to it
        return
    with tasks.attempted(turn, group):
        _commit_what_fits(turn, group, _still_invited(turn, newcomers), _wanted_removals(turn, group))


def _commit_what_fits(turn: Turn, group: Group, invited: list[Newcomer], removals: list[Any]) -> None:
    owed = _owed(turn, group)
    for some in [*_attempts(invited), *_attempts(_known(turn, group)), []]:
        if not (some or removals or owed):
            return
        try:
            _commit(turn, lines.need(turn, group.group_id), some, removals)
        except turn.mls.MlsError:  # a newcomer that does not fit must not hold up the others, nor a removal
            if not some:
                raise
            if len(some) == 1 and not some[0].join_id:
                _not_addable(turn, some[0])
        else:
            return


def _owed(turn: Turn, group: Group) -> bool:
    """Whether it is this device's turn to put right what others told the service, or whom they threw out."""
    mends = 0 < group.mend_at <= turn.now and roster.to_mend(turn, group)
    return mends or bool(roles.to_list(turn, group))


def renew_leaf(turn: Turn, group: Group) -> None:
    """Build the commit that adds and removes nobody: it gives this device's leaf new keys."""
    with tasks.attempted(turn, group):
        _commit(turn, group, [], [])


def _attempts(newcomers: list[Newcomer]) -> list[list[Newcomer]]:
    """All together, else one of them. Who comes by a link and who is known never share a commit: members count uses."""
    alone = [[one] for one in newcomers] if len(newcomers) > 1 else []
    return [*([newcomers] if newcomers else []), *alone]


def _known(turn: Turn, group: Group) -> list[Newcomer]:
    """Known devices that the user wants here."""
    return [
        Newcomer(
            group_id=group.group_id,
            identity=identity,
            signature_key=bytes(key),
            key_package=bytes(package),
            name=people.name_of(turn, identity) or "",
        )
        for identity, key, package in group.adding[:MOST_ADDED]
    ]


def _not_addable(turn: Turn, newcomer: Newcomer) -> None:
    """A known device whose key package does not fit (any more): said, and not tried again."""
    group = lines.need(turn, newcomer.group_id)
    group = group.with_(adding=[wanted for wanted in group.adding if wanted[0] != newcomer.identity])
    lines.save(turn, lines.notice(turn, group, "not_added", [newcomer.name or newcomer.identity]))


def _commit(turn: Turn, group: Group, newcomers: list[Newcomer], removals: list[Any]) -> None:
    gone = [*removals, *_replaced(turn, group, newcomers)]
    added, removed = roster.change(
        turn,
        group,
        leaving={leaf.device_id for leaf in gone},
        coming={one.device_id for one in newcomers},
        back=roles.back(turn, group),
    )
    data = CommitData(
        added=tuple(added),
        removed=tuple(removed),
        end_invites=any(not roles.asked(group, leaf) for leaf in removals),
        invites=tuple({one.invite_id for one in newcomers if one.join_id}),
    )
    renews = not (newcomers or removals or _owed(turn, group))
    _build(turn, group, newcomers, gone, data, renews=renews)


def _still_invited(turn: Turn, newcomers: list[Newcomer]) -> list[Newcomer]:
    """Those whose invite is alive, each device once, and of each invite no more than it has uses left."""
    taken: Counter[bytes] = Counter()
    invited: list[Newcomer] = []
    for one in newcomers:
        invite = turn.get(Invite, one.invite_id)
        if any(
            one.identity == other.identity or one.signature_key == other.signature_key for other in invited
        ):
            continue
        if invite and invite.group_id == one.group_id and invite.alive(turn.now):
            taken[one.invite_id] += 1
            if taken[one.invite_id] <= invite.max_uses - invite.uses:
                invited.append(one)
    return invited


def _wanted_removals(turn: Turn, group: Group) -> list[Any]:
    due = {(identity, index, bytes(key)) for identity, index, key, at in group.leavers if at <= turn.now}
    wanted = {*group.removals, *roles.due_offenders(turn, group)}
    own = lines.own_identity(turn)
    return [
        leaf
        for leaf in turn.backend.members(group.mls_id)
        if leaf.identity != own
        and (leaf.identity in wanted or (leaf.identity, leaf.index, leaf.encryption_key) in due)
    ]


def _replaced(turn: Turn, group: Group, newcomers: list[Newcomer]) -> list[Any]:
    """Older leaves of the newcomers: one device never stands in a group twice."""
    identities = {one.identity for one in newcomers}
    keys = {one.signature_key for one in newcomers}
    return [
        leaf
        for leaf in turn.backend.members(group.mls_id)
        if leaf.identity in identities or leaf.signature_key in keys
    ]


def _build(
    turn: Turn,
    group: Group,
    newcomers: list[Newcomer],
    gone: list[Any],
    data: CommitData,
    *,
    renews: bool,
) -> None:
    built = turn.backend.commit(
        group.mls_id,
        add=[one.key_package for one in newcomers],
        remove=sorted({leaf.index for leaf in gone}),
        group_data=roles.restored_data(turn, group),
        authenticated_data=data.encode(),
    )
    welcome = built.welcome or b""
    by_link = [one for one in newcomers if one.join_id]
    group = group.with_(counter=group.counter + 1, next_order=group.next_order + 1)
    row = Outgoing(
        lane=group.key,
        order=group.next_order - 1,
        kind="commit",
        function="invite_complete" if by_link else "send_commit",
        message_id=new_id(turn.mls),
        group_id=group.group_id,
        epoch=group.epoch,
        counter=group.counter,
        mls_bytes=built.commit,
        at=turn.now,
        fields={
            "group_info": built.group_info,
            "welcome": welcome,
            "welcomed": sorted(one.device_id for one in newcomers),
            "added": list(data.added),
            "removed": list(data.removed),
            "end_invites": data.end_invites,
            "joins": [[one.join_id, _tag(turn, one, welcome)] for one in by_link],
            "names": {one.identity: one.name for one in newcomers},
        },
        note={"renews": renews, "gone": sorted({leaf.identity for leaf in gone})},
    )
    turn.put(row)
    turn.put(group)
    lines.drain(turn, group)


def _tag(turn: Turn, newcomer: Newcomer, welcome: bytes) -> bytes:
    invite = turn.get(Invite, newcomer.invite_id)
    if invite is None:  # `_still_invited` has just seen it
        raise LookupError(newcomer.invite_id.hex())
    return invites.welcome_tag(invite.welcome_key, newcomer.join_id, newcomer.key_package, welcome)


def taken(turn: Turn, row: Outgoing, answer: dict[str, Any]) -> None:
    """The service took the commit. It is merged when it comes back, never on the answer alone.

    Raises `RemoteError` (`bad_answer`).
    """
    turn.put(row.with_(accepted_seq=outbox.seq_of(answer)))


def look_for_lost(turn: Turn, group: Group, *, all_read: bool) -> None:
    """Post again what the service took (a commit, a rejoin) and has lost: its place went by without it.

    `all_read`: so has the end of the log. The bytes and the message id are the same, so a service that has it after all
    gives the same answer again.
    """
    for row in turn.rows(Outgoing, group.key):
        if row.accepted_seq and (all_read or row.accepted_seq <= group.service_cursor):
            turn.put(row.with_(accepted_seq=0))
            lines.drain(turn, group)


def given_up(turn: Turn, row: Outgoing, *, too_soon: bool = False) -> None:
    """The service refused the commit for good: it is discarded, and known should it be delivered after all.

    One that came `too_soon` says nothing of what this device believes of the service.
    Whom it was to remove is forgotten with it, unless it also let somebody in, which may be why it was refused.
    Members who asked to leave are tried again after a while.
    """
    group = lines.need(turn, row.group_id)
    if turn.backend.has_pending_commit(group.mls_id):
        turn.backend.discard_pending(group.mls_id)
    turn.delete(row)
    digest = hashlib.sha256(row.mls_bytes).digest()
    # Also those whose devices the service does not have: it was told nothing of them, and the next commit is the same.
    refused: set[str] = set() if too_soon else set(row.note.get("gone", ()))
    removals = [identity for identity in group.removals if identity not in refused or row.fields["joins"]]
    later = turn.now + LEAVE_RETRY
    leavers = [
        [identity, index, key, max(due, later) if identity in refused else due]
        for identity, index, key, due in group.leavers
    ]
    dropped = [*group.dropped, [row.epoch, digest]]
    adding = [wanted for wanted in group.adding if wanted[0].partition("#")[2] not in row.fields["added"]]
    group = group.with_(dropped=dropped, removals=removals, leavers=leavers, adding=adding)
    # A join that is over is the likely reason, where there are any; the roster's is found without joins.
    if not too_soon and not row.fields["joins"]:
        group = roles.refused(turn, roster.doubted(group))
    turn.put(group)
