"""Peers who send a request so slowly that it never ends, and those who never read an answer."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.support.caller import Device
from tests.support.server import Service
from tests.support.socket_client import WAIT_SECONDS


@pytest.fixture(scope="module")
def impatient(make_service: Callable[..., Service]) -> Service:
    """Waits for nobody."""
    return make_service(COTERIE_HEADER_SECONDS="2", COTERIE_BODY_SECONDS="2", COTERIE_HELLO_SECONDS="60")


async def connect(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection."""
    return await asyncio.open_connection("localhost", urlsplit(service.url).port)


async def closed(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the service closes."""
    async with asyncio.timeout(WAIT_SECONDS):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("begun", [b"", b"POST /functions/v1/groups_list HTTP/1.1\r\nhost: x\r\nx-"])
async def test_headers_that_never_end_end_the_connection(impatient: Service, begun: bytes) -> None:
    reader, writer = await connect(impatient)
    writer.write(begun)
    assert await closed(reader) == b""
    writer.close()


async def test_headers_of_a_second_request_too(impatient: Service) -> None:
    reader, writer = await connect(impatient)
    writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    async with asyncio.timeout(WAIT_SECONDS):
        assert b" 200 " in await reader.readline()
        await reader.readuntil(b"}")
    writer.write(b"GET /health HTTP/1.1\r\nx-")
    assert await closed(reader) == b""
    writer.close()


async def test_a_request_in_time_and_an_idle_connection_are_left_alone(impatient: Service) -> None:
    alice = await Device.guest(impatient.url)
    reader, writer = await connect(impatient)
    request = f"POST /functions/v1/groups_list HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {alice.token}\r\n"
    for _ in range(3):
        for part in (request, "content-length: 2\r\ncontent-type: application/json\r\n\r\n", "{}"):
            writer.write(part.encode())
            await writer.drain()
        async with asyncio.timeout(WAIT_SECONDS):
            assert b" 200 " in await reader.readline()
            await reader.readuntil(b'{"groups"')
            await reader.readuntil(b"}")
    writer.close()


async def test_a_body_that_never_ends_is_answered_and_the_connection_closed(impatient: Service) -> None:
    alice = await Device.guest(impatient.url)
    reader, writer = await connect(impatient)
    writer.write(
        b"POST /functions/v1/groups_list HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n"
        b"content-type: application/json\r\nauthorization: Bearer " + alice.token.encode() + b"\r\n\r\n{"
    )
    answer = await closed(reader)
    assert b" 408 " in answer.split(b"\r\n", 1)[0]
    assert b'"code":"too_slow"' in answer
    writer.close()


async def test_pings_of_a_peer_who_does_not_read_pile_up_nowhere(impatient: Service) -> None:
    before = memory(impatient)
    reader, writer = await connect(impatient)
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    writer.write(
        "GET /functions/v1/deliver HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n".encode()
    )
    async with asyncio.timeout(WAIT_SECONDS):
        await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    ping = bytes([0x89, 0x80 | 125]) + bytes(4 + 125)
    for _ in range(200):  # 25 MiB
        writer.write(ping * 1000)
        await writer.drain()
    assert memory(impatient) - before < 12 * 2**20
    writer.transport.abort()


def memory(service: Service) -> int:
    """Of the service's process, in bytes."""
    with open(f"/proc/{service.pid}/status") as status:  # noqa: PTH123 - no disk is behind it
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))
