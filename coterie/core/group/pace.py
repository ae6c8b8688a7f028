"""Who commits when: whose commit lost its epoch waits a random while, and longer each time.

One commit is pending at a time, so a loser posts at most one in an epoch; after three losses in a row it asks the
service to hold up the commits of others for a moment (`commit_pause`), so it gets through however many there are.
"""

from __future__ import annotations

import math
from typing import Any

from coterie.core.effects import Call, LookAgain
from coterie.core.records import Group, Outgoing
from coterie.core.state import Turn

FIRST_WAIT = 200
"""A loser waits up to so long, in milliseconds; each loss doubles it."""
LONGEST_WAIT = 10_000
FORGIVEN = 60_000
"""Losses longer ago than this are not counted any more, in milliseconds."""
ASKS_AFTER = 3
"""Losses in a row, of a commit or of one line, after which the service is asked for a pause."""
GROUP_GAP = 2_500
"""Between two commits of a group that change no member: the service's 2 s and some, in milliseconds."""
RENEWAL_WAIT = 5_000
"""As `FIRST_WAIT`, for the renewal of a leaf, which nobody waits for."""
LONGEST_RENEWAL_WAIT = 300_000


def random_below(turn: Turn, bound: int) -> int:
    """A random number from 0 to `bound` - 1: milliseconds to wait, so an even spread matters and secrecy does not."""
    return int.from_bytes(turn.mls.random_bytes(6), "big") % bound


def waits(turn: Turn, until: int, longest: int) -> bool:
    """Whether a saved moment is still to come. Further off than one ever waits, a clock that ran ahead has set it."""
    return turn.now < until <= turn.now + longest


def is_renewal(row: Outgoing) -> bool:
    """Whether a commit is for its maker's leaf alone. One that removes who is on no roster looks the same outside."""
    if row.kind != "commit":
        return False
    return bool(row.note.get("renews", not row.fields["added"] and not row.fields["removed"]))


def lost(turn: Turn, group: Group, row: Outgoing) -> Group:
    """Another's commit won the epoch of this one, which goes; what it was for is looked at again after a while."""
    turn.delete(row)
    if is_renewal(row):
        return renew_later(turn, group, GROUP_GAP)
    recent = turn.now - group.commit_at < FORGIVEN
    losses = group.losses + 1 if recent else 1
    at = turn.now + random_below(turn, min(FIRST_WAIT << losses - 1, LONGEST_WAIT))
    turn.do(LookAgain(at))
    if losses % ASKS_AFTER == 0:
        ask_for_pause(turn, group.group_id)
    return group.with_(losses=losses, commit_at=at)


def ask_for_pause(turn: Turn, group_id: str) -> None:
    """Have the commits of others wait: at the service, which grants it once in 10 s to a device."""
    turn.do(Call("commit_pause", {"group_id": group_id}))


def renew_later(turn: Turn, group: Group, after: int) -> Group:
    """The leaf's renewal came at a bad time: at the earliest `after` milliseconds from now, and not with all others."""
    losses = group.losses + 1
    wait = min(RENEWAL_WAIT << min(losses, 10), LONGEST_RENEWAL_WAIT)
    return group.with_(losses=losses, renew_at=turn.now + after + random_below(turn, wait))


def too_soon(turn: Turn, group: Group, row: Outgoing, body: dict[str, Any]) -> Group:
    """A commit that changes nobody on the service's roster was not taken: when another one is built."""
    wait = retry_after(body)
    if is_renewal(row):
        return renew_later(turn, group, wait)
    at = turn.now + min(wait, LONGEST_WAIT)
    turn.do(LookAgain(at))
    return group.with_(commit_at=at)


def retry_after(body: dict[str, Any]) -> int:
    """Milliseconds that the service asks to wait, within bounds."""
    asked = body.get("retry_after")
    seconds = asked if isinstance(asked, int | float) and math.isfinite(asked) else 0
    return int(min(max(seconds * 1000, GROUP_GAP), LONGEST_RENEWAL_WAIT))
