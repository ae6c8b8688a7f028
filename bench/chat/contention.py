"""Many members of one group at once, on the real service: all commit in one epoch, all send while some are away.

    python bench/chat/contention.py [members] [rounds] [lines]

The clients share one process and its core, so the time is that of all their work together; the profile says whose
it is.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.disorder.crowd import UNPACED, Crowd  # noqa: E402
from tests.support.server import start_service  # noqa: E402

SHOWN = 12
"""Functions of a profile that are printed."""


def profiled(profile: cProfile.Profile, what: str) -> None:
    """The functions that took longest by themselves."""
    print(f"\n{what}: own seconds, calls, function")
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    longest = sorted(stats.items(), key=lambda entry: -entry[1][2])[:SHOWN]
    for (file, line, name), (_, calls, own, _, _) in longest:
        place = f"{Path(file).name}:{line} {name}" if line else name
        print(f"{own:8.2f} {calls:9d}  {place}")


async def measure(url: str, members: int, rounds: int, lines: int) -> None:
    """Print all figures."""
    crowd = Crowd(url, members)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(crowd.close)
        began = time.monotonic()
        await crowd.gather()
        print(f"{members} members in one group, by a link: {time.monotonic() - began:.1f} s")
        for what in ("plain", "profiled"):
            began, profile = time.monotonic(), cProfile.Profile()
            if what == "profiled":
                profile.enable()
            won = [await crowd.round(crowd.members) for _ in range(rounds)]
            profile.disable()
            each = (time.monotonic() - began) / rounds
            print(f"{what}: {rounds} rounds of {members} committing at once: {each:.2f} s a round,", end=" ")
            print(f"{sum(won)} with one winner, {crowd.forks} forks")
            if what == "profiled":
                profiled(profile, "rounds")
        began = time.monotonic()
        owed = len(crowd.owed)
        await crowd.carry_out()
        print(
            f"{owed} who had lost committed by themselves within {crowd.clock.shift / 1000:.0f} s of", end=" "
        )
        print(f"their clock, in {time.monotonic() - began:.1f} s of work")
        profile = cProfile.Profile()
        profile.enable()
        once, same, seconds = await crowd.talk(lines)
        profile.disable()
        print(f"{lines * members} lines at once, a fifth of the members away for half of it:", end=" ")
        print(
            f"{once} everywhere once, {'in one order' if same else 'ORDERS DIFFER'}, {seconds:.1f} s profiled"
        )
        profiled(profile, "lines")


def main() -> None:
    """With the numbers of the command line."""
    members, rounds, lines = ([int(word) for word in sys.argv[1:]] + [50, 20, 20][len(sys.argv) - 1 :])[:3]
    with tempfile.TemporaryDirectory() as folder, start_service(Path(folder), **UNPACED) as service:
        asyncio.run(measure(service.url, members, rounds, lines))


if __name__ == "__main__":
    main()
