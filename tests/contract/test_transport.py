"""One contract, every transport of CPython: against an odd service, a broken line, and the real one.

The supabase transport takes part where supabase-py is installed (a venv of its own, because of its pins).
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import socket as sockets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import uvicorn

from coterie.ports import Transport
from coterie.transport.http import HttpTransport
from tests.contract import transport_contract as contract
from tests.contract.odd_service import make_app

call, unreachable = contract.call, contract.unreachable
KEY = "sb_publishable_made_up"


def make_http(url: str, **settings: float) -> Transport:
    return HttpTransport(url, **settings)


def make_supabase(url: str, **settings: float) -> Transport:
    from coterie.transport.supabase import SupabaseTransport  # noqa: PLC0415  an extra

    return SupabaseTransport(url, KEY, HttpTransport(url, **settings), **settings)


PROVIDERS: dict[str, Callable[..., Transport]] = {"http": make_http, "supabase": make_supabase}
no_supabase = pytest.mark.skipif(
    importlib.util.find_spec("supabase") is None, reason="supabase-py is not installed in this venv"
)
EVERY = ["http", pytest.param("supabase", marks=no_supabase)]


@contextmanager
def listening() -> Iterator[sockets.socket]:
    with sockets.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture(scope="module")
def odd_service() -> Iterator[str]:
    """The address of a running `odd_service`."""
    config = uvicorn.Config(make_app(), log_level="error", ws="websockets-sansio", lifespan="off")
    server = uvicorn.Server(config)
    with listening() as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(params=EVERY)
def provider(request: pytest.FixtureRequest) -> Callable[..., Transport]:
    return PROVIDERS[request.param]


@pytest.fixture
async def made(provider: Callable[..., Transport]) -> AsyncIterator[Callable[..., Transport]]:
    """Makes transports to an address and closes them in the end."""
    transports: list[Transport] = []

    def make(url: str, **settings: float) -> Transport:
        transports.append(provider(url, **settings))
        return transports[-1]

    yield make
    for transport in transports:
        await transport.close()


@pytest.mark.parametrize("name", sorted(contract.CASES))
async def test_contract(name: str, made: Callable[..., Transport], odd_service: str) -> None:
    await contract.CASES[name](lambda **settings: made(odd_service, **settings))


def test_wrong_addresses_are_refused(provider: Callable[..., Transport]) -> None:
    contract.refuses_wrong_addresses(provider)


async def test_a_slash_at_the_end_of_the_address_does_no_harm(
    made: Callable[..., Transport], odd_service: str
) -> None:
    transport = made(odd_service + "/")
    assert (await call(transport, "echo")).status == 200
    await (await transport.connect()).close()


async def test_without_a_token_there_is_no_user(odd_service: str) -> None:
    transport = HttpTransport(odd_service)
    answer = await transport.request("POST", "/functions/v1/echo", {}, None)
    assert answer.body["authorization"] is None
    await transport.close()


async def test_nothing_secret_reaches_the_log(
    made: Callable[..., Transport], odd_service: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        transport = made(odd_service)
        await transport.request(
            "POST", "/functions/v1/echo", {"refresh_token": contract.TOKEN}, contract.TOKEN
        )
        await call(transport, "refuse?status=409")
        socket = await transport.connect()
        await socket.send({"type": "hello", "token": contract.TOKEN})
        assert (await anext(socket.frames()))["token"] == contract.TOKEN
        await socket.close()
    assert caplog.records, "nothing was logged at all: this shows nothing"
    assert contract.TOKEN not in caplog.text


# ------------------------------------------------------------------------------------------ a broken line


@asynccontextmanager
async def rude(answer: bytes) -> AsyncIterator[str]:
    """A peer that reads what came, answers these bytes to every connection, and hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


RUDE = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "cut off in the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "cut off in the body": b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"seq": 1}',
    "cut off in a chunk": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n{"seq": 1}\r\n',
}


@pytest.mark.parametrize("answer", RUDE.values(), ids=RUDE)
async def test_an_answer_that_breaks_off_is_no_answer(made: Callable[..., Transport], answer: bytes) -> None:
    async with rude(answer) as url:
        await unreachable(call(made(url), "echo"), "unreachable")
        await unreachable(made(url).connect(), "unreachable")


async def test_a_socket_that_is_refused(made: Callable[..., Transport]) -> None:
    for status in (
        b"403 Forbidden",
        b"502 Bad Gateway",
        b"200 OK",
        b"301 Moved\r\nLocation: ws://127.0.0.1:1/",
    ):
        async with rude(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n") as url:
            await unreachable(made(url).connect(), "unreachable")


async def test_a_service_that_is_down(made: Callable[..., Transport]) -> None:
    with listening() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    await unreachable(call(made(url), "echo"), "unreachable")
    await unreachable(made(url).connect(), "unreachable")


async def test_a_socket_that_never_opens_ends() -> None:
    with listening() as listener:
        transport = HttpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}", open_seconds=0.2)
        await unreachable(transport.connect(), "timed_out")
        await transport.close()


class Cable:
    """Carries bytes between a transport and the service until it is cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def plug(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, far_writer]
        self._tasks |= {
            asyncio.ensure_future(self._carry(reader, far_writer)),
            asyncio.ensure_future(self._carry(far_reader, writer)),
        }

    @staticmethod
    async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
        except OSError:
            return

    async def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)


async def test_a_socket_whose_line_is_cut(made: Callable[..., Transport], odd_service: str) -> None:
    cable = Cable(int(odd_service.rsplit(":", 1)[1]))
    server = await asyncio.start_server(cable.plug, "127.0.0.1", 0)
    async with server:
        socket = await made(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}").connect()
        frames = socket.frames()
        await socket.send({"type": "ping"})
        assert await anext(frames) == {"type": "ping"}
        await cable.cut()
        await unreachable(_end(frames), "socket_closed")
        await unreachable(socket.send({"type": "ping"}), "socket_closed")
        await socket.close()


def _end(frames: AsyncIterator[object]) -> Awaitable[object]:
    async def last() -> object:
        return [frame async for frame in frames]

    return last()
