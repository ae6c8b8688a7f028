"""When a device comes back into a group by a rejoin, and from which GroupInfo.

The GroupInfo comes from the service, so it is taken only if a device signed it that this one knew as a member, and if
it leads on in the same group: never into another one, never back, never past keys that have changed.
"""

from __future__ import annotations

from typing import Any

from coterie.core import device, people
from coterie.core.effects import CatchUp
from coterie.core.group import lines, rejoin
from coterie.core.mls import Member, new_id
from coterie.core.records import SERVICE_BEHIND, Group, Outgoing, group_key
from coterie.core.state import Turn
from coterie.errors import StateError
from coterie_wire import WireError, from_hex
from coterie_wire.varint import Reader

MOST_TRIES = 12
"""How often a rejoin may lose its epoch before it is given up."""
FIRST_WAIT = 2_000
"""After the first loss the service is asked anew within so many milliseconds; each loss doubles it."""
LONGEST_WAIT = 60_000
AWAY = 15_000
"""Before a service that did not answer is asked again, in milliseconds."""
NOT_A_MEMBER = 403
NO_CHANGE = {
    "welcome": b"",
    "welcomed": [],
    "added": [],
    "removed": [],
    "end_invites": False,
    "joins": [],
    "names": {},
}
"""What a commit's row tells the service of members and invites: a rejoin changes none."""


