"""State in memory: for tests, and for members that keep nothing."""

from __future__ import annotations

from collections.abc import Mapping

from coterie.errors import StorageError
from coterie.ports import TABLES, Changes, Row
from coterie.storage import check_changes, check_table, page_end


class MemoryStore:
    """A `Store` that lives as long as the process. `rows` is copied; `rows()` gives a copy back."""

    def __init__(self, rows: Mapping[Row, bytes] | None = None) -> None:
        self._tables: dict[str, dict[bytes, bytes]] | None = {table: {} for table in TABLES}
        initial = dict(rows or {})
        check_changes(initial)
        for (table, key), value in initial.items():
            self._open[table][key] = value

    @property
    def _open(self) -> dict[str, dict[bytes, bytes]]:
        if self._tables is None:
            raise StorageError("storage_closed", "This device's storage was closed.")
        return self._tables

    def rows(self) -> dict[Row, bytes]:
        """Everything in it: what a second `MemoryStore` needs to continue after a "restart"."""
        return {(table, key): value for table, rows in self._open.items() for key, value in rows.items()}

    async def load(self, table: str) -> dict[bytes, bytes]:
        """As `ports.Store.load`."""
        check_table(table)
        return dict(sorted(self._open[table].items()))

    async def page(
        self, table: str, prefix: bytes, *, before: bytes | None, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """As `ports.Store.page`."""
        check_table(table)
        end = page_end(prefix, before)
        found = sorted(
            (key, value)
            for key, value in self._open[table].items()
            if key.startswith(prefix) and (end is None or key < end)
        )
        return found[-limit:] if limit > 0 else []

    async def commit(self, changes: Changes) -> None:
        """As `ports.Store.commit`: all rows are checked before the first is written."""
        tables = self._open
        check_changes(changes)
        for (table, key), value in changes.items():
            if value is None:
                tables[table].pop(key, None)
            else:
                tables[table][key] = value

    async def clear(self) -> None:
        """As `ports.Store.clear`."""
        for rows in self._open.values():
            rows.clear()

    async def close(self) -> None:
        """Forget everything; further calls raise `StorageError` (`storage_closed`)."""
        self._tables = None
