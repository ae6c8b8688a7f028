"""Several processes on one Postgres: sends per second, and what is busy while they run."""

from __future__ import annotations

import asyncio
import os
import time

import asyncpg
import psutil
from figures import Figure
from load import Result, run, senders
from stage import Service, Stage, body

CONNECTIONS = 32


async def measure(
    stage: Stage, *, counts: tuple[int, ...] = (1, 2, 4), rounds: int = 5, seconds: float = 3
) -> list[Figure]:
    """Sends over 1,000 groups. All processes listen, whether they get requests or not: hearing is part of the cost."""
    services = [stage.service()]
    people = await stage.people(1000)
    groups = await stage.groups(*[[person] for person in people])
    pairs = list(zip(people, groups, strict=True))
    text = body()
    rates: dict[int, list[float]] = {count: [] for count in counts}
    busy: dict[int, str] = {}
    for count in counts:
        while len(services) < count:
            services.append(stage.service())
    for _ in range(rounds):
        for count in counts:
            before = _cpu(services[:count])
            began = time.perf_counter()
            results: list[Result] = await asyncio.gather(
                *(
                    run(one.port, senders(pairs[number::count], text, CONNECTIONS // count, seconds))
                    for number, one in enumerate(services[:count])
                )
            )
            took = time.perf_counter() - began
            rates[count].append(sum(result.rate() for result in results))
            used = {name: (value - before[name]) / took for name, value in _cpu(services[:count]).items()}
            busy[count] = ", ".join(f"{name} {value:.2f}" for name, value in used.items())
    print(f"  cores used in the last round, of {os.cpu_count()} that the load shares:")
    for count in counts:
        print(
            f"    {count} processes: {', '.join(f'{rate:,.0f}' for rate in rates[count])} /s; {busy[count]}"
        )
    notify = await _notify(stage)
    return [
        *(
            Figure.ratio(f"send, {count} processes / one", rates[count], rates[counts[0]])
            for count in counts[1:]
        ),
        Figure(f"NOTIFY alone, {len(services)} processes listening", notify, " /s"),
    ]


def _cpu(services: list[Service]) -> dict[str, float]:
    """Seconds of processor time so far."""
    postgres = next(
        parent
        for one in psutil.process_iter(["name"])
        if one.info["name"] == "postgres" and (parent := one).ppid() == os.getpid()
    )
    family = [postgres, *postgres.children()]
    return {
        "service": sum(_seconds(psutil.Process(one.pid)) for one in services),
        "Postgres": sum(_seconds(one) for one in family),
        "load": time.process_time(),
    }


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0
    return float(times.user + times.system)


async def _notify(stage: Stage, count: int = 5000) -> float:
    """Announcements per second of one connection, each in a transaction of its own, nothing written."""
    connection = await asyncpg.connect(stage.url)
    try:
        began = time.perf_counter()
        for number in range(count):
            await connection.execute("select pg_notify('coterie', $1)", f"{'0' * 36}:{number + 1}")
        return count / (time.perf_counter() - began)
    finally:
        await connection.close()
