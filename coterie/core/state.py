"""What the engine holds in memory, and the turn in which it changes: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from coterie.core.effects import Effect, Row, Show, Step
from coterie.core.mls import Backend, Mls
from coterie.core.records import (
    DEVICE_KINDS,
    IN_MEMORY,
    Chat,
    Group,
    Line,
    Outgoing,
    Record,
    Session,
    corrupt,
)
from coterie.errors import StateError

R = TypeVar("R", bound=Record)

HELD = {kind.TABLE for kind in IN_MEMORY} | {"device"}


@dataclass(slots=True)
class SetAside:
    """What is left of a group whose rows do not read back."""

    mls_id: bytes = b""
    """Empty where the row that said it is the damaged one."""
    rows: list[Row] = field(default_factory=list)
    """What makes place when the group is entered anew, or forgotten."""
    waiting: list[Outgoing] = field(default_factory=list)
    """Of these rows, what waited to be sent."""
    whole: bool = False
    """All that is stored reads back, and the next start finds it."""


class State:
    """Records by table and key."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[bytes, Record]] = {table: {} for table in HELD}
        self.set_aside: dict[bytes, SetAside] = {}
        """Groups (by UUID) whose rows do not read back: of them this device has the lines alone."""
        self.missing: list[str] = []
        """Tables of the other rows that do not."""

    @classmethod
    def load(cls, rows: Mapping[str, Mapping[bytes, bytes]]) -> State:
        """From the stored rows of each table. Raises `StorageError` (`corrupt_row`)."""
        state = cls()
        for kind in IN_MEMORY:
            for key, value in rows.get(kind.TABLE, {}).items():
                state.tables[kind.TABLE][key] = read(kind, key, value)
        for key, value in rows.get("device", {}).items():
            state.tables["device"][key] = read(DEVICE_KINDS.get(key, Session), key, value)
        return state


def read(kind: type[R], key: bytes, value: bytes) -> R:
    """The record in a stored row. Raises `StorageError` (`corrupt_row`), also when it lies under another's key."""
    record = kind.decode(value)
    try:
        if record.key == key:
            return record
    except (ValueError, OverflowError):
        pass
    raise corrupt(kind.TABLE)


class Turn:
    """One change of the state: reads see what it wrote, and nobody else does before `finish`."""

    def __init__(self, state: State, mls: Mls, backend: Backend | None, now: int) -> None:
        self.state = state
        self.mls = mls
        self.now = now
        """Milliseconds since 1970."""
        self._backend = backend
        self._written: dict[Row, Record | None] = {}
        self._effects: list[Effect] = []

    @property
    def backend(self) -> Backend:
        """This device's MLS state. Raises `StateError` (`no_device`) before it is registered."""
        if self._backend is None:
            raise StateError("no_device", "This device is not registered yet.")
        return self._backend

    @property
    def identity(self) -> str:
        """`user_id#device_id` of this device; empty before it is registered."""
        backend = self._backend
        return f"{backend.user_id}#{backend.device_id}" if backend and backend.device_id else ""

    def get(self, kind: type[R], key: bytes) -> R | None:
        """A record, or None."""
        row = (kind.TABLE, key)
        found = self._written[row] if row in self._written else self.state.tables[kind.TABLE].get(key)
        return found if isinstance(found, kind) else None

    def rows(self, kind: type[R], prefix: bytes = b"") -> list[R]:
        """All records of a kind whose keys begin with `prefix`, in the order of their keys."""
        held = self.state.tables[kind.TABLE]
        keys = {key for key in held if key.startswith(prefix)}
        keys |= {key for table, key in self._written if table == kind.TABLE and key.startswith(prefix)}
        found = (self.get(kind, key) for key in sorted(keys))
        return [record for record in found if record is not None]

    def put(self, record: Record) -> None:
        """Write a record."""
        self._written[record.TABLE, record.key] = record

    def delete(self, record: Record) -> None:
        """Remove a record's row."""
        self._written[record.TABLE, record.key] = None

    def delete_all(self, kinds: Iterable[type[Record]], prefix: bytes) -> None:
        """Remove the rows of these kinds whose keys begin with `prefix`."""
        for kind in kinds:
            for record in self.rows(kind, prefix):
                self.delete(record)

    def delete_key(self, table: str, key: bytes) -> None:
        """Remove a row that is not held in memory."""
        self._written[table, key] = None

    def do(self, effect: Effect) -> None:
        """Carry this out after the save; the same effect twice is one."""
        if effect not in self._effects:
            self._effects.append(effect)

    def show(self, event: str, **fields: Any) -> None:
        """Tell the page (docs/bridge.md)."""
        self._effects.append(Show({"event": event, **fields}))

    def finish(self) -> Step:
        """Take the turn into the state; what to save and do. When it raises, nothing was taken."""
        changes = {row: None if record is None else record.encode() for row, record in self._written.items()}
        if self._backend is not None:
            changes |= {("mls", key): value for key, value in self._backend.take_changes().items()}
        for (table, key), record in self._written.items():
            if table != Line.TABLE:
                self._hold(table, key, record)
            if (table == Group.TABLE and record) or (isinstance(record, Chat) and record.deleted):
                self.state.set_aside.pop(key, None)  # entered anew, or forgotten
        return Step(changes, tuple(self._effects))

    def _hold(self, table: str, key: bytes, record: Record | None) -> None:
        if record is None:
            self.state.tables[table].pop(key, None)
        else:
            self.state.tables[table][key] = record
