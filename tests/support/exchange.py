"""Clients without a network: real `Client`s on a transport that goes to the post office, and a clock that tests own."""

from __future__ import annotations

import asyncio
import base64
import heapq
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import coterie_mls
from coterie.client import Client
from coterie.errors import Unreachable
from coterie.ports import Answer, Changes
from coterie.storage.memory import MemoryStore
from coterie_wire import uuid_bytes
from tests.support.post_office import OPEN, PostOffice

LIFE = 3_600
"""Seconds that an access token holds."""
GONE = Unreachable("unreachable", "The service can't be reached.")


async def settle() -> None:
    """Until every task waits for something that only the test brings."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    for _ in range(100_000):
        await asyncio.sleep(0)
        if not ready:
            return
    raise AssertionError("the tasks do not come to rest: something spins")


class ManualClock:
    """`ports.Clock` that stands still until it is told to go on."""

    def __init__(self, office: PostOffice) -> None:
        self._office = office
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._number = itertools.count()

    def now(self) -> int:
        return self._office.now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now() + int(seconds * 1000), next(self._number), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let time pass, from sleeper to sleeper."""
        await settle()
        end = self.now() + int(seconds * 1000)
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self._office.now = max(self._office.now, due)
            if not future.done():
                future.set_result(None)
                await settle()
        self._office.now = end
        await settle()


class FaultyStore(MemoryStore):
    """A store in memory that fails, or takes its time, when it is told to."""

    def __init__(self, rows: Mapping[Any, bytes] | None = None) -> None:
        super().__init__(rows)
        self.error: BaseException | None = None
        self.commits = 0
        self._holds: list[asyncio.Event] = []
        self._held: asyncio.Event | None = None

    @property
    def held(self) -> asyncio.Event | None:
        """While it is there, commits wait for it."""
        return self._held

    @held.setter
    def held(self, event: asyncio.Event | None) -> None:
        self._held = event
        self._holds += [event] if event else []

    def release(self) -> None:
        """Whatever is held goes on, so that a test that failed can end."""
        for event in self._holds:
            event.set()

    async def commit(self, changes: Changes) -> None:
        self.commits += 1
        if self.held:
            await self.held.wait()
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        await super().commit(changes)


