"""State of this device: providers of `coterie.ports.Store`, strangers to one another.

What all of them owe to the contract is here: which rows they take, and the last key of a prefix.
"""

from __future__ import annotations

from coterie.errors import StorageError
from coterie.ports import TABLES, Changes


def check_table(table: str) -> None:
    """Raise `StorageError` (`bad_row`) for a table that is not in `ports.TABLES`."""
    if table not in TABLES:
        raise StorageError("bad_row", f"There is no table {table!r} in this device's storage.")


def check_changes(changes: Changes) -> None:
    """Raise `StorageError` (`bad_row`) unless tables are known, keys bytes and values bytes or None.

    Called before anything is written, so that a wrong row is refused by every provider alike.
    """
    for (table, key), value in changes.items():
        check_table(table)
        if not isinstance(key, bytes):
            raise StorageError("bad_row", f"A key of table {table!r} is not bytes.")
        if value is not None and not isinstance(value, bytes):
            raise StorageError("bad_row", f"A value of table {table!r} is not bytes.")


def end_of(prefix: bytes) -> bytes | None:
    """The smallest key above all that begin with `prefix`; None when there is none (empty, or all 0xff)."""
    body = prefix.rstrip(b"\xff")
    return body[:-1] + bytes([body[-1] + 1]) if body else None


def page_end(prefix: bytes, before: bytes | None) -> bytes | None:
    """The exclusive upper end of a page: the lower of `before` and the end of `prefix`; None for no end."""
    end = end_of(prefix)
    if before is None or end is None:
        return before if end is None else end
    return min(before, end)
