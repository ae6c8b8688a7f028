"""The `deliver` socket as a test drives it: frames are waited for by their type, never by time."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import websockets

from tests.support.caller import Device

Frame = dict[str, Any]
WAIT_SECONDS = 20


class SocketClient:
    """An open socket and everything that came through it."""

    def __init__(self, websocket: websockets.ClientConnection) -> None:
        self.websocket = websocket
        self.frames: list[Frame] = []
        self._read = 0

    async def send(self, kind: str, **fields: Any) -> None:
        """Send a frame."""
        await self.websocket.send(json.dumps({"v": 1, "type": kind, **fields}))

    async def next(self) -> Frame:
        """The next frame."""
        async with asyncio.timeout(WAIT_SECONDS):
            frame: Frame = json.loads(await self.websocket.recv())
        self.frames.append(frame)
        return frame

    async def until(self, kind: str, match: Callable[[Frame], bool] = lambda _frame: True) -> Frame:
        """The next frame of a type (and shape); those before it stand in `frames`."""
        while True:
            frame = await self.next()
            if frame["type"] == kind and match(frame):
                return frame
            assert frame["type"] != "error", frame

    async def until_seq(self, group_id: str, seq: int) -> None:
        """Read until this envelope has come."""
        await self.until(
            "envelope",
            lambda frame: (frame["envelope"]["group_id"], frame["envelope"]["seq"]) == (group_id, seq),
        )

    def seqs(self, group_id: str) -> list[int]:
        """Seqs of a group's envelopes, as they came."""
        return [
            frame["envelope"]["seq"]
            for frame in self.frames
            if frame["type"] == "envelope" and frame["envelope"]["group_id"] == group_id
        ]

    async def settle(self) -> None:
        """Everything that the service had queued for this socket before now has come."""
        await self.send("ping")
        await self.until("pong")

    async def ended(self) -> Frame:
        """The error frame by which the service closes the socket."""
        while (frame := await self.next())["type"] != "error":
            pass
        async with asyncio.timeout(WAIT_SECONDS):
            await self.websocket.wait_closed()
        return frame


@contextlib.asynccontextmanager
async def open_socket(
    url: str, *, small: bool = False, headers: dict[str, str] | None = None
) -> AsyncIterator[SocketClient]:
    """A socket without hello. `small`: the system buffers little of what is not read."""
    address = url.replace("http", "ws", 1) + "/functions/v1/deliver"
    connection = socket.socket()
    if small:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.setblocking(False)  # noqa: FBT003
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", urlsplit(url).port))
    async with websockets.connect(
        address, sock=connection, max_size=None, open_timeout=WAIT_SECONDS, additional_headers=headers
    ) as websocket:
        yield SocketClient(websocket)


@contextlib.asynccontextmanager
async def listening(
    url: str, device: Device, cursors: dict[str, int] | None = None, *, small: bool = False
) -> AsyncIterator[SocketClient]:
    """A socket after `ready`."""
    async with open_socket(url, small=small) as client:
        await client.send("hello", token=device.token, cursors=cursors or {})
        await client.until("ready", lambda frame: bool(frame["device_id"] == device.device_id))
        yield client
