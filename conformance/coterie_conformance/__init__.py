"""The promises of Coterie's delivery service as checks over HTTP and WebSocket, for any deployment by its address."""

import coterie_conformance.checks as _registers_them  # noqa: F401
from coterie_conformance.catalog import CHECKS, Broken, Check, NotAsked
from coterie_conformance.runner import Result, Verdict, run
from coterie_conformance.world import Sizes, World, open_world

__all__ = [
    "CHECKS",
    "Broken",
    "Check",
    "NotAsked",
    "Result",
    "Sizes",
    "Verdict",
    "World",
    "open_world",
    "run",
]
