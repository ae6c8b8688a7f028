"""State in one SQLite file, for every place where Python has a disk.

One table holds all rows, `(tbl, key) -> value`. `file.connect` is the only place that opens the file, and where it
is encrypted. A file lock keeps a second process out, and a version that every transaction compares and raises shows
when somebody wrote all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

from sqlcipher3 import dbapi2 as sqlite3

from coterie.errors import StorageError, StorageLost
from coterie.ports import Changes, KeyWrap
from coterie.storage import check_changes, check_table, page_end
from coterie.storage.sqlite.file import connect, lock_of, migrate, transaction, typed_errors

T = TypeVar("T")

LOAD = "select key, value from rows where tbl = ? order by key"
PAGE = """select key, value from rows where tbl = :tbl and key >= :prefix and key < :end
          order by key desc limit :limit"""
PAGE_TO_END = """select key, value from rows where tbl = :tbl and key >= :prefix
                 order by key desc limit :limit"""
DELETE = "delete from rows where tbl = ? and key = ?"
PUT = "insert into rows values (?, ?, ?) on conflict (tbl, key) do update set value = excluded.value"


class SqliteStore:
    """A `Store` in the file `path`. Its work runs in a thread of its own: the event loop never waits."""

    def __init__(
        self, path: Path, lock: BinaryIO, db: sqlite3.Connection, thread: ThreadPoolExecutor
    ) -> None:
        self._path = path
        self._lock = lock
        self._db: sqlite3.Connection | None = db
        self._thread = thread
        self._file = _file_id(path)
        self._version = _version(db)

    @classmethod
    async def open(cls, path: Path, key_wrap: KeyWrap, *, journal_mode: str = "delete") -> SqliteStore:
        """Open or create the file, bring it to the newest layout, and keep it to oneself until `close`.

        The lock is taken before the key is asked for: whoever makes a key for a new file is alone. A file that is not
        encrypted yet is, when there is a key. Raises `StorageError`: `storage_in_use`, `storage_corrupt`,
        `storage_newer`, `storage_denied`, and what `key_wrap.key` raises.
        """
        thread = ThreadPoolExecutor(1, "coterie-storage")
        run = asyncio.get_running_loop().run_in_executor
        lock: BinaryIO | None = None
        try:
            lock = await run(thread, lock_of, path)
            key = await key_wrap.key()
            return await run(thread, cls._open, path, lock, key, journal_mode, thread)
        except BaseException:
            if lock is not None:
                lock.close()
            thread.shutdown(wait=False)
            raise

    @classmethod
    def _open(
        cls, path: Path, lock: BinaryIO, key: bytes | None, journal_mode: str, thread: ThreadPoolExecutor
    ) -> SqliteStore:
        with typed_errors():
            db = connect(path, key, journal_mode)
            try:
                migrate(db)
                return cls(path, lock, db, thread)
            except BaseException:
                db.close()
                raise

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def in_thread() -> T:
            if self._db is None:
                raise StorageError("storage_closed", "This device's storage was closed.")
            with typed_errors():
                return work(self._db)

        if self._db is None:
            raise StorageError("storage_closed", "This device's storage was closed.")
        return await asyncio.get_running_loop().run_in_executor(self._thread, in_thread)

    async def load(self, table: str) -> dict[bytes, bytes]:
        """As `ports.Store.load`."""
        check_table(table)
        return await self._run(lambda db: dict(db.execute(LOAD, (table,)).fetchall()))

    async def page(
        self, table: str, prefix: bytes, *, before: bytes | None, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """As `ports.Store.page`."""
        check_table(table)
        end = page_end(prefix, before)
        statement = PAGE_TO_END if end is None else PAGE
        wanted = {"tbl": table, "prefix": prefix, "end": end, "limit": max(limit, 0)}
        return await self._run(lambda db: db.execute(statement, wanted).fetchall()[::-1])

    async def commit(self, changes: Changes) -> None:
        """As `ports.Store.commit`. A transaction costs one or two flushes to the disk."""
        check_changes(changes)
        rows = [(table, key, value) for (table, key), value in changes.items()]
        if rows:
            await self._run(lambda db: self._write(db, lambda: _apply(db, rows)))

    async def clear(self) -> None:
        """As `ports.Store.clear`; `secure_delete` overwrites what was in the file."""
        await self._run(lambda db: self._write(db, lambda: db.execute("delete from rows")))

    def _write(self, db: sqlite3.Connection, work: Callable[[], object]) -> None:
        """One transaction that first makes sure that nobody else wrote since our last one."""
        if _file_id(self._path) != self._file:
            raise StorageLost(
                "storage_gone", "This device's data file was removed or replaced while it was in use."
            )
        with transaction(db):
            mine = db.execute("update writer set version = version + 1 where version = ?", (self._version,))
            if mine.rowcount != 1:
                raise StorageLost("storage_lost", "Another program has written to this device's data.")
            work()
        self._version += 1

    async def close(self) -> None:
        """Close the file and let go of it; safe to call twice."""

        def in_thread() -> None:
            if self._db is not None:
                self._db.close()
                self._db = None
                self._lock.close()

        if self._db is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, in_thread)
            self._thread.shutdown(wait=False)


def _apply(db: sqlite3.Connection, rows: list[tuple[str, bytes, bytes | None]]) -> None:
    db.executemany(DELETE, [(table, key) for table, key, value in rows if value is None])
    db.executemany(PUT, [row for row in rows if row[2] is not None])


def _version(db: sqlite3.Connection) -> int:
    found = db.execute("select version from writer").fetchone()
    if found is None:
        raise StorageError("storage_corrupt", "This device's data file is damaged.")
    return int(found[0])


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
