"""What a row is: its place, its spelling, and what user data carries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from functools import cache
from typing import Any, ClassVar, Self
from uuid import UUID

import cbor2

from coterie.errors import StorageError

VERSION = 1
_TYPES: dict[str, type] = {"int": int, "str": str, "bytes": bytes, "bool": bool, "list": list, "dict": dict}
"""What a field may be annotated with, and what its value is then, exactly."""


def corrupt(table: str) -> StorageError:
    """A stored row does not read back."""
    return StorageError("corrupt_row", f"A row of the table “{table}” cannot be read.")


@cache  # a start reads some thousand fields
def _type_of(annotation: str) -> type | None:
    return _TYPES.get(annotation.partition("[")[0])


def group_key(group_id: str) -> bytes:
    """A group's UUID as 16 bytes."""
    return UUID(group_id).bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A row: where it lies, and how it is spelled."""

    TABLE: ClassVar[str]

    @property
    def key(self) -> bytes:
        raise NotImplementedError

    def encode(self) -> bytes:
        """The row's value."""
        return cbor2.dumps([VERSION, *(getattr(self, one.name) for one in fields_of(self))])

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """The record that `value` spells. Raises `StorageError` (`corrupt_row`)."""
        try:
            version, *values = cbor2.loads(value)
            fields = fields_of(cls)
            pairs = list(zip(fields, values, strict=False))
            fits = all(type(found) is _type_of(str(one.type)) for one, found in pairs)
            if version == VERSION and len(values) <= len(fields) and fits:
                return cls(**{one.name: found for one, found in pairs})
        except (cbor2.CBORDecodeError, ValueError, TypeError):
            pass
        raise corrupt(cls.TABLE)

    def with_(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow(Record):
    """A row of user data: `id` is a UUID, `rev` rises with every change, `modified_at` is in milliseconds."""

    id: str
    rev: int
    modified_at: int
    deleted: bool = False

    def changed(self, now: int, **changes: Any) -> Self:
        """A copy with some fields changed, the next revision."""
        return replace(self, rev=self.rev + 1, modified_at=now, **changes)
