"""The `deliver` socket: frames are waited for by their type, never by time."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import websockets

from coterie_conformance.api import Device, Group
from coterie_conformance.catalog import Broken
from coterie_conformance.service import Json, Place

WAIT_SECONDS = 30
"""A frame that has not come by then will not come."""


class Socket:
    """An open socket and everything that came through it."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        self.connection = connection
        self.frames: list[Json] = []

    async def send(self, kind: str, **fields: Any) -> None:
        """Send a frame."""
        await self.connection.send(json.dumps({"v": 1, "type": kind, **fields}))

    async def next(self) -> Json:
        """The next frame. Raises `Broken` when none comes."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                frame: Json = json.loads(await self.connection.recv())
        except TimeoutError:
            kinds = [one["type"] for one in self.frames]
            raise Broken(f"no further frame came in {WAIT_SECONDS} s, after {kinds}") from None
        self.frames.append(frame)
        return frame

    async def until(self, kind: str, match: Callable[[Json], bool] = lambda _frame: True) -> Json:
        """The next frame of a type (and content); those before it stand in `frames`."""
        while True:
            frame = await self.next()
            if frame["type"] == kind and match(frame):
                return frame
            if frame["type"] == "error":
                raise Broken(f"the socket ended with {frame}")

    async def until_seq(self, group: Group, seq: int) -> None:
        """Read until this envelope has come; one that has come already counts."""
        while seq not in self.seqs(group):
            await self.until("envelope")

    async def caught_up(self, group: Group) -> None:
        """All that was there has been sent."""
        await self.until("caught_up", lambda frame: bool(frame["group_id"] == group.group_id))

    def envelopes(self, group: Group) -> list[Json]:
        """A group's envelopes, as they came."""
        found = [frame["envelope"] for frame in self.frames if frame["type"] == "envelope"]
        return [one for one in found if one["group_id"] == group.group_id]

    def seqs(self, group: Group) -> list[int]:
        """Their seqs."""
        return [one["seq"] for one in self.envelopes(group)]

    async def settle(self) -> None:
        """Everything that the service had queued for this socket before now has come."""
        await self.send("ping")
        await self.until("pong")

    async def ended(self) -> Json:
        """The error frame by which the service closes the socket."""
        while (frame := await self.next())["type"] != "error":
            pass
        async with asyncio.timeout(WAIT_SECONDS):
            await self.connection.wait_closed()
        return frame


@contextlib.asynccontextmanager
async def open_socket(place: Place) -> AsyncIterator[Socket]:
    """A socket without hello."""
    address = place.functions.replace("http", "ws", 1) + "/deliver"
    headers = {"apikey": place.apikey} if place.apikey else None
    async with websockets.connect(
        address, additional_headers=headers, max_size=None, open_timeout=WAIT_SECONDS
    ) as connection:
        yield Socket(connection)


@contextlib.asynccontextmanager
async def listening(device: Device, cursors: dict[str, int] | None = None) -> AsyncIterator[Socket]:
    """A socket after `ready`."""
    async with open_socket(device.place) as socket:
        await socket.send("hello", token=device.token, cursors=cursors or {})
        await socket.until("ready")
        yield socket
