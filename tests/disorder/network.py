"""A post office whose deliveries are late, out of order, twice, or never; what it promises in writing it keeps.

Each device has its envelopes in flight. What the stream loses can be fetched, in pages, unless it was dropped for good.
All that is random comes from one seed, so the same schedule happens again.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from coterie_wire import Envelope
from tests.support.device import Device
from tests.support.directory import Caller
from tests.support.post_office import PostOffice
from tests.support.seeded import Seeded

PAGE = 4
"""Envelopes in a page at most."""


def poisoned(envelope: Envelope) -> Envelope:
    """The same with other bytes."""
    return replace(envelope, mls_bytes=b"\xff" + (envelope.mls_bytes or b"")[1:])


class Network(PostOffice):
    """Orders and routes, and delivers badly."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng
        self.mls = Seeded(rng)
        self.flying: dict[str, list[Envelope]] = defaultdict(list)
        """By device: what is on its way."""
        self.sent_to: dict[str, int] = defaultdict(int)
        """By device: the last seq that was sent off."""
        self.dropped: set[tuple[str, int]] = set()
        """(device, seq) of messages that this device never gets."""
        self.altered: set[tuple[str, int]] = set()
        """(device, seq) of messages that this device gets with other bytes."""

    def new_id(self) -> str:
        """The id of a user or a device."""
        return str(UUID(bytes=self.rng.randbytes(16), version=4))

    def envelopes(self, caller: Caller, group_id: str, after: int) -> list[Envelope]:
        """What a device may have behind a seq, without what was dropped for good."""
        found = super().envelopes(caller, group_id, after)
        kept = [one for one in found if (caller.device_id, one.seq) not in self.dropped]
        return [poisoned(one) if (caller.device_id, one.seq) in self.altered else one for one in kept]

    # -- one thing that happens --

    def send_off(self, device: Device) -> None:
        """What is new gets on its way."""
        for group_id, cursor in device.engine.cursors().items():
            after = max(self.sent_to[device.device_id], cursor)
            for envelope in self.envelopes(device, group_id, after):
                self.flying[device.device_id].append(envelope)
                self.sent_to[device.device_id] = envelope.seq

    def stream(self, device: Device, how: str) -> None:
        """One envelope arrives, or is lost on its way: `next`, `any`, `twice` or `drop`."""
        self.send_off(device)
        flying = self.flying[device.device_id]
        if not flying:
            return
        place = 0 if how == "next" else self.rng.randrange(len(flying))
        envelope = flying[place]
        if how != "twice":
            del flying[place]
        if how != "drop":
            device.run(device.engine.receive(envelope, self.now))

    def spoil(self, device: Device, where: set[tuple[str, int]]) -> None:
        """A message of somebody else that is on its way is never to arrive as it was. (A commit is left: without it
        nothing more could be read.)
        """
        self.send_off(device)
        flying = self.flying[device.device_id]
        messages = [
            one for one in flying if one.kind == "application" and one.sender_device != device.device_id
        ]
        if messages:
            gone = messages[self.rng.randrange(len(messages))]
            flying.remove(gone)
            where.add((device.device_id, gone.seq))

    def again(self, device: Device) -> None:
        """Something that came before comes again."""
        for group_id, cursor in device.engine.cursors().items():
            old = [one for one in self.envelopes(device, group_id, 0) if one.seq <= cursor]
            if old:
                device.run(device.engine.receive(self.rng.choice(old), self.now))

    def page(self, device: Device, groups: Iterable[str]) -> None:
        """An answer of `get_messages`, and the word that this was all when it was."""
        for group_id in groups:
            cursor = device.engine.cursors().get(group_id)
            if cursor is None:
                continue
            behind = self.envelopes(device, group_id, cursor)
            for envelope in behind[:PAGE]:
                device.run(device.engine.receive(envelope, self.now, paged=True))
            if len(behind) <= PAGE:
                self.say_caught_up(device, group_id)

    def say_caught_up(self, device: Device, group_id: str) -> None:
        """The word that this device has all, true or not."""
        device.run(device.engine.caught_up(group_id, self.last_for(device, group_id), self.now))

    def last_for(self, device: Device, group_id: str) -> int:
        """The last seq that this device is to get, or has."""
        found = self.envelopes(device, group_id, 0)
        return max(
            found[-1].seq if found else 0, device.engine.cursors().get(group_id, 0) if not found else 0
        )

    def cut(self, device: Device) -> None:
        """The connection breaks: what was on its way is sent again over the next one."""
        self.flying[device.device_id].clear()
        self.sent_to[device.device_id] = 0
        device.engine.connection_lost()
