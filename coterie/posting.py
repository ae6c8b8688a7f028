"""Posting: each lane of the outbox, row after row, the same bytes until they have their final answer.

Only what is saved is posted: rows are asked for between turns, never while one is being saved.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, Protocol

from coterie.core.group.outbox import final
from coterie.errors import CoterieError, Refused, StorageLost, Unreachable
from coterie.ports import Answer, Clock

RETRY_PAUSES = (0.5, 1, 2, 4, 8, 15)
"""Seconds before the same bytes are posted again; being back online cuts a pause short."""
LONGEST = 300.0
"""Seconds: no answer makes a lane wait longer than this."""

Post = tuple[bytes, str, dict[str, Any]]
"""What to post: a key for its answer, the function, the body."""


class Outward(Protocol):
    """What posting asks of the client."""

    async def next_post(self, lane: bytes) -> tuple[bytes, str, dict[str, Any]] | None: ...
    async def call(self, function: str, body: dict[str, Any]) -> Answer: ...
    async def posted(self, key: bytes, answer: Answer) -> None: ...
    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...
    def problem(self, code: str, sentence: str) -> None: ...


class Posting:
    """The tasks that post, one a lane while it has something to post."""

    def __init__(self, outward: Outward, clock: Clock) -> None:
        self._outward = outward
        self._clock = clock
        self._tasks: dict[bytes, asyncio.Task[None]] = {}
        self._tried: dict[bytes, asyncio.Event] = {}
        """Set while a lane's last try came to nothing, and at its end."""
        self._online = asyncio.Event()
        self._told: set[bytes] = set()
        """Lanes whose trouble was told; it is not told again before something went through."""

    def wake(self, lane: bytes) -> None:
        """The lane may have something to post."""
        if lane in self._tasks:
            return
        tried = self._tried[lane] = asyncio.Event()
        task = self._tasks[lane] = self._outward.spawn(self._drain(lane, tried))
        task.add_done_callback(lambda _: self._ended(lane, tried))  # also when it never began

    def _ended(self, lane: bytes, tried: asyncio.Event) -> None:
        tried.set()
        if self._tried.get(lane) is tried:
            del self._tried[lane], self._tasks[lane]

    def back_online(self) -> None:
        """What waited for the service need not wait longer."""
        self._online.set()
        self._online = asyncio.Event()

    async def until_tried(self, lane: bytes) -> None:
        """Until the lane has nothing more to post, or could not post it."""
        tried = self._tried.get(lane)
        if tried:
            await tried.wait()

    async def _drain(self, lane: bytes, tried: asyncio.Event) -> None:
        failures = 0
        try:
            while post := await self._outward.next_post(lane):
                answer = await self._answer(lane, post[1], post[2])
                if await self._settled(lane, post, answer):
                    failures = 0
                    self._told.discard(lane)
                    tried.clear()
                else:
                    tried.set()
                    await self._pause(failures, answer)
                    failures += 1
        finally:
            self._ended(lane, tried)  # at once: a wake that comes now must find no task

    async def _answer(self, lane: bytes, function: str, body: dict[str, Any]) -> Answer | None:
        """The answer, or None when there is none to be had now."""
        try:
            return await self._outward.call(function, body)
        except (Unreachable, Refused):
            return None  # told by the connection's state, and by the client
        except CoterieError as error:  # renewing the token failed: an odd answer, a save
            self._trouble(lane, error)
            return None

    async def _settled(self, lane: bytes, post: Post, answer: Answer | None) -> bool:
        """Whether the answer was final, and is saved."""
        key, function, body = post
        if answer is None or not final(function, body, answer.status):
            return False
        try:
            await self._outward.posted(key, answer)
        except CoterieError as error:
            self._trouble(lane, error)
            return False
        return True

    def _trouble(self, lane: bytes, error: CoterieError) -> None:
        """What may pass is told once and tried again; a lost storage does not pass."""
        if isinstance(error, StorageLost):
            raise error
        if lane not in self._told:
            self._told.add(lane)
            self._outward.problem(error.code, error.sentence)

    async def _pause(self, failures: int, answer: Answer | None) -> None:
        asked = answer.body.get("retry_after") if answer else None
        pause = RETRY_PAUSES[min(failures, len(RETRY_PAUSES) - 1)]
        if isinstance(asked, int | float) and math.isfinite(asked):
            pause = min(max(float(asked), pause), LONGEST)
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._clock.sleep(pause))]
        if answer is None:
            waits.append(asyncio.ensure_future(self._online.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
