"""How this device stands with the service: the service's record of it is held against its own state at the start.

A restored profile or a rolled-back disk has message keys that were used already, so nothing of a group is posted
before the answer is there, and nothing that was framed in an epoch which is gone by then. The record helps against
accidents: a service that lies about it can make a device come back into a group, once an hour and no more.
"""

from __future__ import annotations

from typing import Any

from coterie.core import rejoining
from coterie.core.effects import Call, Drain
from coterie.core.group import outbox
from coterie.core.records import BEHIND, Group, Outgoing
from coterie.core.state import Turn
from coterie_wire import WireError, integer, uuid_text

LIST = Call("groups_list", {})


def release(turn: Turn, group: Group, blocked: set[bytes]) -> None:
    """Lines may be posted again: those whose epoch passed did not come back in it, so they are framed anew before."""
    rows = turn.rows(Outgoing, group.key) if group.state == "active" and group.why not in BEHIND else []
    old = next((row for row in rows if row.kind == "message" and row.epoch < group.epoch), None)
    if old:
        outbox.stale(turn, old, blocked)


class Standing:
    """Whether the service was asked, and has answered."""

    def __init__(self) -> None:
        self.awaited = False
        """Nothing of a group is posted."""
        self._epochs: dict[bytes, int] = {}
        """By group, the epoch that the service told."""
        self._before: dict[str, Group] = {}
        """The groups as they were at the start. What is read and written since is not posted and not acknowledged, so
        the service's answer tells of nothing that came later.
        """

    def wait(self, turn: Turn) -> None:
        """The service is about to be asked: hold back what would be posted."""
        self.awaited = True
        self._before = {group.group_id: group for group in turn.rows(Group)}

    def holds(self, group: Group) -> bool:
        """Whether nothing of the group is posted: the answer is awaited, or what is framed now is of a past epoch."""
        return self.awaited or group.epoch < self._epochs.get(group.key, 0)

    def ask_again(self, turn: Turn) -> None:
        """No answer has come yet."""
        if self.awaited:
            turn.do(LIST)

    def told(self, turn: Turn, listed: list[Any], blocked: set[bytes]) -> None:
        """Elements of `groups_list`."""
        if not self.awaited:
            return
        for entry in listed:
            if isinstance(entry, dict) and entry.get("until_seq") is None:
                self._compare(turn, entry)
        self.awaited = False
        for group in turn.rows(Group):
            if not self.holds(group):
                release(turn, group, blocked)
        for row in turn.rows(Outgoing):
            turn.do(Drain(row.lane))

    def _compare(self, turn: Turn, entry: dict[str, Any]) -> None:
        try:
            group = self._before.get(uuid_text(entry.get("group_id")))
            epoch, counter, last_seq, acked = (
                integer(entry.get(name), name=name) for name in ("epoch", "counter", "last_seq", "acked_seq")
            )
        except WireError:
            return
        now = turn.get(Group, group.key) if group else None
        if group is None or now is None or now.over:
            return
        self._epochs[group.key] = epoch
        framed = group.counter if epoch == group.epoch else 0
        if (epoch >= group.epoch and counter > framed) or acked > group.service_cursor:
            rejoining.behind(turn, now)
        elif last_seq < group.service_cursor:
            rejoining.went_back(turn, group.group_id, last_seq)
        elif epoch < group.epoch:
            rejoining.lost_epoch(turn, now)