class Unfit(Exception):
    """A GroupInfo from which this device does not come back: a cause's code, and whom it names."""

    def __init__(self, code: str, about: list[str] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.about = about or []


def by_hand(turn: Turn, group_id: str) -> None:
    """Come back now, however long ago the last time was. Raises `StateError` (`not_stuck`)."""
    group = lines.need(turn, group_id)
    if not group.stuck or turn.backend.read_only:
        raise StateError("not_stuck", "This group works, or you are not a member of it any more.")
    row = rejoin.pending(turn, group)
    if row and (not row.accepted_seq or row.accepted_seq > group.service_cursor):
        lines.drain(turn, group)  # it is on its way
        return
    if row:  # the service took it, and delivered something else in its place
        turn.delete(row)
    rejoin.ask_if_due(turn, group.with_(rejoin_due=turn.now, rejoin_tries=0))


def told(turn: Turn, group_id: str, status: int, body: dict[str, Any]) -> None:
    """The answer to `group_info_get`."""
    group = turn.get(Group, group_key(group_id))
    if group is None or group.over or not group.rejoin_due or rejoin.pending(turn, group):
        return
    if status == NOT_A_MEMBER:
        _unable(turn, group, Unfit("rejoin_refused", [_sentence(status, body)]))
    elif status >= 300:
        rejoin.later(turn, group, AWAY)
    else:
        try:
            _begin(turn, group, from_hex(body.get("group_info"), name="group_info"))
        except WireError:
            _unable(turn, group, Unfit("rejoin_unreadable"))
        except Unfit as error:
            _unable(turn, group, error)


def _sentence(status: int, body: dict[str, Any]) -> str:
    return str(body.get("message") or f"the service answered {status}.")


def _unable(turn: Turn, group: Group, error: Unfit) -> None:
    """Nothing more happens by itself: a line says why, and the user may try again."""
    why = "epoch_lost" if error.code == "epoch_lost" else group.why
    group = group.with_(rejoin_due=0, why=why)
    lines.save(turn, lines.notice(turn, group, error.code, error.about))


def _begin(turn: Turn, group: Group, info: bytes) -> None:
    """Save and post the external commit. Raises `Unfit`, `WireError`."""
    epoch = _check(turn, group, info)
    sound = group.state == "active" and group.why != "state_behind"
    if sound and epoch == group.epoch and _tree_hash(info) == group.tree_hash:
        _needless(turn, group)
        return
    try:
        built = turn.backend.rejoin(info)
    except turn.mls.MlsError:
        raise Unfit("rejoin_no_leaf") from None
    _check_leaves(turn, group, built.members)
    row = Outgoing(
        lane=group.key,
        order=group.next_order,
        kind="rejoin",
        function="send_commit",
        message_id=new_id(turn.mls),
        group_id=group.group_id,
        epoch=built.epoch,
        mls_bytes=built.commit,
        at=turn.now,
        fields={"group_info": built.group_info} | NO_CHANGE,
        note={"record": built.record},
    )
    turn.put(row)
    turn.put(group.with_(next_order=group.next_order + 1))
    lines.drain(turn, group)


def _tree_hash(info: bytes) -> bytes:
    """Of the GroupContext in a framed GroupInfo (RFC 9420 sections 8.1 and 12.4.3). Raises `WireError`."""
    reader = Reader(info)
    reader.take(8)  # version and wire format; version and cipher suite
    reader.vector()  # group id
    reader.uint(8)  # epoch
    return reader.vector()


def _needless(turn: Turn, group: Group) -> None:
    """The members see the state that this device has: it goes on with that."""
    why = "" if group.why in SERVICE_BEHIND else group.why
    lines.save(turn, group.with_(rejoin_due=0, why=why))
    lines.drain(turn, group)


def _check(turn: Turn, group: Group, info: bytes) -> int:
    """The epoch of a GroupInfo of this very group, not a past one, signed by a member that this device knew.

    Raises `Unfit`.
    """
    try:
        mls_id, epoch, signer, data = turn.backend.inspect_group_info(info)
    except turn.mls.MlsError:
        raise Unfit("rejoin_unreadable") from None
    if mls_id != group.mls_id or device.group_uuid(data) != group.key:
        raise Unfit("rejoin_other_group")
    if epoch < group.epoch:
        raise Unfit("epoch_lost" if group.why in SERVICE_BEHIND else "rejoin_old_epoch")
    if not people.among(turn.backend.members(group.mls_id), signer):
        raise Unfit("rejoin_unknown_signer")
    return int(epoch)


def _check_leaves(turn: Turn, group: Group, leaves: list[Member]) -> None:
    """Every leaf is known, with the keys that it had, or new under new keys. Raises `Unfit`."""
    known = {leaf.identity: leaf for leaf in turn.backend.members(group.mls_id)}
    keys = {leaf.signature_key for leaf in known.values()}
    for leaf in leaves:
        old = known.get(leaf.identity)
        if people.differs(old, leaf) or (old is None and leaf.signature_key in keys):
            raise Unfit("rejoin_changed_leaf", [leaf.identity])


def not_taken(turn: Turn, row: Outgoing, status: int, body: dict[str, Any]) -> None:
    """The service did not take the rejoin: its record goes, and another is built from a new GroupInfo, or none."""
    group = lines.need(turn, row.group_id)
    turn.delete(row)
    if body.get("code") == "stale_epoch":
        _lost(turn, group)
    else:
        _unable(turn, group, Unfit("rejoin_refused", [_sentence(status, body)]))


def _lost(turn: Turn, group: Group) -> None:
    tries = group.rejoin_tries + 1
    if tries >= MOST_TRIES:
        _unable(turn, group, Unfit("rejoin_lost"))
    else:
        wait = min(FIRST_WAIT << tries - 1, LONGEST_WAIT)
        rejoin.later(turn, group.with_(rejoin_tries=tries), wait)


def behind(turn: Turn, group: Group) -> None:
    """The service knows of messages that this device framed and has forgotten: it stops sending, and comes back."""
    if group.why != "state_behind" and group.state == "active":
        group = lines.notice(turn, group.with_(why="state_behind"), "state_behind")
    lines.save(turn, rejoin.plan(turn, group))
    turn.do(CatchUp(group.group_id))


def went_back(turn: Turn, group_id: str, last_seq: int) -> None:
    """The service has lost what it had: its last seq lies before what this device has. Its next ones are new places."""
    group = turn.get(Group, group_key(group_id))
    if group is None or group.over or last_seq >= group.service_cursor:
        return
    lost = group.service_cursor - max(0, last_seq)
    if group.can_send:
        group = group.with_(why="service_behind")
    group = lines.notice(turn, group.with_(went_back=group.went_back + lost), "service_behind", [str(lost)])
    lines.save(turn, rejoin.plan(turn, group))
    turn.do(CatchUp(group.group_id))


def lost_epoch(turn: Turn, group: Group) -> None:
    """The service is in an epoch before one that it had delivered, though its log has grown past the cursor again."""
    if group.can_send:
        group = lines.notice(turn, group.with_(why="service_behind"), "service_behind")
        lines.save(turn, rejoin.plan(turn, group))
