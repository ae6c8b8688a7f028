"""A hub's sockets without a network: a log in memory stands for the database and answers when the test says."""

import asyncio
import json
from typing import Any

from edge_functions.hub import Hub
from edge_functions.sockets import Outbox, Socket, Waiting

GROUP = "b0000000-0000-4000-8000-00000000000f"
NOTHING = {"stock": {"available": 100, "last_resort": True, "refill_below": 25}, "invited": False}


class Log:
    """One group that everybody is in. `held` queries wait until they are let go."""

    def __init__(self) -> None:
        self.last = 0
        self.ends: dict[str, int] = {}
        """Where a device's pages end, before the log does."""
        self.until: dict[str, int] = {}
        """What a socket's opening says of it."""
        self.asked: list[str] = []
        """Who opened or asked for a page, in order: `open early`, `page early`."""
        self.opened = asyncio.Event()
        self.held: dict[str, asyncio.Event] = {}
        self.waiting = asyncio.Event()

    async def answer(self, name: str) -> None:
        """The query has read its snapshot; its answer is on the way."""
        await asyncio.sleep(0)
        if name in self.held:
            self.waiting.set()
            await self.held[name].wait()

    async def value(self, statement: str, claims: str, *arguments: Any) -> str:
        """`deliver_open_v1` and `get_messages_v1`; a user is named like their device."""
        name = json.loads(claims)["sub"]
        if "deliver_open" in statement:
            self.asked.append(f"open {name}")
            self.opened.set()
            group = {"group_id": GROUP, "from_seq": 1, "until_seq": self.until.get(name)}
            return json.dumps({"device_id": name, "groups": [group], "pending": [], "joins": [], **NOTHING})
        _, after, limit = arguments
        self.asked.append(f"page {name}")
        last = self.ends.get(name, self.last)
        await self.answer(name)
        return json.dumps(
            {"envelopes": [{"seq": seq} for seq in range(after + 1, last + 1)][:limit], "last_seq": last}
        )

    async def row(
        self, _statement: str, _group: str, after: int, devices: list[str], sessions: list[str]
    ) -> Any:
        """`fan_out_v1`."""
        seqs = list(range(after + 1, self.last + 1))
        keys = zip(devices, sessions, strict=True)
        row = {
            "last_seq": self.last,
            "members": json.dumps([[device, session, True, 1, None] for device, session in keys]),
            "seqs": seqs,
            "envelopes": [json.dumps({"seq": seq}) for seq in seqs],
        }
        await self.answer("fan_out")
        return row


class Reader:
    """A socket with its worker running; `seqs` is what was put in its outbox."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.socket = Socket(
            name, f"session of {name}", json.dumps({"sub": name}), {}, Outbox(1000, 10**6, Waiting(10**9))
        )
        self.seqs: list[int] = []
        hub.add(self.socket)
        self.socket.ask(None)
        self.task = asyncio.create_task(hub.work(self.socket))

    async def until(self, last: int) -> None:
        """Read until this seq has come."""
        while last not in self.seqs:
            frame = json.loads(await self.socket.outbox.take())
            if frame["type"] == "envelope":
                self.seqs.append(frame["envelope"]["seq"])

    async def caught_up(self) -> None:
        """Read until live."""
        while (frame := json.loads(await self.socket.outbox.take()))["type"] != "caught_up":
            self.seqs.append(frame["envelope"]["seq"])

    async def stop(self) -> None:
        """End the worker."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def append(hub: Hub, log: Log) -> None:
    """A new message, announced."""
    log.last += 1
    hub._hear(f"{GROUP}:{log.last}")
