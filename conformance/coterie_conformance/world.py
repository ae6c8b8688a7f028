"""What every check is given: the deployment, devices on it, and the sizes of this run."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx

from coterie_conformance.api import Device, Group
from coterie_conformance.catalog import NotAsked
from coterie_conformance.service import Place
from coterie_conformance.volley import Volley

_SIGN_INS_AT_ONCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large a run is. The full one is what issue and release ask for; a small one fits into a test run."""

    rounds: int = 100
    """Rounds of the commit race."""
    committers: int = 1000
    """Committers in each."""
    racers: int = 100
    """Racers in the other races."""
    messages: int = 200
    """Messages in checks of order."""
    patience: float = 15.0
    """Seconds that a check may wait for something to lapse."""
    seed: int = 1


@dataclass(slots=True)
class World:
    """One deployment under test."""

    place: Place
    sizes: Sizes
    volley: Volley
    random: random.Random
    notes: list[str] = field(default_factory=list)
    """Figures of the check that runs now."""
    _crowd: list[Device] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Say a figure."""
        self.notes.append(text)

    async def guest(self) -> Device:
        """A new guest with a device."""
        return await Device.guest(self.place)

    async def guests(self, count: int) -> list[Device]:
        """New ones."""
        return [await self.guest() for _ in range(count)]

    async def crowd(self, count: int) -> list[Device]:
        """Many guests, the same ones for every check that asks: they come to groups of their own."""
        gate = asyncio.Semaphore(_SIGN_INS_AT_ONCE)

        async def one() -> Device:
            async with gate:
                return await self.guest()

        missing = max(0, count - len(self._crowd))
        self._crowd += await asyncio.gather(*(one() for _ in range(missing)))
        return self._crowd[:count]

    async def couple(self) -> tuple[Device, Device, Group]:
        """Two devices in one group: epoch 1, seq 1."""
        alice, bob = await self.guests(2)
        group = await alice.create_group()
        await alice.add(group, bob)
        return alice, bob, group

    async def wait_for(self, seconds: float, what: str) -> None:
        """Wait until something has lapsed. Raises `NotAsked` when that takes longer than this run is willing to."""
        if seconds > self.sizes.patience:
            raise NotAsked(
                f"{what} lasts {seconds:.0f} s here, and --patience is {self.sizes.patience:.0f} s"
            )
        await asyncio.sleep(max(0.0, seconds))


@contextlib.asynccontextmanager
async def open_world(
    url: str, sizes: Sizes, *, auth_url: str | None = None, apikey: str | None = None
) -> AsyncIterator[World]:
    """A deployment by its address: functions under /functions/v1, and, unless given, identity under /auth/v1."""
    url = url.rstrip("/")
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=2)
    async with httpx.AsyncClient(timeout=60, limits=limits) as http, Volley() as volley:
        auth = (auth_url or f"{url}/auth/v1").rstrip("/")
        place = Place(http, f"{url}/functions/v1", auth, apikey)
        yield World(place, sizes, volley, random.Random(sizes.seed))  # noqa: S311 - a schedule that can be repeated
