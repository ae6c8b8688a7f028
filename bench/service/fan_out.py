"""One group with 1,000 sockets: from accepted (server_time in the envelope) to received by the last of them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median, quantiles

import psutil
from figures import Figure
from load import run, send_request
from stage import Person, Stage, body


class Listening:
    """The process of listeners.py."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """The next line that it says. Raises when it has ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("The listeners ended.")
        return line.decode().strip()

    async def milliseconds(self, seq: int) -> float:
        """When the last socket had this message."""
        number, time = (await self.line()).split()
        if int(number) != seq:
            raise RuntimeError(f"Waited for seq {seq}, {number} came.")
        return float(time)


@contextlib.asynccontextmanager
async def listening(port: int, people: list[Person]) -> AsyncIterator[Listening]:
    """A socket for each of them, all caught up."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).parent / "listeners.py"), str(port),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdin is not None
        process.stdin.write("".join(f"{one.token}\n" for one in people).encode())
        process.stdin.close()
        listeners = Listening(process)
        if await listeners.line() != "ready":
            raise RuntimeError("The listeners did not begin.")
        yield listeners
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def measure(
    stage: Stage, *, sockets: int = 1000, messages: int = 200, seconds: float = 0.2
) -> list[Figure]:
    """`messages` of them, one every `seconds`: 1,000 sockets and 5 messages a second are 5,000 frames a second."""
    service = stage.service()
    people = await stage.people(sockets)
    [group] = await stage.groups(people)
    process = psutil.Process(service.pid)
    before = process.memory_info().rss
    text = body()
    times = []
    async with listening(service.port, people) as listeners:
        idle = (process.memory_info().rss - before) / sockets
        for number in range(messages):
            pause = asyncio.create_task(asyncio.sleep(seconds))
            request = [send_request(people[number % sockets], group, text)]
            (await run(service.port, [lambda request=request: request.pop() if request else None])).rate()  # type: ignore[misc]
            times.append(await listeners.milliseconds(number + 1))
            await pause
    rank = quantiles(times, n=100)[98]
    print(f"  {messages} messages to {sockets} sockets: last socket {min(times):.0f} to {max(times):.0f} ms")
    return [
        Figure("fan-out, last of 1,000 sockets, median", median(times), " ms", hold=50),
        Figure("fan-out, last of 1,000 sockets, p99", rank, " ms", hold=150),
        Figure("memory per idle socket", idle / 1024, " KiB"),
    ]
