"""Alice writes, Bob reads, and every step is saved before it has effects: in CPython, and in the page's Python.

The service is the post office of the core's tests. Its work is not in the times.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from coterie.core.effects import Effect, Step
from coterie.core.engine import Engine
from coterie.core.records import group_key
from coterie.ports import Clock, Store
from coterie.turns import Turns
from coterie_wire import Envelope, parse_key_package
from tests.support.device import Device
from tests.support.friends import friends
from tests.support.post_office import PostOffice

T = TypeVar("T")

TEXT = "x" * 200

Cost = tuple[float, int]
"""Milliseconds, and bytes to the disk."""
Costs = dict[str, dict[str, list[Cost]]]
"""Of each message: by kind (sent, received) and by store (plain, sealed)."""


class PostOfficeClock(Clock):
    """The time at the post office."""

    def __init__(self, office: PostOffice) -> None:
        self._office = office

    def now(self) -> int:
        """Milliseconds since 1970, UTC."""
        return self._office.now

    async def sleep(self, seconds: float) -> None:
        """Let time pass there."""
        self._office.now += int(seconds * 1000)


class Person(Turns):
    """The core of one device over a store, as the client has it; what its turns cost is added up."""

    def __init__(self, office: PostOffice, device: Device, store: Store, written: Callable[[], int]) -> None:
        super().__init__(mls=office.mls, store=store, clock=PostOfficeClock(office), on_event=lambda _: None)
        self._office = office
        self._device = device
        self._written = written
        self._cost: Cost = (0, 0)

    async def begin(self, group_id: str) -> None:
        """Take over what the device has, and be up to date."""
        tables = self._device.rows.items()
        await self._store.commit({(table, key): row for table, rows in tables for key, row in rows.items()})
        await self._reload()
        await self._do(lambda engine, now: engine.caught_up(group_id, engine.cursors()[group_id], now))

    async def write(self, group_id: str) -> Cost:
        """One message: encrypted into the outbox, accepted, back as a line. What that took."""
        self._cost = (0, 0)
        await self._run(lambda engine, now: engine.send_text(group_id, TEXT, now))
        lane = group_key(group_id)
        while post := self._engine.next_post(lane):  # a commit follows when the leaf's keys are due
            await self._post(*post)
            await self._hear(group_id)
        return self._cost

    async def read(self, group_id: str) -> Cost:
        """One message: decrypted, a line. What that took."""
        self._cost = (0, 0)
        await self._hear(group_id)
        return self._cost

    async def lines(self) -> int:
        """How many lines of the conversation can be read from the store."""
        return sum(TEXT.encode() in row for row in (await self._store.load("messages")).values())

    async def _post(self, key: bytes, function: str, body: dict[str, Any]) -> None:
        status, answer = self._office.handle(self._device, function, body)
        if status != 200:
            raise RuntimeError(f"{function} was refused: {answer}")
        await self._do(lambda engine, now: engine.posted(key, status, answer, now))

    async def _hear(self, group_id: str) -> None:
        for envelope in self._office.envelopes(self._device, group_id, self._engine.cursors()[group_id]):
            await self._do(partial(_received, envelope))

    async def _run(self, work: Callable[[Engine, int], tuple[Step, T]]) -> T:
        written, began = self._written(), time.perf_counter()
        result = await super()._run(work)
        milliseconds = (time.perf_counter() - began) * 1000
        self._cost = (self._cost[0] + milliseconds, self._cost[1] + self._written() - written)
        return result

    def _begin(self, effect: Effect) -> None:
        """The conversation carries what goes out."""


def _received(envelope: Envelope, engine: Engine, now: int) -> Step:
    return engine.receive(envelope, now, paged=False)


class Conversation:
    """Two people in a group of their own."""

    def __init__(self, group_id: str, alice: Person, bob: Person) -> None:
        self._group_id = group_id
        self._alice = alice
        self._bob = bob
        self.sent: list[Cost] = []
        self.received: list[Cost] = []

    @classmethod
    async def begin(
        cls, open_store: Callable[[str], Awaitable[Store]], written: Callable[[], int], members: int = 2
    ) -> Conversation:
        """Over two new stores, opened by their names, in a group of so many."""
        office = PostOffice()
        group_id, devices = friends(office, "Alice", "Bob")
        fill(office, group_id, devices[0], members)
        alice, bob = [
            Person(office, device, await open_store(name), written)
            for device, name in zip(devices, ("Alice", "Bob"), strict=True)
        ]
        await alice.begin(group_id)
        await bob.begin(group_id)
        return cls(group_id, alice, bob)

    async def message(self) -> None:
        """One from Alice to Bob."""
        self.sent.append(await self._alice.write(self._group_id))
        self.received.append(await self._bob.read(self._group_id))

    async def end(self) -> None:
        """Raises `RuntimeError` unless all of it is in both stores."""
        found = await self._alice.lines(), await self._bob.lines()
        if found != (len(self.sent), len(self.sent)):
            raise RuntimeError(f"Of {len(self.sent)} lines the stores have {found}.")


def fill(office: PostOffice, group_id: str, alice: Device, members: int) -> None:
    """As many leaves as that, by further devices of Alice's that say nothing."""
    keys = []
    for _ in range(members - 2):
        device, device_id = office.mls.Backend.create(alice.user_id), office.new_id()
        device.bind_device(device_id)
        package = device.create_key_package().bytes
        office.enroll(device_id, alice.user_id)
        parsed = parse_key_package(package)
        office.enrolled[device_id].packages[parsed.ref] = parsed, package.hex()
        keys.append(device.identity_key.hex())
    if keys:
        alice.add(group_id, alice.user_id, keys)
        office.pump()
    count = len(alice.engine.open_group(group_id, [], newest=True)["members"])
    if count != members:
        raise RuntimeError(f"The group has {count} members instead of {members}.")


async def in_turn(plain: Conversation, sealed: Conversation, messages: int) -> Costs:
    """So many messages in both, in turn; what they cost."""
    pair = [plain, sealed]
    for _ in range(messages):
        for talk in pair:
            await talk.message()
        pair.reverse()  # whoever comes second may find the disk busy
    for talk in pair:
        await talk.end()
    return {
        "sent": {"plain": plain.sent, "sealed": sealed.sent},
        "received": {"plain": plain.received, "sealed": sealed.received},
    }
