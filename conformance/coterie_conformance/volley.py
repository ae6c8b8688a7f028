"""Many requests at one instant: each on a connection of its own, sent but for its last byte; then all last bytes.

The last bytes are written in one turn of the event loop, so every request is in flight before any answer is read.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

import h11
import httpx

from coterie_conformance.api import Device
from coterie_conformance.service import Answer, Json

_OPEN_AT_ONCE = 100
_ANSWER_SECONDS = 300
_IDLE_SECONDS = 2.0
"""Servers close connections that were idle for longer, uvicorn after 5 s: with a request on its way into them."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One call of a device."""

    device: Device
    function: str
    body: Json

    @property
    def url(self) -> SplitResult:
        """Where it goes."""
        return urlsplit(f"{self.device.place.functions}/{self.function}")

    def parts(self) -> tuple[h11.Request, bytes]:
        """Head and content."""
        content = json.dumps(self.body).encode()
        headers = [
            ("host", self.url.netloc),
            ("authorization", f"Bearer {self.device.token}"),
            ("content-type", "application/json"),
            ("content-length", str(len(content))),
        ]
        if self.device.place.apikey:
            headers.append(("apikey", self.device.place.apikey))
        return h11.Request(method="POST", target=self.url.path, headers=headers), content


class _Line:
    """An open connection, used again for the next volley."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._http = h11.Connection(h11.CLIENT)
        self._reader, self._writer = reader, writer
        self._last = b""
        self._used = time.monotonic()

    @classmethod
    async def open(cls, url: SplitResult) -> Self:
        secure = ssl.create_default_context() if url.scheme == "https" else None
        port = url.port or (443 if secure else 80)
        return cls(*await asyncio.open_connection(url.hostname, port, ssl=secure))

    def usable(self) -> bool:
        """Ready for one more request: the other side has not closed it, and is not about to."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        idle = time.monotonic() - self._used > _IDLE_SECONDS
        open_still = not (self._reader.at_eof() or self._writer.is_closing())
        return open_still and not idle and self._http.our_state is h11.IDLE

    async def load(self, shot: Shot) -> None:
        """Send all but the last byte."""
        head, content = shot.parts()
        sent = (self._http.send(head) or b"") + (self._http.send(h11.Data(data=content)) or b"")
        self._http.send(h11.EndOfMessage())
        self._last = sent[-1:]
        self._writer.write(sent[:-1])
        await self._writer.drain()

    def fire(self) -> None:
        """Send the last byte."""
        self._writer.write(self._last)

    async def answer(self) -> Answer:
        """Read the answer. Raises `OSError` or `h11.ProtocolError` when the connection ends before it does."""
        status, headers, content = 0, httpx.Headers(), b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(65536))
            elif isinstance(event, h11.Response):
                status, headers = event.status_code, httpx.Headers(list(event.headers))
            elif isinstance(event, h11.Data):
                content += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._used = time.monotonic()
                return Answer.of(status, headers, content)

    async def pour(self, url: SplitResult, token: str, chunk: bytes, at_most: int) -> tuple[int | None, int]:
        """Chunk after chunk until the first bytes of an answer, or `at_most` bytes."""
        headers = [
            ("host", url.netloc),
            ("authorization", f"Bearer {token}"),
            ("content-type", "application/json"),
            ("transfer-encoding", "chunked"),
        ]
        self._writer.write(
            self._http.send(h11.Request(method="POST", target=url.path, headers=headers)) or b""
        )
        reading, sent = asyncio.create_task(self._reader.read(65536)), 0
        try:
            while not reading.done() and sent < at_most:
                self._writer.write(self._http.send(h11.Data(data=chunk)) or b"")
                await asyncio.wait(
                    {reading, asyncio.create_task(self._writer.drain())}, return_when="FIRST_COMPLETED"
                )
                sent += len(chunk)
            self._http.receive_data(await reading if reading.done() else b"")
        except OSError:
            return None, sent
        event = self._http.next_event()
        return (event.status_code if isinstance(event, h11.Response) else None), sent

    def close(self) -> None:
        """Give it back."""
        self._writer.close()


async def pour(device: Device, function: str, chunk: bytes, at_most: int) -> tuple[int | None, int]:
    """Send a body without end until an answer comes: its status (None: cut off without one) and the bytes sent."""
    url = Shot(device, function, {}).url
    line = await _Line.open(url)
    try:
        return await line.pour(url, device.token, chunk, at_most)
    finally:
        line.close()


class Volley:
    """Connections for any number of simultaneous requests. An asynchronous context manager."""

    def __init__(self) -> None:
        self._lines: dict[int, _Line] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for line in self._lines.values():
            line.close()

    async def fire(self, shots: Sequence[Shot]) -> list[Answer]:
        """The answers, in the order of the shots."""
        for start in range(0, len(shots), _OPEN_AT_ONCE):
            part = range(start, min(start + _OPEN_AT_ONCE, len(shots)))
            await asyncio.gather(*(self._load(number, shots[number]) for number in part))
        lines = [self._lines[number] for number in range(len(shots))]
        for line in lines:
            line.fire()
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await asyncio.gather(*(line.answer() for line in lines))

    async def _load(self, number: int, shot: Shot) -> None:
        line = self._lines.get(number)
        if line is None or not line.usable():
            if line is not None:
                line.close()
            line = self._lines[number] = await _Line.open(shot.url)
        await line.load(shot)
