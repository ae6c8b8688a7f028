"""Sockets whose peers read slowly, or nothing: what that costs the process, and that nobody else notices."""

import asyncio
import contextlib
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import websockets

from edge_functions.errors import ServiceError
from edge_functions.sockets import Outbox, Waiting
from tests.support import mls
from tests.support.caller import Device, Group
from tests.support.server import Service
from tests.support.socket_client import WAIT_SECONDS, SocketClient, listening, open_socket

MESSAGES, KIB, READERS = (200, 256, 20) if os.environ.get("LARGE") else (56, 900, 3)
BOUND = 64
"""MiB by which the process may grow while 50 MiB of messages go through it, which are 100 as text in frames."""


# ---- the outbox


async def test_a_frame_for_many_counts_once_and_the_slowest_is_ended_at_the_bound() -> None:
    waiting = Waiting(100)
    slow, quick = Outbox(1000, 1000, waiting), Outbox(1000, 1000, waiting)
    shared, own = "s" * 60, "o" * 39
    slow.push(shared)
    quick.push(shared)
    slow.push(own)
    assert waiting.size == 99
    assert await quick.take() == shared
    quick.push("xx")
    assert slow.failed.done()
    assert (await slow.failed).code == "too_slow"
    assert not quick.failed.done()
    assert waiting.size == 62, "what is being written still counts"
    assert await quick.take() == "xx"
    quick.close()
    assert (waiting.size, waiting.outboxes) == (0, set())


async def test_the_largest_frame_of_an_outbox_does_not_count_for_its_size() -> None:
    outbox = Outbox(10, 10, Waiting(1000))
    outbox.push("x" * 100)
    assert not outbox.has_room
    outbox.push("y" * 10)
    assert not outbox.failed.done()
    outbox.push("z")
    assert outbox.failed.done()
    outbox.push("z")
    assert len(outbox) == 0, "what has failed keeps nothing"


async def test_a_second_frame_above_the_bound_has_no_place_in_an_outbox() -> None:
    outbox = Outbox(10, 10, Waiting(1000))
    outbox.push("x" * 100)
    assert await outbox.take() == "x" * 100
    outbox.push("y" * 11)
    assert outbox.failed.done(), "the first one is still being written"


async def test_an_outbox_has_a_most_of_frames() -> None:
    outbox = Outbox(3, 10, Waiting(1000))
    for _ in range(3):
        outbox.push("y")
    assert not outbox.failed.done()
    outbox.push("y")
    assert outbox.failed.done()


async def test_room_is_there_again_when_a_frame_was_written() -> None:
    outbox = Outbox(100, 10, Waiting(1000))
    outbox.push("x" * 9)
    room = asyncio.create_task(outbox.room())
    assert await outbox.take() == "x" * 9
    await asyncio.sleep(0)
    assert not room.done(), "it is still being written"
    writer = asyncio.create_task(outbox.take())
    await room
    writer.cancel()


async def test_only_a_write_that_takes_long_is_a_stall() -> None:
    waiting = Waiting(1000)
    idle, writing = Outbox(10, 10, waiting), Outbox(10, 10, waiting)
    writing.push("x")
    await writing.take()
    waiting.end_stalled(3600)
    assert not writing.failed.done()
    waiting.end_stalled(-1)
    assert (idle.failed.done(), writing.failed.done()) == (False, True)
    assert isinstance(await writing.failed, ServiceError)


# ---- the process


