"""What a life begins with: who, where, how fast time runs, and where it ends."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

SPEED = 10.0
"""How fast native clients' clocks run among themselves: what they do every few seconds has to happen within a life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """Where a life ends: at the `hit`th passing of a place, or, without one, `after` so many seconds.

    `begun`: counted from when the client has started, not from when its process has.
    """

    place: str = ""
    phase: str = ""
    hit: int = 0
    after: float = 0.0
    begun: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What a life begins with."""

    url: str
    path: Path
    name: str
    began: float
    """When everybody's clock began, in seconds since 1970."""
    speed: float = SPEED
    """How fast it runs."""
    browser: bool = False
    fault: str = ""
    trap: Trap | None = None


class Clock:
    """`ports.Clock`, fast."""

    def __init__(self, began: float, speed: float) -> None:
        self._began = began
        self._speed = speed

    def now(self) -> int:
        return int((self._began + (time.time() - self._began) * self._speed) * 1000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)
