"""The service at half load for an hour, watched for growth: `SECONDS=3600 python bench/service/soak.py`.

Ends with one line, and with 1 when memory, open files, connections or tables that should not grow have grown, when an
answer was no success, or when a message that was acknowledged is missing in the database or at a listener.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from statistics import median, quantiles

import psutil
from fan_out import Listening, listening
from load import Result, run, senders
from stage import Person, Service, Stage, body, open_stage

CONNECTIONS = 128
"""So many that an answer that takes long costs no share of the load."""
KEPT = 0.95
"""Of half load, at least: an hour at less shows less."""
GROUPS = 500
SOCKETS = 100
SAMPLES = 60
TABLES = """
select c.relname, pg_total_relation_size(c.oid) from pg_class c
where c.relnamespace = 'coterie'::regnamespace and c.relkind = 'r' and c.relname <> 'messages'
"""
CONNECTED = "select count(*) from pg_stat_activity where usename = 'coterie_api'"


@dataclass(frozen=True, slots=True)
class Growth:
    """What is watched, and how much more of it the last third of the run may have than the one before."""

    name: str
    times: float
    plus: float


WATCHED = (
    Growth("memory of the service, MiB", 1.05, 8),
    Growth("open files of the service", 1, 5),
    Growth("database connections", 1, 2),
    Growth("tables but messages, MiB", 1.1, 1),
)


async def sample(stage: Stage, service: Service) -> tuple[float, ...]:
    """The values of WATCHED now."""
    process = psutil.Process(service.pid)
    tables = await stage.query(TABLES)
    [connected] = await stage.query(CONNECTED)
    memory, size = process.memory_info().rss / 2**20, sum(row[1] for row in tables) / 2**20
    return (memory, float(process.num_fds()), float(connected[0]), size)


async def watch(stage: Stage, service: Service, seconds: float) -> list[tuple[float, ...]]:
    """Samples over this time, told as they are taken."""
    samples = []
    for number in range(SAMPLES):
        await asyncio.sleep(seconds / SAMPLES)
        samples.append(await sample(stage, service))
        if number % (SAMPLES // 6) == 0 or number == SAMPLES - 1:
            print(
                "  "
                + ", ".join(
                    f"{one.name} {value:.1f}" for one, value in zip(WATCHED, samples[-1], strict=True)
                )
            )
            sys.stdout.flush()
    return samples


def grown(samples: list[tuple[float, ...]]) -> list[str]:
    """What has grown, in words."""
    third = len(samples) // 3
    found = []
    for number, one in enumerate(WATCHED):
        before = median(values[number] for values in samples[third : 2 * third])
        after = median(values[number] for values in samples[2 * third :])
        if after > before * one.times + one.plus:
            found.append(f"{one.name} grew from {before:.1f} to {after:.1f}")
    return found


class Heard:
    """Up to which message of the hot group every listener has had all, in order and once."""

    def __init__(self, listeners: Listening) -> None:
        self._listeners = listeners
        self._last = 0
        self._until = 0
        self._reached = asyncio.Event()

    async def follow(self) -> None:
        """Read what the listeners say as they say it: they wait for nobody. Raises when one has missed something."""
        while True:
            await self._listeners.milliseconds(self._last + 1)
            self._last += 1
            if self._last == self._until:
                self._reached.set()

    async def until(self, last: int) -> None:
        """Wait until they have had this one."""
        self._until = last
        if self._last < last:
            await self._reached.wait()


async def soak(stage: Stage, seconds: float) -> tuple[str, list[str]]:
    """The figures, and what is wrong."""
    service = stage.service()
    hot_people, people = await stage.people(SOCKETS), await stage.people(GROUPS)
    *groups, hot = await stage.groups(*[[one] for one in people], hot_people)
    pairs: list[tuple[Person, str]] = list(zip(people, groups, strict=True))
    full = (await run(service.port, senders(pairs, body(), CONNECTIONS, min(5, seconds)))).rate()
    every = CONNECTIONS / (full / 2)
    print(
        f"  full load {full:,.0f} messages/s, half of it for {seconds:,.0f} s, one in 50 to {SOCKETS} sockets"
    )
    half = [
        pairs[number % GROUPS] if number % 50 else (hot_people[number // 50 % SOCKETS], hot)
        for number in range(5000)
    ]
    async with listening(service.port, hot_people) as listeners:
        before = await _count(stage)
        heard = Heard(listeners)
        async with asyncio.TaskGroup() as tasks:  # which ends all of it when one of them fails
            following = tasks.create_task(heard.follow())
            load = tasks.create_task(
                run(service.port, senders(half, body(), CONNECTIONS, seconds), every=every)
            )
            samples = await watch(stage, service, seconds)
            result: Result = await load
            [[last]] = await stage.query("select last_seq from coterie.group_seq where group_id = $1", hot)
            async with asyncio.timeout(60):
                await heard.until(last)
            following.cancel()
    wrong = grown(samples)
    if set(result.statuses) != {200}:
        wrong.append(f"answers by status: {dict(result.statuses)}")
    if result.statuses[200] / result.took < KEPT * full / 2:
        wrong.append(f"the load was {result.statuses[200] / result.took:,.0f}/s, not half of {full:,.0f}/s")
    if (stored := await _count(stage) - before) != result.statuses[200]:
        wrong.append(f"{result.statuses[200]} messages were acknowledged, {stored} are stored")
    ranks = quantiles(result.seconds, n=100)
    line = (
        f"{result.statuses[200]:,} messages in {result.took:,.0f} s ({result.statuses[200] / result.took:,.0f}/s), "
        f"answered in {ranks[49] * 1000:.0f} ms (p99 {ranks[98] * 1000:.0f}); "
        + ", ".join(f"{one.name} {value:.1f}" for one, value in zip(WATCHED, samples[-1], strict=True))
    )
    return line, wrong


async def _count(stage: Stage) -> int:
    [[number]] = await stage.query("select coalesce(sum(last_seq), 0)::bigint from coterie.group_seq")
    [[stored]] = await stage.query("select count(*) from coterie.messages")
    if stored != number:
        raise RuntimeError(f"The groups count {number} messages, {stored} are stored.")
    return int(stored)


def main() -> int:
    seconds = float(os.environ.get("SECONDS") or 3600)
    began = time.monotonic()
    with open_stage() as stage:
        line, wrong = asyncio.run(soak(stage, seconds))
    print(f"\nsoak ({time.monotonic() - began:.0f} s): {line}; {'; '.join(wrong) or 'no growth'}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
