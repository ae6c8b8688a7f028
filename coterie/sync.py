"""Keeping up with the service: the `deliver` socket, and polling where there is none. Both feed one queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from coterie.errors import CoterieError, Refused, StorageError, StorageLost, Unreachable
from coterie.ports import Answer, Clock, Socket, Transport
from coterie_wire import MAX_INTEGER, Envelope, WireError, is_uuid

log = logging.getLogger("coterie")

RECONNECT = (0.2, 0.5, 1, 2, 3, 5, 5, 10)
"""Seconds before the next try to open the socket; the last one for ever."""
POLL_MESSAGES = (1, 1, 2, 3, 5)
"""Seconds between polls for messages while nothing comes."""
POLL_PENDING = 5
POLL_JOINS = 3
POLL_WELCOMES = 10
PING = 25
"""Seconds between pings: a connection that died without a word is found out, and held open by what lies between."""
PATIENCE = 10
"""Seconds in which something must come back."""
SOCKET_GRACE = 2
"""Seconds without a socket before polling begins."""


class Inbound(Protocol):
    """What the sync hands over to, and asks of, the client."""

    async def token(self) -> str: ...
    async def call(self, function: str, body: dict[str, Any]) -> Answer: ...
    async def cursors(self) -> dict[str, int]: ...
    def open_joins(self) -> list[str]: ...
    async def take_envelope(self, envelope: Envelope, *, after: int | None = None) -> None: ...
    async def take_welcome(self, answer: dict[str, Any]) -> None: ...
    async def take_joins(self, joins: list[Any]) -> None: ...
    async def take_invitations(self, welcomes: list[Any]) -> None: ...
    async def take_stock(self, stock: dict[str, Any]) -> None: ...
    async def device_revoked(self) -> None: ...
    def devices_changed(self) -> None: ...
    async def take_caught_up(self, group_id: str, seq: int) -> None: ...
    async def service_went_back(self, group_id: str, last_seq: int) -> None: ...
    def connection_lost(self) -> None: ...
    def connection_changed(self, state: str) -> None: ...
    def back_online(self) -> None: ...
    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...
    def problem(self, code: str, sentence: str) -> None: ...


class Sync:
    """One device's way in. `run` never ends by itself."""

    def __init__(self, inbound: Inbound, transport: Transport, clock: Clock) -> None:
        self._inbound = inbound
        self._transport = transport
        self._clock = clock
        self._socket: Socket | None = None
        self._ready = asyncio.Event()
        self._heard = 0
        """Frames that came, of whatever kind."""
        self._lost = asyncio.Event()
        self._lost.set()
        self._catching_up: dict[str, asyncio.Task[None]] = {}
        self._said: dict[str, int] = {}
        """The cursors in the present socket's `hello`."""
        self._wanted: set[str] = set()
        """Groups that something has asked to catch up since their last page was asked for."""
        self._failing = False
        """Whether the last turn could not be saved; said once."""
        self.state = "offline"

    async def run(self) -> None:
        """Socket and polling side by side; polling rests while the socket works."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_socket())
                tasks.create_task(self._keep_polling())
        finally:
            self.state = "offline"

    def _state(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._inbound.connection_changed(state)
            if state == "offline":
                self._inbound.connection_lost()
            else:
                self._inbound.back_online()

    # -- the socket --

    async def _keep_socket(self) -> None:
        failures = 0
        while True:
            unsaved = False
            try:
                await self._one_socket()
            except CoterieError as error:
                unsaved = isinstance(error, StorageError)
                self._trouble("the socket ended", error)
            finally:
                if self._ready.is_set():
                    self._inbound.connection_lost()
                failures = 0 if self._ready.is_set() and not unsaved else failures + 1
                self._ready.clear()
                self._lost.set()
                self._socket = None
            await self._clock.sleep(RECONNECT[min(failures, len(RECONNECT) - 1)])

    def _trouble(self, what: str, error: CoterieError) -> None:
        """Nothing that may pass ends the sync: it tries again. A lost storage does not pass."""
        if isinstance(error, StorageLost):
            raise error
        if isinstance(error, StorageError) and not self._failing:
            self._failing = True
            self._inbound.problem(error.code, error.sentence)
        if isinstance(error, Refused):  # of the session: nothing comes in without one
            self._state("offline")
        log.info("%s: %s", what, error.code)

    async def _one_socket(self) -> None:
        token = await self._inbound.token()
        socket = await self._transport.connect()
        try:
            self._said = await self._inbound.cursors()
            await socket.send({"v": 1, "type": "hello", "token": token, "cursors": self._said})
            await self._first(self._read(socket), self._keep_alive(socket))
        finally:
            await socket.close()

    async def _read(self, socket: Socket) -> None:
        async for frame in socket.frames():
            self._heard += 1
            await self._frame(socket, frame)

    async def _keep_alive(self, socket: Socket) -> None:
        """Raises `Unreachable` when nothing answers."""
        while True:
            await self._clock.sleep(PING)
            heard = self._heard
            await socket.send({"v": 1, "type": "ping"})
            await self._clock.sleep(PATIENCE)
            if self._heard == heard:
                raise Unreachable("silent", "The connection to the service is dead.")

    async def _frame(self, socket: Socket, frame: dict[str, Any]) -> None:
        match frame:
            case {"type": "ready"}:
                self._socket = socket
                self._lost.clear()
                self._ready.set()
                self._state("online")
                await self._look_around()
            case {"type": "envelope", "envelope": dict(envelope)}:
                await self._envelope(envelope)
            case {"type": "welcome"}:
                await self._inbound.take_welcome(frame)
            case {"type": "join_waiting", "join": dict(join)}:
                await self._inbound.take_joins([join])
            case {"type": "removed", "group_id": str(group_id)}:
                self.catch_up(group_id)
            case {"type": "error"}:
                log.info("the service closed the socket: %s", frame.get("code"))
                if frame.get("code") == "device_revoked":
                    await self._inbound.device_revoked()
            case _:
                await self._rarer_frame(frame)

    async def _rarer_frame(self, frame: dict[str, Any]) -> None:
        match frame:
            case {"type": "caught_up", "group_id": one, "seq": seq} if is_uuid(one) and _is_seq(seq):
                await self._caught_up(one, seq, self._said.get(one, 0))
            case {"type": "invitation"}:
                await self._inbound.take_invitations([frame])
            case {"type": "key_packages_low"}:
                await self._inbound.take_stock(frame)
            case {"type": "device_changed"}:
                self._inbound.devices_changed()
            case {"type": "caught_up"}:
                log.warning("a frame was ill-formed")

    async def _caught_up(self, group_id: str, last_seq: int, asked_after: int) -> None:
        """The service has nothing of a group beyond `last_seq`, and was asked for what follows `asked_after`."""
        if last_seq >= asked_after:
            await self._inbound.take_caught_up(group_id, last_seq)
            return
        await self._inbound.service_went_back(group_id, last_seq)
        await self.again()  # with cursors that the service has

    async def again(self) -> None:
        """End the socket: the service tells everything anew on the next one. Polling does that by itself."""
        if self._socket is not None:
            await self._socket.close()

    async def acknowledge(self, group_id: str, seq: int) -> None:
        """Tell the service what is saved; without a socket its copy just stays behind."""
        await self._send({"v": 1, "type": "ack", "group_id": group_id, "seq": seq})

    async def new_token(self, token: str) -> None:
        """Hand the live socket a fresh token."""
        await self._send({"v": 1, "type": "token", "token": token})

    async def _send(self, frame: dict[str, Any]) -> None:
        socket = self._socket
        if socket is not None:
            try:
                await socket.send(frame)
            except Unreachable:
                return  # the reader sees the same, and opens another socket

    async def _look_around(self) -> None:
        """What the socket may have missed before it was there."""
        for join_id in self._inbound.open_joins():
            await self._poll_join(join_id)
        if await self._inbound.cursors():
            await self._poll_pending()

    # -- polling --

    async def _keep_polling(self) -> None:
        while True:
            await self._lost.wait()
            await self._first(self._ready.wait(), self._clock.sleep(SOCKET_GRACE))
            if not self._ready.is_set():
                await self._first(self._ready.wait(), self._poll())

    @staticmethod
    async def _first(*waits: Coroutine[Any, Any, object]) -> None:
        """Until one of them ends; the others are cancelled, errors are raised."""
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _poll(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(self._poll_groups, POLL_MESSAGES))
            tasks.create_task(self._every(self._poll_pending, (POLL_PENDING,)))
            tasks.create_task(self._every(self._poll_joins, (POLL_JOINS,)))
            tasks.create_task(self._every(self._poll_welcomes, (POLL_WELCOMES,)))

    async def _every(self, poll: Callable[[], Awaitable[bool]], pauses: tuple[float, ...]) -> None:
        idle = 0
        while True:
            try:
                news = await poll()
            except Unreachable:
                news = False
                self._state("offline")
            except CoterieError as error:
                news = False
                self._trouble("a poll came to nothing", error)
            idle = 0 if news else idle + 1
            await self._clock.sleep(pauses[min(idle, len(pauses) - 1)])

    async def _ask(self, function: str, body: dict[str, Any]) -> Answer:
        """Call a function; that it answers is what "polling" means while there is no socket."""
        answer = await self._inbound.call(function, body)
        if not self._ready.is_set():
            self._state("polling")
        return answer

    async def _poll_groups(self) -> bool:
        cursors = await self._inbound.cursors()
        for group_id in cursors:
            await self._pages(group_id)
        return await self._inbound.cursors() != cursors

    async def _poll_pending(self) -> bool:
        if not await self._inbound.cursors():
            return False
        answer = await self._ask("invite_pending", {})
        joins = answer.body.get("joins")
        if isinstance(joins, list) and joins:
            await self._inbound.take_joins(joins)
            return True
        return False

    async def _poll_welcomes(self) -> bool:
        answer = await self._ask("welcomes_list", {})
        welcomes = answer.body.get("welcomes")
        if isinstance(welcomes, list) and welcomes:
            await self._inbound.take_invitations(welcomes)
        return False

    async def _poll_joins(self) -> bool:
        for join_id in self._inbound.open_joins():
            await self._poll_join(join_id)
        return False

    async def _poll_join(self, join_id: str) -> None:
        answer = await self._ask("invite_poll", {"join_id": join_id})
        if answer.status < 300:
            await self._inbound.take_welcome(answer.body)

    # -- catching up --

    def catch_up(self, group_id: str) -> None:
        """Fetch pages of a group until there is nothing after its cursor."""
        self._wanted.add(group_id)
        running = self._catching_up.get(group_id)
        if running is None or running.done():
            self._catching_up[group_id] = self._inbound.spawn(self._catch_up(group_id))

    async def _catch_up(self, group_id: str) -> None:
        for pause in RECONNECT:
            try:
                while group_id in self._wanted:
                    self._wanted.discard(group_id)
                    await self._pages(group_id)
            except CoterieError as error:
                self._wanted.add(group_id)
                self._trouble("catching up waits", error)
            else:
                return
            await self._clock.sleep(pause)

    async def _pages(self, group_id: str) -> None:
        while (after := (await self._inbound.cursors()).get(group_id)) is not None:
            answer = await self._ask("get_messages", {"group_id": group_id, "after": after})
            if answer.status >= 500:
                raise Unreachable("unavailable", "The service could not answer.")
            envelopes = answer.body.get("envelopes")
            if answer.status >= 300 or not isinstance(envelopes, list):
                return
            if not envelopes:
                told: Any = answer.body.get("last_seq")
                await self._caught_up(group_id, told if _is_seq(told) else after, after)
                return
            for envelope in envelopes:
                await self._envelope(envelope, after)
            if (await self._inbound.cursors()).get(group_id) == after:
                return  # nothing in the page was of use

    async def _envelope(self, raw: Any, after: int | None = None) -> None:
        try:
            envelope = Envelope.from_json(raw)
        except WireError as error:
            log.warning("an envelope was ill-formed: %s", error.code)
            return
        await self._inbound.take_envelope(envelope, after=after)
        self._failing = False


def _is_seq(value: Any) -> bool:
    """Whether a group's log can end there."""
    return type(value) is int and 0 <= value <= MAX_INTEGER
