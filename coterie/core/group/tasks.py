"""What a device does in a group by itself. What goes wrong there stays in that group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from coterie.core.group import lines
from coterie.core.records import Group
from coterie.core.state import Turn
from coterie_wire import WireError


@contextmanager
def attempted(turn: Turn, group: Group) -> Iterator[None]:
    """A task that MLS or a record refuses is told in the group, once an hour; the turn goes on, for other groups too.

    A call of the binding that fails has changed nothing, so a task makes rows only after the call that they are of.
    Keys that do not read back are no matter of a task: that is raised as it is.
    """
    try:
        yield
    except (turn.mls.MlsError, WireError) as error:
        code = str(getattr(error, "code", ""))
        if code == "corrupt":
            raise
        found = turn.get(Group, group.key) or group
        if lines.once_an_hour(turn, found, "task_failed"):
            lines.save(turn, lines.notice(turn, found, "task_failed", [code]))
