"""The races between catching up and serving live, one step at a time."""

import asyncio
import json
from typing import Any

import pytest

from edge_functions.errors import ServiceError
from edge_functions.hub import Hub
from tests.support.hub import GROUP, Log, Reader, append


async def test_a_message_that_comes_while_a_socket_catches_up_reaches_it_at_once(hub: Hub, log: Log) -> None:
    """Its page was read before the message, the others had it before the page arrived: it asks once more."""
    async with asyncio.timeout(10):
        early = Reader(hub, "early")
        append(hub, log)
        await early.caught_up()
        log.held["late"] = asyncio.Event()
        late = Reader(hub, "late")
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
        early = Reader(hub, "early")
        append(hub, log)
        await early.caught_up()
        log.held["fan_out"] = asyncio.Event()
        log.held["late"] = asyncio.Event()
        late = Reader(hub, "late")
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
        one = Reader(hub, "one")
        append(hub, log)
        await one.caught_up()
        log.last = 5
        hub._feeds.by_group[GROUP].position = 3  # as if 2 and 3 had gone to others
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
        one = Reader(hub, "one")
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
        one = Reader(hub, "one")
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
        one = Reader(hub, "one")
        append(hub, log)
        await one.caught_up()
        hub._hear(f"{GROUP}:9")
        while hub._feeds.by_group[GROUP].running:
            assert asked < 5
            await asyncio.sleep(0)
        append(hub, log)
        await one.until(2)
    assert one.seqs == [1, 2]
    await one.stop()
    await hub.stop()


async def test_who_is_placed_anew_while_a_page_is_on_its_way_gets_it_once(hub: Hub, log: Log) -> None:
    """Removed and added again, or left and come back: the page that was asked for before is of the old place."""
    async with asyncio.timeout(10):
        append(hub, log)
        log.held["one"] = asyncio.Event()
        one = Reader(hub, "one")
        await log.waiting.wait()  # its page with seq 1
        hub._feeds.drop(one.socket, GROUP)
        hub._feeds.place(one.socket, GROUP, 1, None)
        log.held.pop("one").set()
        await one.caught_up()
        append(hub, log)
        await one.until(2)
    assert one.seqs == [1, 2]
    await one.stop()
    await hub.stop()


async def test_who_was_removed_asks_at_a_pace_until_the_word_of_it_is_there(hub: Hub, log: Log) -> None:
    """The device's pages end with its removal, which the log knows before the socket's place does."""
    async with asyncio.timeout(10):
        early = Reader(hub, "early")
        append(hub, log)
        append(hub, log)
        await early.until(2)
        log.ends["late"] = 1
        late = Reader(hub, "late")
        await late.until(1)
        while log.asked.count("open late") < 3:
            log.opened.clear()
            await log.opened.wait()
        assert log.asked.count("page late") <= 3 * log.asked.count("open late")
        log.until["late"] = 1
        assert json.loads(await late.socket.outbox.take())["type"] == "removed"
        assert log.asked.count("page late") <= 3 * log.asked.count("open late")
    for one in (early, late):
        await one.stop()
    await hub.stop()


async def test_an_old_word_of_a_removal_does_not_end_what_goes_on(hub: Hub, log: Log) -> None:
    """Removed at 1 and added again, and an answer that was read before comes after: pages go on beyond it."""
    async with asyncio.timeout(10):
        one = Reader(hub, "one")
        append(hub, log)
        append(hub, log)
        await one.until(2)
        await one.caught_up()
        hub._feeds.place(one.socket, GROUP, 1, 1)
        await one.caught_up()
        append(hub, log)
        await one.until(3)
    assert one.seqs == [1, 2, 3]
    await one.stop()
    await hub.stop()


async def test_a_log_that_lost_its_end_is_told_by_ending_the_sockets(hub: Hub, log: Log) -> None:
    """A standby took over: seqs are given anew, and whoever waited for those after the old end would miss them."""
    async with asyncio.timeout(10):
        one = Reader(hub, "one")
        for _ in range(3):
            append(hub, log)
        await one.until(3)
        await one.caught_up()
        log.last = 1
        hub._look_again()
        assert (await one.socket.outbox.failed).code == "unavailable"
        again = Reader(hub, "again")
        await again.caught_up()
        hub.remove(one.socket)
        append(hub, log)
        await again.until(2)
    assert again.seqs == [1, 2]
    for each in (one, again):
        await each.stop()
    await hub.stop()
