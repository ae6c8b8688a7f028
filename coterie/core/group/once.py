"""What comes twice is taken once: a message that its sender had to encrypt anew, a line that a tab asked for again."""

from __future__ import annotations

import hashlib

from coterie.core.records import SEGMENTS, Group, Recent
from coterie.core.state import Turn

SIZE = 16
"""Contents in a row. A sender's messages leave in order, so what honestly comes twice is the last one; from an older
state that was put back it may be one from further back. At least the last 112 are known."""


def is_new(turn: Turn, group: Group, sender: str, content_id: bytes) -> bool:
    """Whether this content of this sender is new, as far as that is known; remembers it.

    In the memory of a long conversation it takes no more place than in that of a short one.
    """
    place = hashlib.sha256(group.key + sender.encode()).digest()[:15]
    digest = hashlib.sha256(content_id).digest()[:16]
    keys = [group.key + place + bytes([number]) for number in range(SEGMENTS)]
    rows = [row for key in keys if (row := turn.get(Recent, key))]
    if any(digest in row.digests for row in rows):
        return False
    first = Recent(group_id=group.group_id, place=place, number=0)
    last = max(rows, key=lambda row: row.number, default=first)
    if len(last.digests) >= SIZE:
        last = Recent(group_id=group.group_id, place=place, number=last.number + 1)
    turn.put(last.with_(digests=[*last.digests, digest]))
    return True
