"""How far catching up has come, told while it takes long: after a month away a group may be hundreds of commits ahead.

Each envelope is a transaction of its own, whatever it came in, so nothing is lost if this device stops in between, and
what the user does meanwhile waits for one envelope at most.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

LONG = 50
"""Envelopes after which it is worth telling."""
EVERY = 20
"""Envelopes from one word to the next."""


@dataclass(slots=True)
class _Way:
    """One group's way to its end."""

    done: int = 0
    start: int = 0
    """The cursor before the first envelope."""
    end: int | None = None
    """The last seq there was at the service, once it said so."""


class Progress:
    """Counts what comes in for groups that are not up to date.

    `ask` gives the service's last seq of a group, or None; `tell` takes `catching_up` events (docs/bridge.md).
    """

    def __init__(
        self,
        ask: Callable[[str], Awaitable[tuple[int | None, str]]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self._ask = ask
        self._spawn = spawn
        self._tell = tell
        self._ways: dict[str, _Way] = {}

    def took(self, group_id: str, seq: int) -> None:
        """An envelope of a group that is being caught up with was taken."""
        way = self._ways.setdefault(group_id, _Way(start=seq - 1))
        way.done = seq - way.start
        if way.done == LONG:
            self._spawn(self._find_end(group_id, way))
        if way.done % EVERY == 0:
            self._say(group_id, way)

    async def _find_end(self, group_id: str, way: _Way) -> None:
        way.end, _ = await self._ask(group_id)
        if self._ways.get(group_id) is way:
            self._say(group_id, way)

    def _say(self, group_id: str, way: _Way) -> None:
        if way.end is not None:
            total = max(way.end - way.start, way.done)
            self._tell({"event": "catching_up", "group_id": group_id, "done": way.done, "total": total})

    def arrived(self, group_id: str) -> None:
        """The group is up to date."""
        way = self._ways.pop(group_id, None)
        if way and way.end is not None:
            way.end = way.start + way.done
            self._say(group_id, way)
