"""One device's open socket, as the hub sees it: what waits to be written, and where each group stands."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from edge_functions.errors import ServiceError


def frame(kind: str, **fields: Any) -> str:
    """A JSON text frame of docs/protocol.md."""
    return json.dumps({"v": 1, "type": kind, **fields}, separators=(",", ":"))


def envelope_frame(envelope: str) -> str:
    """The frame of an envelope that is JSON text already: made once, sent to many."""
    return f'{{"v":1,"type":"envelope","envelope":{envelope}}}'


class Outbox:
    """Frames that wait to be written, bounded: who reads too slowly is cut off and comes back with its cursors."""

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self._frames: deque[str] = deque()
        self._bytes = 0
        self._max_frames, self._max_bytes = max_frames, max_bytes
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.failed: asyncio.Future[ServiceError] = asyncio.get_running_loop().create_future()

    def push(self, text: str) -> None:
        """Append a frame; over the bounds the socket fails with `too_slow`."""
        self._frames.append(text)
        self._bytes += len(text)
        self._changed.set()
        if len(self._frames) > self._max_frames or self._bytes > self._max_bytes:
            self.fail(ServiceError(429, "too_slow"))
        if not self._half_empty():
            self._room.clear()

    async def take(self) -> str:
        """The next frame, when there is one."""
        while not self._frames:
            self._changed.clear()
            await self._changed.wait()
        text = self._frames.popleft()
        self._bytes -= len(text)
        if self._half_empty():
            self._room.set()
        return text

    async def room(self) -> None:
        """Wait until less than half of the bounds is used: catching up goes at the reader's pace."""
        await self._room.wait()

    def fail(self, error: ServiceError) -> None:
        """End the socket with an error frame."""
        if not self.failed.done():
            self.failed.set_result(error)

    def _half_empty(self) -> bool:
        return len(self._frames) * 2 <= self._max_frames and self._bytes * 2 <= self._max_bytes


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
        self.work: asyncio.Queue[str | None] = asyncio.Queue()
        """Groups to catch up with, `KEY_PACKAGES`, `INVITATIONS`; None: look at everything again."""
        self._told: set[tuple[str, str]] = set()
        self._stock_told: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What the database knows it by."""
        return (self.device_id, self.session_id)

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
        self.work.put_nowait(group)