class WireSocket:
    """`ports.Socket` to the exchange."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.ready = False
        self.sent: dict[str, int] = {}
        self.told: set[str] = set()
        self.caught_up: set[str] = set()
        self.acks: list[tuple[str, int]] = []
        self.mute = False
        """Dead without a word: nothing comes any more."""
        self.stock: dict[str, Any] = {}
        """What was last told of the stock of key packages."""

    async def send(self, frame: dict[str, Any]) -> None:
        if self.wire.socket is not self:
            raise GONE
        if frame["type"] == "hello":
            self.sent = dict(frame["cursors"])
            self.ready = frame["token"] in self.wire.tokens
            kind = {"type": "ready"} if self.ready else {"type": "error", "code": "no_session"}
            self.queue.put_nowait({"v": 1} | kind)
            if not self.ready:
                self.queue.put_nowait(None)
            self.wire.exchange.push()
        elif frame["type"] == "ping" and not self.mute:
            self._put({"type": "pong"})
        elif frame["type"] == "ack":
            self.acks.append((frame["group_id"], frame["seq"]))
            acked = self.wire.exchange.office.rooms[frame["group_id"]].acked
            acked[self.wire.device_id] = max(acked.get(self.wire.device_id, 0), frame["seq"])

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        while (frame := await self.queue.get()) is not None:
            yield frame
        raise GONE

    async def close(self) -> None:
        self.queue.put_nowait(None)
        if self.wire.socket is self:
            self.wire.socket = None

    def push(self) -> None:
        """What the device has not been sent yet."""
        office, wire = self.wire.exchange.office, self.wire
        for group_id in office.rooms:
            for envelope in office.envelopes(wire, group_id, self.sent.get(group_id, 0)):
                self.sent[group_id] = envelope.seq
                self._put({"type": "envelope", "envelope": envelope.to_json()})
            if group_id not in self.caught_up and wire.device_id in office.rooms[group_id].delivers:
                self.caught_up.add(group_id)
                last = min(self.sent.get(group_id, 0), len(office.rooms[group_id].envelopes))
                self._put({"type": "caught_up", "group_id": group_id, "seq": last})
        self._push_directory(office, wire)
        for join in office.pending(wire):
            if join["join_id"] not in self.told:
                self.told.add(join["join_id"])
                self._put({"type": "join_waiting", "join": join})
        for join_id, join in office.joins.items():
            if (
                join["device_id"] == wire.device_id
                and join["status"] not in OPEN
                and join_id not in self.told
            ):
                self.told.add(join_id)
                self._put({"type": "welcome"} | office.poll(join_id))

    def _push_directory(self, office: PostOffice, wire: Wire) -> None:
        for welcome in office.welcomes(wire):
            key = f"{welcome['group_id']} {welcome['seq']}"
            if key not in self.told:
                self.told.add(key)
                self._put({"type": "invitation"} | welcome)
        enrolled = office.enrolled.get(wire.device_id)
        if enrolled and enrolled.revoked:
            self._put({"type": "error", "code": "device_revoked", "message": "Revoked.", "error": "Revoked."})
            self.queue.put_nowait(None)
            return
        stock = office.stock(wire.device_id)
        if wire.publishes and stock["available"] < stock["refill_below"] and stock != self.stock:
            self.stock = stock
            self._put({"type": "key_packages_low"} | stock)

    def _put(self, frame: dict[str, Any]) -> None:
        if not self.mute:
            self.queue.put_nowait({"v": 1} | frame)


class Wire:
    """`ports.Transport` of one device."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.user_id = ""
        self.device_id = ""
        self.guest = True
        self.publishes = False
        """Whether the device is told that its key packages run low: most tests need none."""
        self.session_id = ""
        self.bound: set[str] = set()
        """Sessions that registered the device."""
        self.tokens: set[str] = set()
        self.refresh_tokens: set[str] = set()
        self.down = False
        self.sockets = True
        self.socket: WireSocket | None = None
        self.connects = 0
        self.held: dict[str, asyncio.Event] = {}
        """By path: requests wait for it before they are carried out."""
        self.answers: dict[str, Answer | Exception] = {}
        """By path: what is answered instead of carrying it out."""
        self.log: list[tuple[str, dict[str, Any]]] = []

    def posts(self, function: str) -> list[dict[str, Any]]:
        return [body for path, body in self.log if path == f"/functions/v1/{function}"]

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, token: str | None
    ) -> Answer:
        self.log.append((path, dict(body or {})))
        await asyncio.sleep(0)
        held = self.held.get(path)
        if held:
            await held.wait()
        if self.down:
            raise GONE
        scripted = self.answers.get(path)
        if isinstance(scripted, Exception):
            raise scripted
        if scripted:
            return scripted
        answer = self._auth(path, dict(body or {}), token)
        if answer is None and token not in self.tokens:
            return Answer(401, {"code": "no_session", "message": "Signed out."})
        answer = answer or self._function(path.rpartition("/")[2], json.loads(json.dumps(body)))
        self.exchange.push()
        await asyncio.sleep(0)
        return answer

    def _auth(self, path: str, body: dict[str, Any], token: str | None) -> Answer | None:
        if path == "/auth/v1/signup":
            self.user_id = str(uuid4())
            return self.new_session()
        if path.startswith("/auth/v1/token"):
            if body["refresh_token"] not in self.refresh_tokens:
                return Answer(400, {"error_code": "refresh_token_not_found", "msg": "Invalid Refresh Token"})
            self.refresh_tokens.discard(body["refresh_token"])
            return self._session()
        if path == "/auth/v1/logout?scope=local":
            known = token in self.tokens
            self.tokens.clear()
            self.refresh_tokens.clear()
            return Answer(204 if known else 401, {})
        return None

    def new_session(self) -> Answer:
        """What a sign-in gives: the user's next session, which no device has registered yet."""
        self.session_id = str(uuid4())
        return self._session()

    def _session(self) -> Answer:
        expires = self.exchange.office.now // 1000 + LIFE
        claims = json.dumps(
            {
                "session_id": self.session_id,
                "exp": expires,
                "is_anonymous": self.guest,
                "n": len(self.log) + len(self.tokens),
            }
        ).encode()
        access = f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.SECRET-access"
        refresh = f"SECRET-refresh-{uuid4()}"
        self.tokens.add(access)
        self.refresh_tokens.add(refresh)
        return Answer(200, {"access_token": access, "refresh_token": refresh, "user": {"id": self.user_id}})

    def _function(self, name: str, body: dict[str, Any]) -> Answer:
        if name == "device_register":
            self.device_id = self.device_id or str(uuid4())
            enrolled = self.exchange.office.enrolled.get(self.device_id)
            if enrolled and enrolled.revoked:
                return Answer(403, {"code": "device_revoked", "message": "Revoked."})
            self.exchange.office.enroll(self.device_id, self.user_id, body["name"])
            self.bound.add(self.session_id)
            return Answer(200, {"device_id": self.device_id, "user_id": self.user_id})
        if self.session_id not in self.bound:
            return Answer(403, {"code": "device_not_registered", "message": "Register."})
        return Answer(*self.exchange.office.handle(self, name, body))

    async def connect(self) -> WireSocket:
        self.connects += 1
        await asyncio.sleep(0)
        if self.down or not self.sockets:
            raise GONE
        self.socket = WireSocket(self)
        return self.socket

    def cut(self) -> None:
        """The socket breaks."""
        if self.socket:
            self.socket.queue.put_nowait(None)
            self.socket = None

    async def close(self) -> None:
        self.cut()


