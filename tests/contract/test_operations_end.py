"""The end of a process: nobody is left without an answer, sockets go on elsewhere, a second signal does not wait."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest
import websockets

from tests.support.caller import Device, Group, Http
from tests.support.server import Service
from tests.support.socket_client import WAIT_SECONDS, listening

SENDERS = 6
SENDS = 30
"""Answers that are awaited before the first process ends, and again after it."""


@pytest.fixture
def two(make_service: Callable[..., Service], database: str) -> tuple[Service, Service]:
    """Two processes on one database."""
    return make_service(DATABASE_URL=database), make_service(DATABASE_URL=database)


@dataclass
class Traffic:
    """Devices that send over connections that stay open, to the next process when one takes no more."""

    urls: list[str]
    answered: int = 0
    unanswered: list[str] = field(default_factory=list)
    more: asyncio.Condition = field(default_factory=asyncio.Condition)
    done: bool = False

    async def send(self, device: Device, group: Group) -> None:
        """One sender."""
        urls = iter(self.urls)
        client = httpx.AsyncClient(base_url=next(urls), timeout=WAIT_SECONDS)
        while not self.done:
            body = device.message(group)
            headers = {"authorization": f"Bearer {device.token}"}
            try:
                answer = await client.post("/functions/v1/send_message", json=body, headers=headers)
            except httpx.ConnectError:  # it was never sent
                await client.aclose()
                client = httpx.AsyncClient(base_url=next(urls), timeout=WAIT_SECONDS)
                continue
            except httpx.HTTPError as error:
                self.unanswered.append(repr(error))
                continue
            assert answer.status_code == 200, answer.text
            async with self.more:
                self.answered += 1
                self.more.notify_all()
        await client.aclose()

    async def wait(self, count: int) -> None:
        """Until so many more are answered."""
        until = self.answered + count
        async with self.more, asyncio.timeout(WAIT_SECONDS):
            await self.more.wait_for(lambda: self.answered >= until)


async def test_no_request_is_left_without_an_answer(two: tuple[Service, Service]) -> None:
    first, second = two
    devices = [await Device.guest(first.url) for _ in range(SENDERS)]
    groups = [await device.create_group() for device in devices]
    traffic = Traffic([first.url, second.url])
    async with asyncio.TaskGroup() as tasks:
        for device, group in zip(devices, groups, strict=True):
            tasks.create_task(traffic.send(device, group))
        await traffic.wait(SENDS)
        assert await asyncio.to_thread(first.stop) == 0
        await traffic.wait(SENDS)
        traffic.done = True
    assert traffic.unanswered == []
    stored = 0
    for device, group in zip(devices, groups, strict=True):
        device.http.url = second.url
        stored += (await device.messages(group))["last_seq"]
    assert stored == traffic.answered
    assert "Traceback" not in first.log.read_text()


async def test_sockets_are_told_and_go_on_elsewhere_without_loss(two: tuple[Service, Service]) -> None:
    first, second = two
    alice, bob = await Device.guest(second.url), await Device.guest(second.url)
    group = await alice.create_group()
    await alice.add(group, bob)
    async with listening(first.url, bob) as socket:
        await socket.until("caught_up")
        (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 2)
        stopping = asyncio.create_task(asyncio.to_thread(first.stop))
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await socket.next()
        assert socket.websocket.close_code == 1012
        seen = socket.seqs(group.group_id)
    (await alice.send(group)).ok()
    async with listening(second.url, bob, {group.group_id: seen[-1]}) as socket:
        await socket.until_seq(group.group_id, 3)
        assert seen + socket.seqs(group.group_id) == [2, 3]
    assert await stopping == 0


async def test_while_it_drains_it_serves_and_asks_for_no_more(
    make_service: Callable[..., Service], database: str
) -> None:
    service = make_service(DATABASE_URL=database, COTERIE_DRAIN_SECONDS="3600")
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    os.kill(service.pid, signal.SIGTERM)
    while (answer := await Http(service.url).get("/ready")).status_code == 200:
        pass
    assert answer.json()["failing"] == ["stopping"]
    assert answer.headers["connection"] == "close"
    (await alice.send(group)).ok()
    assert await asyncio.to_thread(service.stop) == 0  # the second signal: at once
    assert "Traceback" not in service.log.read_text()


async def test_a_request_that_hangs_is_waited_for_and_not_for_ever(
    make_service: Callable[..., Service], database: str
) -> None:
    service = make_service(DATABASE_URL=database, COTERIE_SHUTDOWN_SECONDS="1")
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    device = await Device.guest(service.url)
    head = (
        f"POST /functions/v1/groups_list HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {device.token}\r\n"
        "content-type: application/json\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
    )
    writer.write(head.encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 100")  # it waits for the body
    assert await asyncio.to_thread(service.stop) == 0
    writer.close()