def memory(service: Service, field: str = "VmRSS") -> int:
    """Of the service's process, in bytes."""
    for line in Path(f"/proc/{service.pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(field)


async def send_large(alice: Device, group: Group, count: int, kib: int = 256) -> None:
    """Messages of so many KiB."""
    for _ in range(count):
        body = mls.private_message(
            group.mls_id, group.epoch, ciphertext=secrets.token_bytes((kib - 1) * 1024)
        )
        (await alice.send(group, mls_bytes=body.hex())).ok()


async def read_all(socket: SocketClient, last: int) -> None:
    """Read on, in order and without a gap, keeping and parsing nothing."""
    expected = 2
    while expected <= last:
        async with asyncio.timeout(WAIT_SECONDS):
            start = str(await socket.websocket.recv())[:300]
        assert '"type":"error"' not in start
        if found := re.search(r'"seq" ?: ?(\d+)', start if '"envelope"' in start else ""):
            assert int(found[1]) == expected
            expected += 1


@contextlib.asynccontextmanager
async def never_reading(service: Service, device: Device, group: Group) -> AsyncIterator[SocketClient]:
    """A socket that has caught up and reads nothing any more."""
    async with listening(service.url, device, {group.group_id: 1}, small=True) as socket:
        await socket.until("caught_up")
        socket.websocket.transport.pause_reading()
        yield socket


async def test_a_reader_that_never_reads_costs_nobody_anything(make_service: Callable[..., Service]) -> None:
    service = make_service()
    alice, slow = await Device.guest(service.url), await Device.guest(service.url)
    readers = [await Device.guest(service.url) for _ in range(READERS)]
    group = await alice.create_group()
    await alice.add(group, slow, *readers)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(never_reading(service, slow, group))
        opened = [listening(service.url, one, {group.group_id: 1}) for one in readers]
        sockets = [await stack.enter_async_context(one) for one in opened]
        before = memory(service)
        async with asyncio.TaskGroup() as tasks:
            for one in sockets:
                tasks.create_task(read_all(one, 1 + MESSAGES))
            tasks.create_task(send_large(alice, group, MESSAGES, KIB))
        grown = (memory(service, "VmHWM") - before) >> 20
        sys.stdout.write(
            f"{MESSAGES} messages of {KIB} KiB to {READERS + 1} sockets: +{grown} MiB, bound {BOUND}\n"
        )
        assert grown < BOUND


async def test_a_reader_that_never_reads_is_cut_off_and_comes_back(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(
        COTERIE_STALL_SECONDS="2", COTERIE_SOCKETS_SESSION="1", COTERIE_LIMIT_SOCKETS="1000000"
    )
    alice, slow = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    await alice.add(group, slow)
    async with never_reading(service, slow, group) as silent:
        await send_large(alice, group, 20)
        await until_ended(service, slow)
        silent.websocket.transport.resume_reading()
        with contextlib.suppress(websockets.ConnectionClosed):  # where the goodbye found no room any more
            assert (await silent.ended())["code"] == "too_slow"
    seen = silent.seqs(group.group_id)
    assert seen == list(range(2, 2 + len(seen)))
    assert len(seen) < 20
    async with listening(service.url, slow, {group.group_id: 1 + len(seen)}) as again:
        await again.until_seq(group.group_id, 21)
        assert again.seqs(group.group_id) == list(range(2 + len(seen), 22))


async def until_ended(service: Service, device: Device) -> None:
    """Until the service has closed the one socket that this session may have."""
    async with asyncio.timeout(60):
        while True:
            async with open_socket(service.url) as probe:
                await probe.send("hello", token=device.token, cursors={})
                if (await probe.next())["type"] == "ready":
                    return


async def test_a_slow_reader_gets_everything_at_its_pace(make_service: Callable[..., Service]) -> None:
    service = make_service(COTERIE_QUEUE_FRAMES="4", COTERIE_QUEUE_BYTES="100000")
    alice, slow = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    await alice.add(group, slow)
    async with listening(service.url, slow, {group.group_id: 1}, small=True) as socket:
        await socket.until("caught_up")
        socket.websocket.transport.pause_reading()
        await send_large(alice, group, 8)
        for _ in range(40):
            (await alice.send(group)).ok()
        socket.websocket.transport.resume_reading()
        await socket.until_seq(group.group_id, 49)
        (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 50)
    assert socket.seqs(group.group_id) == list(range(2, 51))


async def test_a_last_message_larger_than_the_bound_ends_nobody(make_service: Callable[..., Service]) -> None:
    """What follows it at once is short: that the reader has caught up."""
    service = make_service(COTERIE_QUEUE_BYTES="100000")
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    await send_large(alice, group, 1)
    async with listening(service.url, alice) as socket:
        assert (await socket.until("caught_up"))["seq"] == 1
        assert socket.seqs(group.group_id) == [1]


async def test_a_large_frame_comes_whole_with_pings_between_its_pieces(service: Service) -> None:
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    body = mls.private_message(group.mls_id, group.epoch, ciphertext=secrets.token_bytes(1_000_000)).hex()
    async with listening(service.url, alice, small=True) as socket:
        await socket.until("caught_up")
        sent = asyncio.create_task(alice.send(group, mls_bytes=body))
        pongs = [await socket.websocket.ping() for _ in range(50)]
        frame = await socket.until("envelope")
        assert frame["envelope"]["mls_bytes"] == body
        await asyncio.wait_for(asyncio.gather(*pongs), 20)
        assert (await sent).status == 200


async def test_joins_that_wait_are_told_once_each_however_many_come(service: Service) -> None:
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    invite = await alice.invite(group, approval=True)
    joiners = [await Device.guest(service.url) for _ in range(14)]
    async with listening(service.url, alice) as first:
        joins = [(await one.ask(invite)).join_id for one in joiners]
        told = [(await first.until("join_waiting"))["join"]["join_id"] for _ in joins]
        assert sorted(told) == sorted(joins)
        async with listening(service.url, alice) as second:
            again = [(await second.until("join_waiting"))["join"]["join_id"] for _ in joins]
            assert again == joins
            (await alice.call("invite_decide", join_id=joins[3], approve=True)).ok()
            for socket in (first, second):
                approved = (await socket.until("join_waiting"))["join"]
                assert (approved["join_id"], approved["status"]) == (joins[3], "waiting")
            (await joiners[5].call("invite_cancel", join_id=joins[5])).ok()
            late = await Device.guest(service.url)
            new = (await late.ask(invite)).join_id
            for socket in (first, second):
                assert (await socket.until("join_waiting"))["join"]["join_id"] == new
                await socket.settle()
                assert [one["type"] for one in socket.frames].count("join_waiting") == 16


async def test_whoever_enters_hears_of_joins_that_wait_already(service: Service) -> None:
    alice, bob, carol = [await Device.guest(service.url) for _ in range(3)]
    group = await alice.create_group()
    async with listening(service.url, alice) as first, listening(service.url, bob) as second:
        waiting = await carol.ask(await alice.invite(group))
        await first.until("join_waiting")
        await alice.add(group, bob)
        assert (await second.until("join_waiting"))["join"]["join_id"] == waiting.join_id
