"""The `deliver` socket: frames in and out of one connection (docs/protocol.md)."""

import asyncio
import contextlib
import json
import logging
import time
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from coterie_wire import WireError, integer, uuid_text
from edge_functions.auth import Claims, Verifier
from edge_functions.db import Database
from edge_functions.errors import ServiceError, bad_request, defect
from edge_functions.hub import Hub
from edge_functions.limits import Limits, address_of
from edge_functions.metrics import FRAMES_IN, FRAMES_OUT
from edge_functions.settings import Settings
from edge_functions.sockets import Outbox, Socket, frame

_MAX_GROUPS = 10_000
_ACKS = 500
"""Groups whose acks wait to be written; those beyond are dropped, an ack is only a hint."""
_GOODBYE_SECONDS = 2
_log = logging.getLogger("edge_functions")


class Connection:
    """One WebSocket from `hello` to its end."""

    def __init__(
        self,
        websocket: WebSocket,
        db: Database,
        verifier: Verifier,
        hub: Hub,
        limits: Limits,
        settings: Settings,
    ) -> None:
        self._websocket = websocket
        self._db = db
        self._verifier = verifier
        self._hub = hub
        self._limits = limits
        self._settings = settings
        self._expires = 0
        self._acks: dict[str, int] = {}
        self._acked = asyncio.Event()

    async def run(self) -> None:
        """Serve it. An error is told in a frame before the socket closes."""
        await self._websocket.accept()
        address = address_of(self._websocket.scope)
        try:
            with self._limits.socket_of_address(address):
                self._limits.address("sockets", address)
                claims, cursors = await self._hello()
                self._limits.user("sockets", claims.sub)
                with self._limits.socket_of(claims.sub, claims.session_id):
                    await self._run(await self._open(claims, cursors))
        except WebSocketDisconnect:
            pass
        except ServiceError as error:
            await self._goodbye(error)
        except Exception as error:  # noqa: BLE001 - told and logged, like a defect of any function
            _log.error("deliver: %s", defect(error))
            await self._goodbye(ServiceError(500, "internal"))

    async def _run(self, socket: Socket) -> None:
        try:
            await self._serve(socket)
        finally:
            self._hub.remove(socket)
            socket.outbox.close()
            await self._write_acks(socket)

    async def _hello(self) -> tuple[Claims, dict[str, int]]:
        """Who it is, and where the client stands."""
        try:
            async with asyncio.timeout(self._settings.hello_seconds):
                hello = await self._receive()
        except TimeoutError:
            raise ServiceError(408, "no_hello") from None
        match hello:
            case {"type": "hello", "token": str(token), "cursors": dict(raw)} if len(raw) <= _MAX_GROUPS:
                cursors = {_checked(uuid_text, one): _checked(integer, seq) for one, seq in raw.items()}
            case _:
                raise bad_request("The first frame must be hello with token and cursors.")
        return await self._verifier.verify(token), cursors

    async def _open(self, claims: Claims, cursors: dict[str, int]) -> Socket:
        """`ready`."""
        self._expires = claims.expires
        state = json.loads(await self._db.value("select coterie.deliver_open_v1($1)", claims.json()))
        outbox = Outbox(self._settings.queue_frames, self._settings.queue_bytes, self._hub.waiting)
        socket = Socket(state["device_id"], claims.session_id, claims.json(), cursors, outbox)
        outbox.push(frame("ready", device_id=socket.device_id))
        self._hub.add(socket)
        socket.ask(None)  # only now: whatever changes from here on is heard
        self._claims = claims
        return socket

    async def _serve(self, socket: Socket) -> None:
        """Until one side ends it; then the error that ended it, or nothing."""
        tasks = [
            asyncio.create_task(work)
            for work in (
                self._read(socket),
                self._write(socket),
                self._hub.work(socket),
                self._ack(socket),
                self._expire(),
                self._fail(socket),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _read(self, socket: Socket) -> None:
        while True:
            await self._limits.frame(socket.session_id)
            match await self._receive():
                case {"type": "ack", "group_id": group, "seq": seq}:
                    key, saved = _checked(uuid_text, group), _checked(integer, seq)
                    if key in self._acks or len(self._acks) < _ACKS:
                        self._acks[key] = max(self._acks.get(key, 0), saved)
                        self._acked.set()
                case {"type": "token", "token": str(token)}:
                    self._renew(await self._verifier.verify(token))
                case {"type": "ping"}:
                    socket.outbox.push(frame("pong"))
                case {"type": "ack" | "token" | "hello"}:
                    raise bad_request("This frame does not have its documented shape.")

    def _renew(self, claims: Claims) -> None:
        if (claims.sub, claims.session_id) != (self._claims.sub, self._claims.session_id):
            raise ServiceError(401, "no_session", "The token is of another session.")
        self._expires = claims.expires

    async def _receive(self) -> dict[str, Any]:
        """The next frame. Raises `WebSocketDisconnect` at the end."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        FRAMES_IN.inc()
        try:
            value = json.loads(message.get("text") or "")
        except (ValueError, RecursionError):
            raise bad_request("A frame must be JSON text.") from None
        if not isinstance(value, dict):
            raise bad_request("A frame must be a JSON object.")
        return value

    async def _write(self, socket: Socket) -> None:
        while True:
            await self._websocket.send_text(await socket.outbox.take())
            FRAMES_OUT.inc()

    async def _ack(self, socket: Socket) -> None:
        """Write acks in batches: they are a hint for retention, the client's cursor is the truth."""
        while True:
            await self._acked.wait()
            await asyncio.sleep(self._settings.ack_seconds)
            await self._write_acks(socket)

    async def _write_acks(self, socket: Socket) -> None:
        self._acked.clear()
        with contextlib.suppress(ServiceError):
            for group, seq in list(self._acks.items()):
                await self._db.value("select coterie.ack_v1($1, $2, $3)", socket.claims, group, seq)
                if self._acks.get(group) == seq:  # only now: this may be cut short when the socket ends
                    del self._acks[group]

    async def _expire(self) -> None:
        """End with the token's life; a token that came meanwhile has moved it."""
        while (left := self._expires - time.time()) > 0:  # noqa: ASYNC110 - it sleeps until then, no more
            await asyncio.sleep(left)
        raise ServiceError(401, "no_session")

    @staticmethod
    async def _fail(socket: Socket) -> None:
        raise await socket.outbox.failed

    async def _goodbye(self, error: ServiceError) -> None:
        if self._websocket.application_state is not WebSocketState.CONNECTED:
            return
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._websocket.send_text(frame("error", **error.body()))
                await self._websocket.close(1008)


def _checked(check: Any, value: object) -> Any:
    try:
        return check(value)
    except WireError as error:
        raise bad_request(str(error)) from None
