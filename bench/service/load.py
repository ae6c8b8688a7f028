"""Load over HTTP: connections that send the next request when the answer of the last one is there.

Requests are made as bytes and answers are looked at as far as their status and length, so that one Python process
makes more load than a server process can take (about 15,000 requests/s against a server that does nothing).
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle

from stage import Person

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
Next = Callable[[], bytes | None]
"""The next request of a connection; None ends it."""


@dataclass(slots=True)
class Result:
    """What came back: by status, and how long each answer took in seconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    took: float = 0
    refused: bytes = b""
    """One answer that was not 200."""

    def rate(self) -> float:
        """Answers with 200, per second. Raises when anything else came."""
        if set(self.statuses) != {200}:
            raise RuntimeError(
                f"Answers by status: {dict(self.statuses)}, one of them: {self.refused!r:.500}"
            )
        return self.statuses[200] / self.took


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request in flight."""

    def __init__(self, next_request: Next, result: Result, every: float, first: float) -> None:
        """`first`: when it begins, of `time.perf_counter`."""
        self._next = next_request
        self._result = result
        self._every = every
        self._answer = b""
        self._sent = 0.0
        self._due = first
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send_when_due()

    def _send(self) -> None:
        request = self._next()
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head = self._answer.find(b"\r\n\r\n")
        length = _LENGTH.search(self._answer, 0, head) if head > 0 else None
        if length is None or len(self._answer) < head + 4 + int(length[1]):
            return
        status = int(self._answer[9:12])
        self._result.statuses[status] += 1
        self._result.seconds.append(time.perf_counter() - self._sent)
        if status != 200:
            self._result.refused = self._answer
        self._answer = b""
        self._due += self._every
        self._send_when_due()

    def _send_when_due(self) -> None:
        rest = self._due - time.perf_counter()
        if rest > 0:
            asyncio.get_running_loop().call_later(rest, self._send)
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None) if exc is None else self.done.set_exception(exc)


async def run(port: int, sources: list[Next], *, every: float = 0) -> Result:
    """One connection for each source, until all of them have ended; each sends once in `every` seconds.

    Who got an answer late makes up for it: a service that stands still for a while is not spared the load of that time.
    """
    result = Result()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    firsts = [began + number * every / len(sources) for number in range(len(sources))]
    connections = [
        (
            await loop.create_connection(
                lambda source=source, first=first: Connection(source, result, every, first), "127.0.0.1", port
            )
        )[1]  # type: ignore[misc]
        for source, first in zip(sources, firsts, strict=True)
    ]
    await asyncio.gather(*(one.done for one in connections))
    result.took = time.perf_counter() - began
    return result


def post(function: str, token: str, body: bytes) -> bytes:
    """An HTTP request as bytes."""
    return (
        b"POST /functions/v1/%b HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer %b\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
        % (function.encode(), token.encode(), len(body), body)
    )


def send_request(person: Person, group: str, mls_bytes: str) -> bytes:
    """A `send_message` with a new message_id, and with the microseconds of the clock as the counter."""
    counter = time.time_ns() // 1000
    return post(
        "send_message", person.token,
        f'{{"group_id":"{group}","epoch":0,"kind":"application","mls_bytes":"{mls_bytes}",'
        f'"message_id":"{uuid.uuid4()}","counter":{counter}}}'.encode(),
    )  # fmt: skip


def senders(pairs: list[tuple[Person, str]], mls_bytes: str, connections: int, seconds: float) -> list[Next]:
    """Sources that send for (person, group) in turn; a pair belongs to one connection: its counters stay in order."""
    end = time.perf_counter() + seconds

    def source(own: Iterator[tuple[Person, str]]) -> Next:
        def next_request() -> bytes | None:
            return send_request(*next(own), mls_bytes) if time.perf_counter() < end else None

        return next_request

    used = min(connections, len(pairs))
    return [source(cycle(pairs[number::used])) for number in range(used)]
