"""Clients in plain HTTP and WebSocket that go on whatever happens, and remember what they were told."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import httpx
import websockets

from coterie_conformance.api import Device, Group
from coterie_conformance.catalog import Broken, same
from coterie_conformance.service import Answer
from coterie_conformance.sockets import listening

_PAUSE_SECONDS = 0.02
_LOST = (httpx.HTTPError, OSError)


class Tally:
    """How many messages were acknowledged, for those who wait for more."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.retries = 0
        self._more = asyncio.Condition()

    async def add(self) -> None:
        """One more."""
        self.acknowledged += 1
        async with self._more:
            self._more.notify_all()

    async def grown_by(self, count: int) -> None:
        """Wait until so many more were acknowledged."""
        goal = self.acknowledged + count
        async with self._more:
            await self._more.wait_for(lambda: self.acknowledged >= goal)


class Sender:
    """Sends one message after the other; each is posted, with the same bytes, until it is acknowledged."""

    def __init__(self, device: Device, group: Group, tally: Tally) -> None:
        self.device, self.group, self.tally = device, group, tally
        self.acknowledged: dict[str, int] = {}

    async def run(self, ended: asyncio.Event) -> None:
        """Until `ended`, and then to the end of the message that was begun."""
        while not ended.is_set():
            body = self.device.message(self.group)
            answer = await self._until_answered(lambda body=body: self.device.call("send_message", **body))
            self.acknowledged[body["message_id"]] = answer.ok()["seq"]
            await self.tally.add()

    async def _until_answered(self, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        """The first answer that is not of a service that is away. What is in the way of all else is a fault."""
        while True:
            with contextlib.suppress(*_LOST):
                answer = await attempt()
                if answer.status != 503:
                    return answer
            self.tally.retries += 1
            await asyncio.sleep(_PAUSE_SECONDS)


class Reader:
    """Keeps a socket open with its cursor; every envelope has to be the next one."""

    def __init__(self, device: Device, group: Group) -> None:
        self.device, self.group = device, group
        self.cursor = 1
        self.read: list[str] = []
        self.sockets = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            with contextlib.suppress(*_LOST, websockets.WebSocketException, EOFError):
                await self._listen()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _listen(self) -> None:
        try:
            async with listening(self.device, {self.group.group_id: self.cursor}) as socket:
                self.sockets += 1
                while True:
                    frame = await socket.next()
                    if frame["type"] == "error" and frame["code"] != "unavailable":
                        raise Broken(f"the socket ended with {frame}")
                    if frame["type"] == "envelope":
                        self._take(frame["envelope"])
        except Broken as error:
            if "unavailable" not in str(error):
                raise  # a gap, a double, silence, or an end that nothing explains

    def _take(self, envelope: dict[str, object]) -> None:
        same(envelope["seq"], self.cursor + 1, "the seq of the next envelope")
        self.cursor += 1
        self.read.append(str(envelope["message_id"]))
