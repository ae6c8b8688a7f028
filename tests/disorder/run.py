"""make disorder: random schedules over a bad network, and then many members at once against the real service.

    make disorder SEED=7 SCHEDULES=10000 ROUNDS=100 MEMBERS=50
    make disorder REPLAY=7:123        one schedule again, every act printed

Ends with one line of figures; exits 1 when one falls short.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.disorder import crowd, schedules
from tests.support.server import start_service

SLICE = 25
"""Schedules that a process takes at a time."""
SHOWN = 5
"""Failures that are printed and made short."""


def failures(seed: int, first: int, count: int) -> list[tuple[int, str]]:
    """The schedules of a slice that failed, and why."""
    found = ((number, schedules.failure(seed, number)) for number in range(first, first + count))
    return [(number, why) for number, why in found if why]


def disorder(seed: int, count: int) -> list[tuple[int, str]]:
    """All schedules, on all cores."""
    began, bad = time.monotonic(), list[tuple[int, str]]()
    with ProcessPoolExecutor() as pool:
        slices = [
            pool.submit(failures, seed, first, min(SLICE, count - first)) for first in range(0, count, SLICE)
        ]
        for done, one in enumerate(slices, 1):
            bad += one.result()
            if done % 20 == 0:
                print(f"{min(done * SLICE, count)} of {count}, {len(bad)} failed", flush=True)
    print(f"{count} schedules in {time.monotonic() - began:.0f} s")
    for number, why in bad[:SHOWN]:
        print(f"\nschedule {number}: {why}")
        print(f"shortest: {schedules.shortened(seed, number)}")
        print(f"again: make disorder REPLAY={seed}:{number}")
    return bad


def replay(wanted: str) -> int:
    """One schedule again, act by act."""
    seed, _, number = wanted.partition(":")
    play, schedule = schedules.Play(int(seed), int(number)), schedules.drawn(int(seed), int(number))
    for act, who in schedule:
        print(act, who, flush=True)
        play.do(act, who)
    play.settle()
    play.check()
    print(f"schedule {wanted}: all holds")
    return 0


async def contention(rounds: int, members: int, lines: int) -> crowd.Figures:
    """Both runs against a service of their own."""
    with tempfile.TemporaryDirectory() as folder, start_service(Path(folder), **crowd.UNPACED) as service:
        return await crowd.run(service.url, rounds=rounds, members=members, lines=lines)


def main() -> int:
    """All that the environment asks for."""
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of ids come in the same order again
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606
    if os.environ.get("REPLAY"):
        return replay(os.environ["REPLAY"])
    seed = int(os.environ.get("SEED") or secrets.randbelow(1_000_000))
    count = int(os.environ.get("SCHEDULES") or 10_000)
    rounds, members = int(os.environ.get("ROUNDS") or 100), int(os.environ.get("MEMBERS") or 50)
    print(f"SEED={seed} SCHEDULES={count} ROUNDS={rounds} MEMBERS={members}", flush=True)
    bad = disorder(seed, count)
    figures = asyncio.run(contention(rounds, members, 20))
    print(f"disorder: seed {seed}, {count} schedules, {len(bad)} failed; {figures}")
    return int(bool(bad) or not figures.hold)


if __name__ == "__main__":
    sys.exit(main())
