"""What the core asks of the driver: rows to save, and effects to carry out once they are saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Row = tuple[str, bytes]
"""A table's name and a key in it (`coterie.ports.TABLES`)."""


@dataclass(frozen=True, slots=True)
class Show:
    """Tell the page: one event of docs/bridge.md."""

    event: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Drain:
    """A lane of the outbox may have something to post: a group's UUID (16 bytes), or `DEVICE_LANE`."""

    lane: bytes


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Fetch what follows the group's cursor."""

    group_id: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """All up to `seq` is saved."""

    group_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Call:
    """Call a function of the service once; its answer comes back to `Engine.answered`.

    It may be lost with a crash: it is asked again when its cause is seen again.
    """

    function: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MakePackages:
    """Call `Engine.make_packages` until it says that all are made, with pauses for other work."""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Call `Engine.tick` at `at` (milliseconds since 1970): sooner than it would be called anyway.

    It may be lost with a crash: the next tick sees the same.
    """

    at: int


Effect = Show | Drain | CatchUp | Acknowledge | Call | MakePackages | LookAgain

DEVICE_LANE = bytes(16)
"""The lane of own joins; UUID nil is never a group's."""
DIRECTORY_LANE = bytes(15) + b"\x01"
"""The lane of key packages, own devices and invitations: what waits there holds up neither a join nor a group."""


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction, and what to do after it. Doing it twice, or not at all after a crash, must be safe."""

    changes: dict[Row, bytes | None] = field(default_factory=dict, repr=False)
    effects: tuple[Effect, ...] = ()

    def without(self, kind: type[Effect]) -> Step:
        """The same without effects of a kind."""
        return Step(self.changes, tuple(effect for effect in self.effects if not isinstance(effect, kind)))
