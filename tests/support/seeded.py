"""The binding with randomness that can be had again, so that what waits a random while waits as long in every run.

Keys and nonces are as ever: they are made inside the binding, and nothing that happens depends on them.
"""

from __future__ import annotations

import random
from typing import Any

import coterie_mls


class Seeded:
    """The module `coterie_mls`, but for `random_bytes`."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def __getattr__(self, name: str) -> Any:
        return getattr(coterie_mls, name)

    def random_bytes(self, length: int) -> bytes:
        """As the binding's, from the seed."""
        return self._rng.randbytes(length)
