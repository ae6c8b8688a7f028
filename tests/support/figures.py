"""How much a run asks, and the figures that it leaves for the command that started it (`tools/authz.py`)."""

import json
import os
import random
from collections.abc import Iterable
from pathlib import Path

WHOLE = os.environ.get("WHOLE") == "1"
"""All of it; else a share that SEED chooses."""
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
_CHOICE = random.Random(SEED)  # noqa: S311 - which cases run is no secret


def share(cases: Iterable[str], size: int) -> list[str]:
    """All cases, or `size` of them (all, if there are fewer)."""
    every = sorted(cases)
    return every if WHOLE else _CHOICE.sample(every, min(size, len(every)))


def report(**figures: int) -> None:
    """Add to the file that FIGURES names, if it does."""
    name = os.environ.get("FIGURES")
    if name:
        with Path(name).open("a") as file:
            file.write(json.dumps(figures) + "\n")
