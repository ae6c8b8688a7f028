"""Who made the last commit, and how old each member's keys are: what the health of a group tells of its members.

A leaf carries no time (RFC 9420 section 7.2), so it is the time of the commit that brought or renewed it; of one that
no commit here has touched only this is known: it is older than this device's own entry.
"""

from __future__ import annotations

from typing import Any

from coterie.core.mls import Member
from coterie.core.records import Group, Leaf
from coterie.core.state import Turn

DAY = 86_400_000
"""Milliseconds."""
FRESH = 8
"""Days: a device renews its leaf after 7 at the latest, and then its commit has to come through."""


def told(turn: Turn, group: Group, merged: Any, time: int) -> Group:
    """Remember a merged commit: who made it, whose leaves it renewed, and the service's `time` of it (0: unknown)."""
    at = min(time or turn.now, turn.now)
    fresh = {merged.committer.index, *(leaf.index for leaf in (*merged.updated, *merged.added))}
    for leaf in merged.removed:
        if leaf.index not in fresh:
            turn.delete(Leaf(group_id=group.group_id, index=leaf.index, renewed_at=at))
    for index in fresh:
        turn.put(Leaf(group_id=group.group_id, index=index, renewed_at=at))
    return group.with_(last_committer=merged.committer.index, last_commit_at=at)


def out_of_date(turn: Turn, group: Group) -> list[tuple[Member, int]]:
    """Members whose leaves are older than `FRESH` days, with their age in days (at least), the oldest first."""
    known = {row.index: row.renewed_at for row in turn.rows(Leaf, group.key)}
    found = []
    for leaf in turn.backend.members(group.mls_id):
        since = known.get(leaf.index, group.entered_at)
        days = (turn.now - since) // DAY if since else 0
        if days > FRESH:
            found.append((leaf, days))
    return sorted(found, key=lambda one: (-one[1], one[0].index))


def forget(turn: Turn, group: Group) -> None:
    """Delete what is known of a group's leaves."""
    for row in turn.rows(Leaf, group.key):
        turn.delete(row)
