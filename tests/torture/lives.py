"""What a life begins with: who, where, how fast time runs, and where it ends."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

SPEED = 10.0
"""How fast a client's clock runs: what it does every few seconds has to happen within a life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """Where a life ends: at the `hit`th passing of a place, or, without one, `after` so many seconds."""

    place: str = ""
    phase: str = ""
    hit: int = 0
    after: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What a life begins with."""

    url: str
    path: Path
    name: str
    began: float
    """When everybody's clock began to run fast, in seconds since 1970."""
    fault: str = ""
    trap: Trap | None = None


class Clock:
    """`ports.Clock`, fast."""

    def __init__(self, began: float) -> None:
        self._began = began

    def now(self) -> int:
        return int((self._began + (time.time() - self._began) * SPEED) * 1000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)