class Person:
    """A client and all that it stands on; `again` starts it anew on the same store."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.wire = Wire(exchange)
        self.store = FaultyStore()
        self.events: list[dict[str, Any]] = []
        self.client = self._client()

    def _client(self) -> Client:
        return Client(
            mls=coterie_mls,
            store=self.store,
            transport=self.wire,
            clock=self.exchange.clock,
            on_event=self.events.append,
            service_url="https://chat.example",
        )

    async def again(self) -> None:
        """Close and start: the same store, another process."""
        rows = self.store.rows()
        await self.client.close()
        self.store = FaultyStore(rows)
        self.client = self._client()
        await self.client.start()

    async def killed(self) -> None:
        """As `again`, but what is on the disk now is all that there is."""
        rows = self.store.rows()
        self.wire.down, before = True, self.wire.down
        await self.client.close()
        self.wire.down = before
        self.store = FaultyStore(rows)
        self.client = self._client()
        await self.client.start()

    def told(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == event]

    def problems(self) -> list[str]:
        return [one["code"] for one in self.told("problem")]

    async def texts(self, group_id: str) -> list[str]:
        opened = await self.client.open_group(group_id=group_id, limit=1000)
        return [line["text"] for line in opened["lines"] if line["kind"] == "text"]

    async def states(self, group_id: str) -> list[str]:
        opened = await self.client.open_group(group_id=group_id, limit=1000)
        return [line["state"] for line in opened["lines"] if line["mine"]]

    async def codes(self, group_id: str) -> list[str]:
        opened = await self.client.open_group(group_id=group_id, limit=1000)
        return [line["code"] for line in opened["lines"] if line["kind"] == "notice"]

    def rows(self, table: str) -> dict[bytes, bytes]:
        return {key: value for (name, key), value in self.store.rows().items() if name == table}


class Exchange:
    """The post office, its clock, and everybody's wires."""

    def __init__(self) -> None:
        self.office = PostOffice()
        self.clock = ManualClock(self.office)
        self.people: list[Person] = []

    def push(self) -> None:
        for person in self.people:
            socket = person.wire.socket
            if socket and socket.ready:
                socket.push()

    async def person(self, name: str) -> Person:
        """Somebody who has opened the page and chosen a name."""
        person = Person(self)
        self.people.append(person)
        await person.client.start()
        await person.client.set_name(name=name)
        return person

    async def friends(self, *names: str) -> tuple[str, list[Person]]:
        """A group of the first, joined by the others by a link."""
        people = [await self.person(name) for name in names]
        made = await people[0].client.create_group(name="Friends")
        await settle()
        if people[1:]:
            link = (await people[0].client.create_invite(group_id=made["group_id"]))["link"]
            for person, name in zip(people[1:], names[1:], strict=True):
                await person.client.join(link=link, name=name)
                await settle()
                if not person.wire.sockets:
                    await self.clock.advance(15)
        return str(made["group_id"]), people

    async def close(self) -> None:
        for person in self.people:
            person.store.release()
            await person.client.close()

    def envelope(self, group_id: str, seq: int) -> dict[str, Any]:
        return self.office.rooms[group_id].envelopes[seq - 1].to_json()


def lane(group_id: str) -> bytes:
    return uuid_bytes(group_id)
