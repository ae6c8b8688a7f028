"""The hub's races, one step at a time: a log in memory stands for the database and answers when the test says."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from edge_functions.errors import ServiceError
from edge_functions.hub import Hub
from edge_functions.settings import Settings
from edge_functions.sockets import Outbox, Socket, Waiting

GROUP = "b0000000-0000-4000-8000-00000000000f"
NOTHING = {"stock": {"available": 100, "last_resort": True, "refill_below": 25}, "invited": False}


class Log:
    """One group that everybody is in. `held` queries wait until they are let go."""

    def __init__(self) -> None:
        self.last = 0
        self.held: dict[str, asyncio.Event] = {}
        self.waiting = asyncio.Event()

    async def answer(self, name: str) -> None:
        """The query has read its snapshot; its answer is on the way."""
        if name in self.held:
            self.waiting.set()
            await self.held[name].wait()

    async def value(self, statement: str, claims: str, *arguments: Any) -> str:
        """`deliver_open_v1` and `get_messages_v1`; a user is named like their device."""
        name = json.loads(claims)["sub"]
        if "deliver_open" in statement:
            group = {"group_id": GROUP, "from_seq": 1, "until_seq": None}
            return json.dumps({"device_id": name, "groups": [group], "pending": [], "joins": [], **NOTHING})
        _, after, limit = arguments
        last = self.last
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


class Listener:
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


@pytest.fixture
def log() -> Log:
    """An empty log."""
    return Log()


@pytest.fixture
def hub(log: Log) -> Hub:
    """A hub over it that hears what `append` says."""
    return Hub(log, replace(Settings(), listen_retry_seconds=0.001))  # type: ignore[arg-type]


def append(hub: Hub, log: Log) -> None:
    """A new message, announced."""
    log.last += 1
    hub._hear(f"{GROUP}:{log.last}")


async def test_a_message_that_comes_while_a_socket_catches_up_reaches_it_at_once(hub: Hub, log: Log) -> None:
    """Its page was read before the message, the others had it before the page arrived: it asks once more."""
    async with asyncio.timeout(10):
        early = Listener(hub, "early")
        append(hub, log)
        await early.caught_up()
        log.held["late"] = asyncio.Event()
        late = Listener(hub, "late")
        await log.waiting.wait()  # its page ends with seq 1
        append(hub, log)
        await early.until(2)
        log.held["late"].set()
        await late.until(2)  # without waiting for a third message
        append(hub, log)
        await asyncio.gather(early.until(3), late.until(3))
    assert (early.seqs, late.seqs) == ([1, 2, 3], [1, 2, 3])
    for one in (early, late):
        await one.stop()
    await hub.stop()


async def test_a_socket_that_turns_live_while_the_feed_asks_misses_nothing(hub: Hub, log: Log) -> None:
    """The answer does not list it: what came is fetched for it from its own position."""
    async with asyncio.timeout(10):
        early = Listener(hub, "early")
        append(hub, log)
        await early.caught_up()
        log.held["fan_out"] = asyncio.Event()
        log.held["late"] = asyncio.Event()
        late = Listener(hub, "late")
        await log.waiting.wait()  # its page ends with seq 1
        log.waiting.clear()
        append(hub, log)
        await log.waiting.wait()  # the feed asks for seq 2, for `early` alone
        log.held.pop("late").set()
        await late.caught_up()  # live at 1
        log.held.pop("fan_out").set()
        await asyncio.gather(early.until(2), late.until(2))
    assert (early.seqs, late.seqs) == ([1, 2], [1, 2])
    for one in (early, late):
        await one.stop()
    await hub.stop()


async def test_a_gap_is_never_jumped_over(hub: Hub, log: Log) -> None:
    async with asyncio.timeout(10):
        one = Listener(hub, "one")
        append(hub, log)
        await one.caught_up()
        log.last = 5
        hub._feeds[GROUP].position = 3  # as if 2 and 3 had gone to others
        hub._hear(f"{GROUP}:5")
        await one.until(5)
    assert one.seqs == [1, 2, 3, 4, 5]
    await one.stop()
    await hub.stop()


async def test_a_database_that_is_away_is_asked_again(
    hub: Hub, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = 3
    answered, fanned = log.value, log.row

    async def value(*arguments: Any) -> str:
        nonlocal fails
        fails -= 1
        if fails >= 0:
            raise ServiceError(503, "unavailable")
        return await answered(*arguments)

    async def row(*arguments: Any) -> Any:
        nonlocal fails
        fails -= 1
        if fails >= 0:
            raise ServiceError(503, "unavailable")
        return await fanned(*arguments)

    monkeypatch.setattr(log, "value", value)
    monkeypatch.setattr(log, "row", row)
    async with asyncio.timeout(10):
        one = Listener(hub, "one")
        append(hub, log)
        await one.caught_up()
        fails = 3
        append(hub, log)
        await one.until(2)
    assert one.seqs == [1, 2]
    await one.stop()
    await hub.stop()


async def test_a_defect_while_serving_leaves_each_socket_to_look_for_itself(
    hub: Hub, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def row(*_arguments: Any) -> Any:
        raise RuntimeError("a row that nobody thought of")

    async with asyncio.timeout(10):
        one = Listener(hub, "one")
        append(hub, log)
        await one.caught_up()
        monkeypatch.setattr(log, "row", row)
        append(hub, log)
        await one.until(2)
    assert one.seqs == [1, 2]
    await one.stop()
    await hub.stop()


async def test_an_announcement_of_what_is_not_there_is_asked_for_once(
    hub: Hub, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby without the end of the log took over."""
    asked = 0
    fanned = log.row

    async def row(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return await fanned(*arguments)

    monkeypatch.setattr(log, "row", row)
    async with asyncio.timeout(10):
        one = Listener(hub, "one")
        append(hub, log)
        await one.caught_up()
        hub._hear(f"{GROUP}:9")
        while hub._feeds[GROUP].running:
            assert asked < 5
            await asyncio.sleep(0)
        append(hub, log)
        await one.until(2)
    assert one.seqs == [1, 2]
    await one.stop()
    await hub.stop()


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("a defect")])
async def test_who_cannot_listen_tries_again(log: Log, error: Exception) -> None:
    class Connection:
        def add_termination_listener(self, _callback: Any) -> None:
            pass

        async def add_listener(self, *_arguments: Any) -> None:
            pass

        def terminate(self) -> None:
            pass

    tries = 0

    async def listener() -> Connection:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise error
        return Connection()

    log.listener = listener  # type: ignore[attr-defined]
    hub = Hub(log, replace(Settings(), listen_retry_seconds=0.001))  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        await hub.start()
    assert tries == 3
    await hub.stop()


async def test_a_socket_that_leaves_takes_its_feed_with_it(hub: Hub, log: Log) -> None:
    async with asyncio.timeout(10):
        one = Listener(hub, "one")
        append(hub, log)
        await one.caught_up()
    hub.remove(one.socket)
    assert hub._feeds == {}
    append(hub, log)
    await one.stop()
    await hub.stop()


async def test_what_waits_for_a_socket_is_done_once_however_often_it_is_asked_for(hub: Hub, log: Log) -> None:
    """One user who changes their devices all the time must not make the others wait for the database."""
    async with asyncio.timeout(10):
        early = Listener(hub, "early")
        await early.caught_up()
        for _ in range(100):
            hub._hear("user:early")
        assert early.socket._work.qsize() == 1
        append(hub, log)
        await early.until(1)
        await early.stop()
