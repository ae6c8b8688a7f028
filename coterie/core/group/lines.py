"""Lines of a conversation, and the small things that every part of a group needs."""

from __future__ import annotations

import hashlib

from coterie.core import causes, views
from coterie.core import content as contents
from coterie.core.effects import Drain
from coterie.core.mls import Member, new_id
from coterie.core.records import Group, Line, Me, Profile, Seen, group_key
from coterie.core.state import Turn
from coterie.errors import StateError

HOUR = 3_600_000
"""Milliseconds."""
ASKED_WITHIN = 60_000
"""How long it takes at most until who missed a message asks for what it may have said, in milliseconds."""
TURN_STEP = 3_000
"""How long the next leaf waits for the one before it to act for all (somebody left, or asked), in milliseconds."""


def need(turn: Turn, group_id: str) -> Group:
    """The group. Raises `StateError` (`no_group`)."""
    group = turn.get(Group, group_key(group_id))
    if group is None:
        raise StateError("no_group", "There is no such group on this device.")
    return group


def need_sending(turn: Turn, group_id: str) -> Group:
    """The group, if this device may send in it. Raises `StateError` with the cause."""
    group = need(turn, group_id)
    if turn.backend.read_only:
        raise StateError("read_only", causes.sentence("imported", []))
    if not group.can_send:
        code = group.why or group.state
        raise StateError(code, causes.sentence(code, []))
    return group


def own_identity(turn: Turn) -> str:
    """`user_id#device_id` of this device."""
    return f"{turn.backend.user_id}#{turn.backend.device_id}"


def member(turn: Turn, group: Group, identity: str) -> Member | None:
    """The leaf of an identity, or None."""
    found: list[Member] = [leaf for leaf in turn.backend.members(group.mls_id) if leaf.identity == identity]
    return found[0] if found else None


def rank(turn: Turn, group: Group, *others: str) -> int:
    """How many leaves, those of `others` (identities) aside, stand before this device's: when its turn to act comes."""
    own = turn.backend.own_leaf(group.mls_id).index
    return sum(
        leaf.index < own and leaf.identity not in others for leaf in turn.backend.members(group.mls_id)
    )


def save(turn: Turn, group: Group) -> Group:
    """Put the group and show it."""
    turn.put(group)
    turn.show("group", group=views.group(turn, group))
    return group


def counted(group: Group, code: str, times: int = 1) -> Group:
    """The group, which counts the cause from now on once more, or as often as that."""
    return group.with_(counts=group.counts | {code: group.counts.get(code, 0) + times})


def notice(
    turn: Turn,
    group: Group,
    code: str,
    about: list[str] | None = None,
    *,
    at: int | None = None,
    times: int = 1,
) -> Group:
    """Add a line that says what happened, behind the last line of the group's present seq, and count it.

    `times`: how many messages the one line is about.
    """
    if causes.counts(code):
        group = counted(group, code, times)
    if causes.hides(code):
        group = _doubting(turn, group)
    line = Line(
        id=new_id(turn.mls),
        rev=1,
        modified_at=turn.now,
        group_id=group.group_id,
        seq=group.cursor,
        index=group.index,
        sender="",
        at=at or turn.now,
        notice=code,
        about=about or [],
    )
    return add(turn, group, line)


def _doubting(turn: Turn, group: Group) -> Group:
    """What was not read may have said that somebody leaves: the members are asked, by one who missed it at a time."""
    if group.in_doubt or group.state != "active":
        return group
    ask_at = turn.now + min(rank(turn, group) * TURN_STEP, ASKED_WITHIN)
    return group.with_(in_doubt=True, handover_by=group.handover_by or ask_at)


def add(turn: Turn, group: Group, line: Line) -> Group:
    """Save and show a line; the group knows what its last one says."""
    view = views.line(turn, line)
    turn.put(line)
    turn.show("line", group_id=group.group_id, line=view)
    index = group.index + 1 if line.seq == group.cursor else group.index
    group = group.with_(index=index, last_text=view["text"][:200], last_at=line.at)
    turn.put(group)
    return group


def text_line(
    turn: Turn, group: Group, *, seq: int, index: int, sender: str, at: int, content: bytes
) -> Line:
    """A line of text, not yet saved."""
    return Line(
        id=new_id(turn.mls),
        rev=1,
        modified_at=turn.now,
        group_id=group.group_id,
        seq=seq,
        index=index,
        sender=sender,
        at=at,
        content=content,
    )


def first_time(turn: Turn, group: Group, what: str, which: bytes, seq: int) -> bool:
    """Whether this happens in the group for the first time; remembers it for good. Messages: `once.is_new`."""
    digest = _seen(group, what, which)
    if turn.get(Seen, group.key + digest):
        return False
    turn.put(Seen(group_id=group.group_id, seq=seq, digest=digest))
    return True


def _seen(group: Group, what: str, which: bytes) -> bytes:
    return hashlib.sha256(group.key + what.encode() + which).digest()[:16]


def was_seen(turn: Turn, group: Group, what: str, which: bytes) -> bool:
    """Whether `first_time` was asked about it before."""
    return turn.get(Seen, group.key + _seen(group, what, which)) is not None


def once_an_hour(turn: Turn, group: Group, code: str) -> bool:
    """Whether no line of this cause was asked for in the present hour: the service could fill the history with them."""
    return first_time(turn, group, code, (turn.now // HOUR).to_bytes(8, "big"), group.cursor)


def came(turn: Turn, group: Group, leaf: Member) -> None:
    """Remember the leaf of a newcomer: its key package has served."""
    first_time(turn, group, "leaf", leaf.encryption_key, group.cursor)


def was_here(turn: Turn, group: Group, leaf: Member) -> bool:
    """Whether the leaf of a key package has come into the group before."""
    return was_seen(turn, group, "leaf", leaf.encryption_key)


def learn_name(turn: Turn, group: Group, identity: str, name: object, *, hearsay: bool) -> None:
    """Keep how a member calls themselves; what others say of them never replaces their own word."""
    clean = contents.received_name(name)
    old = turn.get(Profile, group.key + identity.encode())
    if clean is None or (old and (old.name, old.hearsay) == (clean, hearsay)):
        return
    if old and hearsay:
        return
    if old:
        turn.put(old.changed(turn.now, name=clean, hearsay=hearsay))
    else:
        profile = Profile(
            id=new_id(turn.mls),
            rev=1,
            modified_at=turn.now,
            group_id=group.group_id,
            identity=identity,
            name=clean,
            hearsay=hearsay,
        )
        turn.put(profile)
    if not old or old.name != clean:
        turn.show("members", group_id=group.group_id, members=views.members(turn, group))
        turn.show("refresh", group_id=group.group_id)


def learn_own_name(turn: Turn, group: Group) -> None:
    """Stand in a group under the own name, as far as there is one."""
    me = turn.get(Me, b"me")
    if me:
        learn_name(turn, group, own_identity(turn), me.name, hearsay=False)


def drain(turn: Turn, group: Group) -> None:
    """Wake the group's lane."""
    turn.do(Drain(group.key))
