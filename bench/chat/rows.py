"""Bytes that a device writes per message: keys and values of all rows of all transactions, without the storage's own.

    python bench/chat/rows.py

Groups of 2, 10 and 50; and a group of 2 beside twenty others, which must change nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.device import Device  # noqa: E402
from tests.support.friends import friends  # noqa: E402
from tests.support.post_office import PostOffice  # noqa: E402

MESSAGES = 20
TEXT = "x" * 200


def written(device: Device, since: int) -> int:
    """Bytes of the steps after `since`."""
    steps = device.writes[since:]
    return sum(len(key) + len(value or b"") for step in steps for (_, key), value in step.changes.items())


def measure(members: int, other_groups: int = 0) -> tuple[float, float]:
    """Bytes per message sent and received."""
    office = PostOffice()
    group_id, people = friends(office, *(f"P{number}" for number in range(members)))
    for number in range(other_groups):
        people[0].create(f"Other {number}")
    office.pump()
    sender, receiver = people[0], people[1]
    marks = len(sender.writes), len(receiver.writes)
    for _ in range(MESSAGES):
        sender.send(group_id, TEXT)
        office.pump()
    return written(sender, marks[0]) / MESSAGES, written(receiver, marks[1]) / MESSAGES


def main() -> None:
    print(f"bytes written per message of {len(TEXT)} characters (all rows of all transactions)")
    print(f"{'group':>28}  {'sent':>8}  {'received':>8}")
    for label, members, others in (
        ("2 members", 2, 0),
        ("2 members, 20 other groups", 2, 20),
        ("10 members", 10, 0),
        ("50 members", 50, 0),
    ):
        sent, received = measure(members, others)
        print(f"{label:>28}  {sent:>8.0f}  {received:>8.0f}")


if __name__ == "__main__":
    main()
