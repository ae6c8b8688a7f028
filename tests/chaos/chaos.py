"""Kill the service and Postgres and cut connections while people talk; then see that nothing is missing.

What happens is drawn by a seed. The next blow falls when so many messages more were acknowledged, so that every one
of them is also a test of recovery, and nothing here waits for a time.
"""

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from coterie_conformance.api import Device, Group
from coterie_conformance.world import Sizes, open_world
from edge_functions.postgres import EmbeddedPostgres
from tests.chaos.load import Reader, Sender, Tally
from tests.chaos.people import Person, agree, befriend
from tests.chaos.proxy import Proxy
from tests.support.deployments import UNLIMITED
from tests.support.server import Service

GROUPS, MEMBERS = 4, 3
RECOVERY_SECONDS = 60
"""A service that takes longer to acknowledge anything again has not recovered."""


@dataclass(slots=True)
class Outcome:
    """The figures of a run in which nothing was missing."""

    seed: int
    blows: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    retries: int = 0
    sockets: int = 0
    lines: int = 0

    def line(self) -> str:
        """For a person."""
        blows = ", ".join(f"{count} x {name}" for name, count in sorted(self.blows.items()))
        return (
            f"chaos: seed {self.seed}; {blows}; {self.messages} messages acknowledged after {self.retries} retries: "
            f"0 lost, 0 doubled, 0 gaps; readers came back {self.sockets} times; "
            f"{self.lines} encrypted lines, each shown once by both"
        )


class Blows:
    """What can happen to a service that runs on its own Postgres."""

    def __init__(self, service: Service, proxy: Proxy, dice: random.Random) -> None:
        self._service, self._proxy, self._dice = service, proxy, dice
        self._data = service.log.parent
        self.kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "connections cut": self._cut,
            "database connections ended": self._end_backends,
            "Postgres backend killed": self._kill_backend,
            "Postgres killed": self._kill_postgres,
            "service killed": self._kill_service,
        }

    async def _cut(self) -> None:
        self._proxy.cut(self._dice.choice((0.3, 1.0)), self._dice)

    async def _kill_service(self) -> None:
        await asyncio.to_thread(self._service.kill)
        await asyncio.to_thread(self._service.start)

    async def _kill_postgres(self) -> None:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it is down already
            pid = (self._data / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0]
            os.kill(int(pid), signal.SIGKILL)

    async def _kill_backend(self) -> None:
        """Postgres then ends all its connections and goes through its log."""
        with contextlib.suppress(ProcessLookupError):
            for pid in (await self._backends())[:1]:
                os.kill(pid, signal.SIGKILL)

    async def _end_backends(self) -> None:
        await self._backends("and pg_terminate_backend(pid)")

    async def _backends(self, condition: str = "") -> list[int]:
        """The service's connections; none while Postgres is away."""
        query = (
            f"select pid from pg_stat_activity where usename = 'coterie_api' {condition} order by random()"
        )
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(EmbeddedPostgres(self._data).url, timeout=5)
            try:
                return [row["pid"] for row in await connection.fetch(query)]
            finally:
                await connection.close()
        return []


async def run_chaos(folder: Path, *, seed: int, seconds: float, pace: int) -> Outcome:
    """Blows for so many seconds, each kind at least once; `pace`: about so many messages between two.

    Raises `AssertionError` or `Broken` when anything is lost, doubled, out of order, or does not come back.
    """
    dice = random.Random(seed)  # noqa: S311 - a schedule that can be repeated
    outcome = Outcome(seed)
    service = Service(folder, {**UNLIMITED, "COTERIE_LISTEN_RETRY_SECONDS": "0.05"})
    await asyncio.to_thread(service.start)
    try:
        proxy = Proxy(service.port)
        async with proxy as url, open_world(url, Sizes(seed=seed)) as world:
            groups = [await _group(world.guest) for _ in range(GROUPS)]
            ann, bob = Person("Ann"), Person("Bob")
            for one in (ann, bob):
                await one.open(url, folder)
            await befriend(ann, bob)
            blows = Blows(service, proxy, dice)
            await _talk(groups, (ann, bob), blows, dice, outcome, seconds=seconds, pace=pace)
            for one in (ann, bob):
                await one.client.close()
    except BaseException as error:
        errors = [line for line in service.log.read_text().splitlines() if '"level":"error"' in line]
        error.add_note("\n".join([f"seed {seed}; the service's last errors:", *errors[-5:]]))
        raise
    finally:
        service.close()
    return outcome


async def _group(guest: Callable[[], Awaitable[Device]]) -> tuple[Group, list[Device]]:
    """A group, everybody in it: seq 1."""
    members = [await guest() for _ in range(MEMBERS)]
    group = await members[0].create_group()
    await members[0].add(group, *members[1:])
    return group, members


async def _talk(
    groups: list[tuple[Group, list[Device]]],
    people: tuple[Person, Person],
    blows: Blows,
    dice: random.Random,
    outcome: Outcome,
    *,
    seconds: float,
    pace: int,
) -> None:
    tally, ended = Tally(), asyncio.Event()
    senders = [Sender(one, group, tally) for group, members in groups for one in members]
    readers = [Reader(one, group) for group, members in groups for one in members]
    async with asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(one.run()) for one in readers]
        talking = [tasks.create_task(one.run(ended)) for one in senders]
        talking += [tasks.create_task(one.talk(ended)) for one in people]
        await _strike(blows, dice, tally, outcome, seconds=seconds, pace=pace)
        ended.set()
        async with asyncio.timeout(RECOVERY_SECONDS):
            await asyncio.gather(*talking)
            await agree(*people)
            for group, _ in groups:
                await _complete(group, senders, readers)
        for task in reading:
            task.cancel()
    outcome.messages, outcome.retries = tally.acknowledged, tally.retries
    outcome.sockets = sum(one.sockets for one in readers)
    outcome.lines = sum(len(one.said) for one in people)


async def _strike(
    blows: Blows, dice: random.Random, tally: Tally, outcome: Outcome, *, seconds: float, pace: int
) -> None:
    """Every kind once in some order, then at random."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    waiting = dice.sample(sorted(blows.kinds), len(blows.kinds))
    while waiting or loop.time() < end:
        kind = waiting.pop() if waiting else dice.choice(sorted(blows.kinds))
        async with asyncio.timeout(RECOVERY_SECONDS):
            await tally.grown_by(dice.randint(1, 2 * pace))
            await blows.kinds[kind]()
            outcome.blows[kind] += 1
            await tally.grown_by(1)


async def _complete(group: Group, senders: list[Sender], readers: list[Reader]) -> None:
    """Each acknowledged message stands at its seq, once; every reader has read all, in order."""
    mine = [one for one in senders if one.group is group]
    told = {message: seq for one in mine for message, seq in one.acknowledged.items()}
    kept = await mine[0].device.envelopes(group, 1)
    assert [one["seq"] for one in kept] == list(range(2, len(kept) + 2)), "the seqs have a gap"
    assert {one["message_id"]: one["seq"] for one in kept} == told, (
        "what is kept is not what was acknowledged"
    )
    order = [one["message_id"] for one in kept]
    for reader in readers:
        if reader.group is group:
            while len(reader.read) < len(order):  # noqa: ASYNC110 - it has been told by nobody else
                await asyncio.sleep(0.01)
            assert reader.read == order, "a reader read something else"
