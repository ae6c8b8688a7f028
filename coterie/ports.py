"""What the client needs from the world, as Protocols; `storage/` and `transport/` fulfil them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Row = tuple[str, bytes]
"""A table's name and a key in it."""

Changes = Mapping[Row, bytes | None]
"""Rows to write; None deletes. One `Changes` is one transaction."""

TABLES = (
    "mls",  # the binding's rows: ratchets, keys; never synced, never restored
    "device",  # who this device is: session, ids, own name
    "groups",  # key: group UUID: MLS and delivery state of a group
    "chats",  # key: group UUID: what the user sees of it (name, read mark)
    "messages",  # key: group UUID ‖ seq (u64) ‖ index (u16): lines, in the order of the group
    "outbox",  # key: group UUID ‖ order (u64): what waits to be posted, as exact bytes
    "sent",  # key: message_id: what was accepted and has not come back yet
    "invites",  # key: invite_id
    "joins",  # key: join_id: own joins that wait
    "profiles",  # key: group UUID ‖ identity
    "seen",  # key: group UUID ‖ digest of something that happens once in a group
    "packages",  # key: KeyPackageRef: own key packages that others can claim
    "invitations",  # key: group UUID: Welcomes that were not asked for
    "contacts",  # key: identity: people of groups that are over, with their keys
    "leaves",  # key: group UUID ‖ leaf index (u32): when a member's keys were renewed
    "recent",  # key: group UUID ‖ digest of a sender (15) ‖ segment (u8): what came last, to be shown once
)
"""All tables of a device's state. Keys sort as bytes."""


class Store(Protocol):
    """This device's state. One writer; every method may be called from one task at a time."""

    async def load(self, table: str) -> dict[bytes, bytes]:
        """All rows of one table, in the order of their keys."""

    async def page(
        self, table: str, prefix: bytes, *, before: bytes | None, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """The last `limit` rows whose keys begin with `prefix` and lie below `before`, ascending."""

    async def commit(self, changes: Changes) -> None:
        """Write all of it or nothing, durable when it returns.

        Raises `StorageError` (`coterie.errors`): nothing was written; `StorageLost` when another writer has been here.
        """

    async def clear(self) -> None:
        """Delete every row, for sign-out."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer of the service, whatever its status."""

    status: int
    body: dict[str, Any] = field(repr=False)
    """What a sign-in answers has tokens."""


class Socket(Protocol):
    """An open `deliver` socket: JSON text frames, one dict each."""

    async def send(self, frame: dict[str, Any]) -> None:
        """Raises `Unreachable` when the socket is closed."""

    def frames(self) -> AsyncIterator[dict[str, Any]]:
        """Frames until the socket closes; then it ends, or raises `Unreachable`."""

    async def close(self) -> None: ...


class Transport(Protocol):
    """The way to the service. It knows URLs and tokens as they are handed to it, and nothing of MLS."""

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, token: str | None
    ) -> Answer:
        """One HTTP request to `<service><path>` with JSON.

        Raises `Unreachable` when no complete answer came: it is then unknown whether it was done.
        """

    async def connect(self) -> Socket:
        """Open `deliver`. Raises `Unreachable`."""

    async def close(self) -> None: ...


class Clock(Protocol):
    """Time, so that tests own it."""

    def now(self) -> int:
        """Milliseconds since 1970, UTC."""

    async def sleep(self, seconds: float) -> None: ...


class KeyWrap(Protocol):
    """Gives the key under which a store is opened; the one place where encryption at rest begins."""

    async def key(self) -> bytes | None:
        """32 bytes, or None for a store that is not encrypted."""
