"""Gives the plays that it reads, a line of JSON each, and writes their records. It has no threads, because it forks."""

from __future__ import annotations

import json
import sys

from tests.torture.stage import warmed
from tests.torture.theatre import Billing, House, give


def main() -> None:
    """Arguments: the house. Lines: billings."""
    where = House(*sys.argv[1:])
    census: dict[str, list[int]] = {}
    with warmed():
        for line in sys.stdin:
            record = give(where, Billing(**json.loads(line)), census)
            print(json.dumps(record), flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
