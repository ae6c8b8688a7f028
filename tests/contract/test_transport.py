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
from typing import Any

import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coterie import native
from coterie.ports import Transport
from coterie.transport.http import HttpTransport
from coterie_wire import device_proof_message
from tests.contract import transport_contract as contract
from tests.contract.odd_service import make_app
from tests.support.server import Service

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


@no_supabase
async def test_the_native_client_takes_supabase_where_a_key_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    from coterie.transport.supabase import SupabaseTransport  # noqa: PLC0415  an extra

    monkeypatch.setenv("COTERIE_SUPABASE_KEY", KEY)
    transport = native.make_transport("http://localhost:1")
    assert isinstance(transport, SupabaseTransport)
    await transport.close()


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


async def test_a_socket_is_not_led_elsewhere(made: Callable[..., Transport], odd_service: str) -> None:
    """Its first frame is the token."""
    elsewhere = f"{odd_service.replace('http', 'ws')}/functions/v1/deliver".encode()
    async with rude(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: " + elsewhere + b"\r\n\r\n") as url:
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


# ------------------------------------------------------------------------------------------ the real service


async def _signed_in(transport: Transport) -> dict[str, Any]:
    answer = await transport.request("POST", "/auth/v1/signup", {}, None)
    assert answer.status == 200, answer
    return answer.body


async def _function(
    transport: Transport, name: str, token: str | None, **body: object
) -> tuple[int, str | None]:
    answer = await transport.request("POST", f"/functions/v1/{name}", body, token)
    return answer.status, answer.body.get("code")


async def _registered(transport: Transport, session: dict[str, Any]) -> str:
    """The id of a new device in this session."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    claims = jwt.decode(session["access_token"], options={"verify_signature": False})
    proof = key.sign(device_proof_message(session["user"]["id"], claims["session_id"], public))
    body = {"signature_key": public.hex(), "name": "Terminal", "proof": proof.hex()}
    token = session["access_token"]
    answer = await transport.request("POST", "/functions/v1/device_register", body, token)
    assert answer.status == 200, answer
    return str(answer.body["device_id"])


async def test_a_guest_signs_in_renews_and_signs_out(
    made: Callable[..., Transport], service: Service
) -> None:
    transport = made(service.url)
    session = await _signed_in(transport)
    assert session["user"]["is_anonymous"] is True
    renew = "/auth/v1/token?grant_type=refresh_token"
    renewed = await transport.request("POST", renew, {"refresh_token": session["refresh_token"]}, None)
    assert renewed.status == 200
    assert renewed.body["user"]["id"] == session["user"]["id"]
    assert renewed.body["expires_at"] >= session["expires_at"]
    token = renewed.body["access_token"]
    user = await transport.request("GET", "/auth/v1/user", None, token)
    assert (user.body.get("user") or user.body)["id"] == session["user"]["id"]
    await _registered(transport, renewed.body)
    assert await _function(transport, "groups_list", token) == (200, None)
    assert (await transport.request("POST", "/auth/v1/logout?scope=local", {}, token)).status == 204
    assert await _function(transport, "groups_list", token) == (401, "no_session")


async def test_what_identity_refuses_is_an_answer(made: Callable[..., Transport], service: Service) -> None:
    transport = made(service.url)
    renew = "/auth/v1/token?grant_type=refresh_token"
    answer = await transport.request("POST", renew, {"refresh_token": "no such token"}, None)
    assert answer.status == 400
    assert answer.body.get("code") == "refresh_token_not_found"
    assert (await transport.request("GET", "/auth/v1/user", None, "no.such.token")).status in (401, 403)
    keys = await transport.request("GET", "/auth/v1/.well-known/jwks.json", None, None)
    assert keys.body["keys"]


async def test_functions_answer_and_refuse(made: Callable[..., Transport], service: Service) -> None:
    transport = made(service.url)
    assert await _function(transport, "groups_list", None) == (401, "no_session")
    session = await _signed_in(transport)
    token = session["access_token"]
    assert await _function(transport, "groups_list", token) == (403, "device_not_registered")
    await _registered(transport, session)
    assert await _function(transport, "no_such_function", token) == (404, "unknown_function")
    assert await _function(transport, "groups_list", token, extra=1) == (400, "bad_request")
    nobody = {"group_id": "11111111-1111-4111-8111-111111111111", "after": 0}
    assert await _function(transport, "get_messages", token, **nobody) == (403, "not_a_member")
    query = f"/functions/v1/get_messages?group_id={nobody['group_id']}&after=0"
    assert (await transport.request("GET", query, None, token)).status == 403


async def test_deliver_greets_answers_and_refuses(made: Callable[..., Transport], service: Service) -> None:
    transport = made(service.url)
    session = await _signed_in(transport)
    device_id = await _registered(transport, session)
    socket = await transport.connect()
    frames = socket.frames()
    await socket.send({"v": 1, "type": "hello", "token": session["access_token"], "cursors": {}})
    ready = await anext(frames)
    assert (ready["type"], ready["device_id"]) == ("ready", device_id)
    await socket.send({"v": 1, "type": "ping"})
    while (frame := await anext(frames))["type"] != "pong":
        assert frame["type"] in ("key_packages_low", "device_changed")  # told of itself, before or after
    await socket.close()
    stranger = await transport.connect()
    await stranger.send({"v": 1, "type": "hello", "token": "no.such.token", "cursors": {}})
    refusal = await anext(stranger.frames())
    assert (refusal["type"], refusal["code"]) == ("error", "no_session")
    await stranger.close()


async def test_a_service_that_is_killed_and_comes_back(
    made: Callable[..., Transport], make_service: Callable[..., Service]
) -> None:
    service = make_service()
    transport = made(service.url)
    session = await _signed_in(transport)
    await _registered(transport, session)
    socket = await transport.connect()
    frames = socket.frames()
    await socket.send({"v": 1, "type": "hello", "token": session["access_token"], "cursors": {}})
    await anext(frames)
    service.kill()
    await unreachable(_end(frames), "socket_closed")
    await unreachable(
        transport.request("POST", "/functions/v1/groups_list", {}, session["access_token"]), "unreachable"
    )
    service.start()
    assert await _function(transport, "groups_list", session["access_token"]) == (200, None)
    await socket.close()
