"""The proof that schedules find what they look for: a core with a fault in it fails some of them."""

from collections.abc import Callable
from typing import Any

import pytest

from coterie.core.group import lines, outbox
from coterie.core.records import Group, Outgoing
from coterie.core.state import Turn
from tests.disorder import schedules

SEED = 20
ENOUGH = 240


def forgets_what_it_sent(patched: pytest.MonkeyPatch) -> None:
    """A line stands where the service put it, and its echo is not known when it comes."""

    def accepted(turn: Turn, row: Outgoing, answer: dict[str, Any]) -> None:
        group = lines.need(turn, row.group_id)
        outbox.settle(turn, group, row, outbox.seq_of(answer) + group.went_back, 0)

    patched.setattr(outbox, "accepted", accepted)


def loses_what_waits(patched: pytest.MonkeyPatch) -> None:
    """A message whose epoch went by is dropped instead of encrypted anew."""

    def dropped(turn: Turn, group: Group, row: Outgoing) -> Group:
        turn.delete(row)
        return group

    patched.setattr(outbox, "_anew", dropped)


@pytest.mark.parametrize("fault", [forgets_what_it_sent, loses_what_waits])
def test_a_fault_in_the_core_fails_a_schedule(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None]
) -> None:
    fault(monkeypatch)
    assert any(schedules.failure(SEED, number) for number in range(ENOUGH))
