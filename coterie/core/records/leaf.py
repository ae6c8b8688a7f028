"""Rows about the leaves of a group, apart from its ratchets."""

from __future__ import annotations

from dataclasses import dataclass

from coterie.core.records.base import Record, group_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf(Record):
    """When a leaf got its present keys, as far as a commit was seen here; written with that commit only."""

    TABLE = "leaves"
    group_id: str
    index: int
    """Leaf index (RFC 9420 section 7.7)."""
    renewed_at: int
    """The service's time of the commit, in milliseconds since 1970."""

    @property
    def key(self) -> bytes:
        return group_key(self.group_id) + self.index.to_bytes(4, "big")
