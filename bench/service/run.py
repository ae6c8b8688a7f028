"""The service under load: `python bench/service/run.py [part …]`, all parts without arguments.

Every part runs on a durable Postgres of its own. Ends with one line of figures, and with 1 when one falls short.
"""

from __future__ import annotations

import asyncio
import sys
import time

import fan_out
import processes
import reads
import send
import sizes
from figures import Figure
from stage import open_stage

PARTS = {
    "send": send.measure,
    "fan_out": fan_out.measure,
    "reads": reads.measure,
    "sizes": sizes.measure,
    "processes": processes.measure,
}


def main(names: list[str]) -> int:
    """Run what was named; the exit status."""
    unknown = set(names) - set(PARTS)
    if unknown:
        print(f"There is no part {', '.join(sorted(unknown))}; parts: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name in names or PARTS:
        print(f"\n=== {name}", flush=True)
        began = time.monotonic()
        with open_stage() as stage:
            measured = asyncio.run(PARTS[name](stage))
        for figure in measured:
            print(f"  {figure}")
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
        figures += measured
    short = [one for one in figures if not one.holds]
    print(
        f"\nload: {len(figures) - len(short)} of {len(figures)} figures hold; "
        + "; ".join(map(str, short or figures))
    )
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
