"""When this device renews its leaf: a commit that adds and removes nobody heals after a theft of keys (RFC 9420
section 16.6). Any own commit does, so one that adds or removes counts too.

It is due soon after this device came in (its first leaf lay in a key package for others to take), 7 days after the
last one, after 100 messages, and after somebody was removed. One at a time: newcomers draw a random moment in a span
that grows with the group, after a removal the leaves go in their order, and who sees another's commit keeps a distance.
Nothing is due in a group that was not caught up with: the commit would be of an epoch that is gone.
"""

from __future__ import annotations

from coterie.core.group import commits, pace
from coterie.core.records import Group
from coterie.core.state import Turn

DAY = 86_400_000
"""Milliseconds, as all below that are not counts."""
AT_LATEST = 7 * DAY
SPREAD = DAY
"""So much earlier at most, or those who came in together would all renew together."""
MESSAGES = 100
DEVICE_GAP = 61_000
"""Between two renewals of a device: the service's 60 s and some."""
NEWCOMER_STEP = 3_000
"""The span in which newcomers draw, for each member."""
NEWCOMER_SPAN = 300_000
"""At most."""
REMOVAL_STEP = 10_000
"""From one leaf's turn to the next one's, after a removal."""


def look(turn: Turn, group: Group) -> None:
    """Renew the own leaf if it is time, and nothing else is being committed."""
    if turn.backend.read_only or not group.can_send:
        return
    group = _put(turn, group, _timed(turn, group))
    waits = turn.now < group.renew_at or pace.waits(turn, group.renewed_at + DEVICE_GAP, DEVICE_GAP)
    if not waits and not commits.pending_row(turn, group) and len(turn.backend.members(group.mls_id)) > 1:
        commits.renew_leaf(turn, group)


def epoch_moved(turn: Turn, group: Group) -> None:
    """Somebody committed: the own renewal waits until the service would take it, and some more if others wait too."""
    if turn.backend.read_only or not group.can_send:
        return
    timed = _timed(turn, group)
    soonest = turn.now + pace.GROUP_GAP
    if timed.renew_at < soonest:
        timed = timed.with_(renew_at=soonest + pace.random_below(turn, pace.RENEWAL_WAIT))
    _put(turn, group, timed)


def _put(turn: Turn, before: Group, group: Group) -> Group:
    """The group, written if it is another than before."""
    if group != before:
        turn.put(group)
    return group


def _timed(turn: Turn, group: Group) -> Group:
    """The group with what its leaf's age, its messages and a removal say of the next renewal."""
    key = turn.backend.own_leaf(group.mls_id).encryption_key
    if key != group.leaf_key:
        return _new_leaf(turn, group, key)
    if group.renew_at > turn.now + AT_LATEST:  # set by a clock that ran ahead: the leaf may be of any age
        group = group.with_(renew_at=turn.now)
    if group.framed >= MESSAGES and turn.now < group.renew_at:
        group = group.with_(renew_at=turn.now, framed=0)
    if group.renew_soon:
        turn_comes = turn.now + pace.GROUP_GAP + _rank(turn, group) * REMOVAL_STEP
        group = group.with_(renew_at=min(group.renew_at, turn_comes), renew_soon=False)
    return group


def _new_leaf(turn: Turn, group: Group, key: bytes) -> Group:
    """The leaf is another than before: of a key package when this device just came in, else of an own commit."""
    if not group.leaf_key and group.epoch > 0:
        span = min(NEWCOMER_STEP * len(turn.backend.members(group.mls_id)), NEWCOMER_SPAN)
        return group.with_(leaf_key=key, renew_at=turn.now + pace.random_below(turn, span))
    return group.with_(
        leaf_key=key,
        renewed_at=turn.now,
        renew_at=turn.now + AT_LATEST - pace.random_below(turn, SPREAD),
        renew_soon=False,
        framed=0,
    )


def _rank(turn: Turn, group: Group) -> int:
    """How many leaves stand before this device's."""
    own = turn.backend.own_leaf(group.mls_id).index
    return sum(leaf.index < own for leaf in turn.backend.members(group.mls_id))
