"""One device's open socket, as the hub sees it: what waits to be written, and where each group stands."""

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass
from math import inf
from typing import Any

from edge_functions.errors import ServiceError


def frame(kind: str, **fields: Any) -> str:
    """A JSON text frame of docs/protocol.md."""
    return json.dumps({"v": 1, "type": kind, **fields}, separators=(",", ":"))


def envelope_frame(envelope: str) -> str:
    """The frame of an envelope that is JSON text already: made once, sent to many."""
    return f'{{"v":1,"type":"envelope","envelope":{envelope}}}'


class Waiting:
    """What waits in all outboxes of a process, in characters. A frame that waits for many sockets is counted once.

    Beyond `most` the outbox in which most waits is ended, so that one process's memory has a bound.
    """

    def __init__(self, most: int) -> None:
        self.size = 0
        self.outboxes: set[Outbox] = set()
        self._most = most
        self._holders: dict[int, int] = {}

    def hold(self, text: str) -> None:
        """One more outbox has this frame."""
        holders = self._holders.get(id(text), 0)
        self._holders[id(text)] = holders + 1
        if not holders:
            self.size += len(text)

    def release(self, text: str) -> None:
        """One less."""
        holders = self._holders.pop(id(text)) - 1
        if holders:
            self._holders[id(text)] = holders
        else:
            self.size -= len(text)

    def end_stalled(self, seconds: float) -> None:
        """End those whose reader has not taken a frame whole for so long."""
        before = time.monotonic() - seconds
        for outbox in [one for one in self.outboxes if one.writing_since < before]:
            outbox.fail(ServiceError(429, "too_slow"))

    def keep_bound(self) -> None:
        """End who reads slowest, until the rest fits."""
        while self.size > self._most and self.outboxes:
            max(self.outboxes, key=lambda one: one.size).fail(ServiceError(429, "too_slow"))


class Outbox:
    """Frames that wait to be written, bounded: who reads too slowly is cut off and comes back with its cursors.

    The largest frame does not count for the size: a Welcome may be larger than the bound, and it must not be the short
    frame behind it that ends the socket.
    """

    def __init__(self, max_frames: int, max_size: int, waiting: Waiting) -> None:
        self.size = 0
        self.writing_since = inf
        """When the frame that is being written was taken (`time.monotonic`)."""
        self._frames: deque[str] = deque()
        self._writing: str | None = None
        self._max_frames, self._max_size = max_frames, max_size
        self._waiting = waiting
        self._closed = False
        waiting.outboxes.add(self)
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.failed: asyncio.Future[ServiceError] = asyncio.get_running_loop().create_future()

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def has_room(self) -> bool:
        """Less than half of the bounds is used."""
        return len(self._frames) * 2 <= self._max_frames and self.size * 2 <= self._max_size

    def push(self, text: str) -> None:
        """Append a frame; one that the bounds have no place for fails the socket with `too_slow`."""
        if self.failed.done() or self._closed:
            return
        if len(self._frames) >= self._max_frames or self._size_with(text) > self._max_size:
            self.fail(ServiceError(429, "too_slow"))
            return
        self._frames.append(text)
        self.size += len(text)
        self._waiting.hold(text)
        self._changed.set()
        if not self.has_room:
            self._room.clear()
        self._waiting.keep_bound()

    async def take(self) -> str:
        """The next frame, when there is one. It counts as waiting until the next one is asked for."""
        self._written()
        while not self._frames:
            self._changed.clear()
            await self._changed.wait()
        self._writing = self._frames.popleft()
        self.writing_since = time.monotonic()
        return self._writing

    async def room(self) -> None:
        """Wait until less than half of the bounds is used: catching up goes at the reader's pace."""
        await self._room.wait()

    def fail(self, error: ServiceError) -> None:
        """End the socket with an error frame."""
        if not self.failed.done():
            self.failed.set_result(error)
        self.close()

    def close(self) -> None:
        """Let go of all that waits, and of what may still come."""
        self._closed = True
        self._waiting.outboxes.discard(self)
        self._written()
        while self._frames:
            self._writing = self._frames.popleft()
            self._written()

    def _size_with(self, text: str) -> int:
        """What would wait behind the largest frame, with this one."""
        size = self.size + len(text)
        if size <= self._max_size:
            return size
        return size - max(map(len, (text, self._writing or "", *self._frames)))

    def _written(self) -> None:
        if self._writing is None:
            return
        self.size -= len(self._writing)
        self._waiting.release(self._writing)
        self._writing = None
        self.writing_since = inf
        if self.has_room:
            self._room.set()


KEY_PACKAGES = "key_packages"
"""Work for a socket: see how many are left."""
INVITATIONS = "invitations"
"""Work for a socket: see whether somebody added the device."""


@dataclass(slots=True)
class Position:
    """How far one group was sent to one socket."""

    sent: int
    """Highest seq that was put in the outbox."""
    live: bool = False
    """True while the group's feed serves it; otherwise it is catching up."""
    until: int | None = None
    """Last seq that it may have, once the device has left."""


class Socket:
    """A device's socket. Compared by identity: a device may have several."""

    def __init__(
        self, device_id: str, session_id: str, claims: str, cursors: dict[str, int], outbox: Outbox
    ) -> None:
        self.device_id = device_id
        self.session_id = session_id
        self.claims = claims
        self.cursors = cursors
        self.outbox = outbox
        self.positions: dict[str, Position] = {}
        self._work: asyncio.Queue[str | None] = asyncio.Queue()
        self._asked: set[str | None] = set()
        self._told: set[tuple[str, str]] = set()
        self._stock_told: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What the database knows it by."""
        return (self.device_id, self.session_id)

    @property
    def news(self) -> tuple[str, str]:
        """Notifications of the database that are for this socket's device, or for all of its user."""
        return (f"packages:{self.device_id}", f"user:{json.loads(self.claims)['sub']}")

    def ask(self, work: str | None) -> None:
        """Give its worker a group to catch up with, `KEY_PACKAGES` or `INVITATIONS`; None: look at everything again.

        What waits already is done once, however often it is asked for.
        """
        if work not in self._asked:
            self._asked.add(work)
            self._work.put_nowait(work)

    async def next_work(self) -> str | None:
        """What was asked for, when there is something; asked for again from now on, it is done again."""
        work = await self._work.get()
        self._asked.discard(work)
        return work

    def tell_once(self, join: dict[str, Any], text: str) -> None:
        """Push news about a join, once per status."""
        news = (join["join_id"], join["status"])
        if news not in self._told:
            self._told.add(news)
            self.outbox.push(text)

    def tell_invitation(self, invitation: dict[str, Any]) -> None:
        """Push one, once."""
        news = (invitation["group_id"], str(invitation["seq"]))
        if news not in self._told:
            self._told.add(news)
            self.outbox.push(frame("invitation", **invitation))

    def tell_stock(self, stock: dict[str, Any]) -> None:
        """Push how many key packages are left, when they are few and no longer as many as was said last."""
        available, refill_below = stock["available"], stock["refill_below"]
        if available < refill_below and available != self._stock_told:
            self.outbox.push(frame("key_packages_low", available=available, refill_below=refill_below))
        self._stock_told = available

    def fall_back(self, group: str) -> None:
        """Stop serving a group live; the socket's worker catches up from where it was."""
        self.positions[group].live = False
        self.ask(group)
