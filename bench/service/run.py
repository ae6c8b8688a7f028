"""The service under load: `python bench/service/run.py [--small] [part …]`, all parts without names.

Every part runs on a durable Postgres of its own. Ends with one line of figures, and with 1 when one falls short.
`--small` runs everything once and short on one Postgres: it shows that the parts work, and judges nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import fan_out
import processes
import reads
import send
import sizes
from figures import Figure
from stage import open_stage

PARTS: dict[str, Callable[..., Coroutine[Any, Any, list[Figure]]]] = {
    "send": send.measure,
    "fan_out": fan_out.measure,
    "reads": reads.measure,
    "sizes": sizes.measure,
    "processes": processes.measure,
}
SMALL: dict[str, dict[str, Any]] = {
    "send": {"groups": 20, "rounds": 1, "seconds": 1},
    "fan_out": {"sockets": 30, "messages": 5, "seconds": 0.05},
    "reads": {"rounds": 1, "seconds": 1},
    "sizes": {"users": 20, "groups": 20, "seconds": 0.5},
    "processes": {"counts": (1, 2), "rounds": 1, "seconds": 0.5},
}


def main(words: list[str]) -> int:
    """Run what was named; the exit status."""
    small = "--small" in words
    names = [word for word in words if word != "--small"] or list(PARTS)
    if unknown := set(names) - set(PARTS):
        print(f"There is no part {', '.join(sorted(unknown))}; parts: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    with contextlib.ExitStack() as stack:
        shared = stack.enter_context(open_stage()) if small else None
        for name in names:
            print(f"\n=== {name}", flush=True)
            began = time.monotonic()
            with contextlib.nullcontext(shared) if shared else open_stage() as stage:
                measured = asyncio.run(PARTS[name](stage, **(SMALL[name] if small else {})))
            if small:
                measured = [replace(one, hold=None) for one in measured]
            for figure in measured:
                print(f"  {figure}")
            print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
            figures += measured
    return _told(figures)


def _told(figures: list[Figure]) -> int:
    """The line at the end, and the exit status."""
    judged = [one for one in figures if one.hold is not None]
    held = sum(one.holds for one in judged)
    print(f"\nload: {held} of {len(judged)} figures hold; {'; '.join(map(str, figures))}")
    return int(held < len(judged))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
