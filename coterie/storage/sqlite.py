"""State in one SQLite file, for every place where Python has a disk.

One table holds all rows, `(tbl, key) -> value`. `connect` is the only place that opens the file; encryption
of the whole file (SQLCipher) takes its place there and nowhere else. A file lock keeps a second process out,
and a version that every transaction compares and raises shows when somebody wrote all the same.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from coterie.errors import StorageError, StorageLost
from coterie.ports import Changes, KeyWrap
from coterie.storage import check_changes, check_table, page_end

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

T = TypeVar("T")

APPLICATION_ID = 0x436F7465  # "Cote": marks the file as ours in its header

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (  # 0 -> 1: the first layout
        f"pragma application_id = {APPLICATION_ID}",
        """create table rows (
             tbl text not null, key blob not null, value blob not null, primary key (tbl, key)
           ) without rowid""",
        "create table writer (one integer primary key check (one = 1), version integer not null)",
        "insert into writer values (1, 0)",
    ),
)
"""Entry n leads from version n to n + 1, in one transaction. Entries never change once released."""

LOAD = "select key, value from rows where tbl = ? order by key"
PAGE = """select key, value from rows where tbl = :tbl and key >= :prefix and key < :end
          order by key desc limit :limit"""
PAGE_TO_END = """select key, value from rows where tbl = :tbl and key >= :prefix
                 order by key desc limit :limit"""
DELETE = "delete from rows where tbl = ? and key = ?"
PUT = "insert into rows values (?, ?, ?) on conflict (tbl, key) do update set value = excluded.value"

CAUSES = {
    "SQLITE_FULL": ("storage_full", "There is no space left for this device's data."),
    "SQLITE_NOTADB": ("storage_corrupt", "This device's data file is damaged or is not one of Coterie."),
    "SQLITE_CORRUPT": ("storage_corrupt", "This device's data file is damaged."),
    "SQLITE_READONLY": ("storage_denied", "This device's data file can't be written to."),
    "SQLITE_PERM": ("storage_denied", "This device's data file can't be opened: permission denied."),
    "SQLITE_CANTOPEN": ("storage_denied", "This device's data file can't be opened."),
    "SQLITE_BUSY": ("storage_in_use", "Another program is using this device's data file."),
}


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

        Raises `StorageError`: `storage_in_use`, `storage_corrupt`, `storage_newer`, `storage_denied`,
        `no_cipher`.
        """
        key = await key_wrap.key()
        thread = ThreadPoolExecutor(1, "coterie-storage")
        try:
            return await asyncio.get_running_loop().run_in_executor(
                thread, cls._open, path, key, journal_mode, thread
            )
        except BaseException:
            thread.shutdown(wait=False)
            raise

    @classmethod
    def _open(
        cls, path: Path, key: bytes | None, journal_mode: str, thread: ThreadPoolExecutor
    ) -> SqliteStore:
        with _typed_errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = take_lock(path.with_name(path.name + ".lock"))
            db = None
            try:
                db = connect(path, key, journal_mode)
                migrate(db)
                return cls(path, lock, db, thread)
            except BaseException:
                if db is not None:
                    db.close()
                lock.close()
                raise

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def in_thread() -> T:
            if self._db is None:
                raise StorageError("storage_closed", "This device's storage was closed.")
            with _typed_errors():
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
        with _transaction(db):
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


def connect(path: Path, key: bytes | None, journal_mode: str) -> sqlite3.Connection:
    """Open the file: the one place, and so the one place for a cipher.

    `synchronous = extra` rather than `full`: with a rollback journal only this also flushes the folder,
    without which a power cut just after a commit can bring the journal back and undo it, and an old ratchet
    would send again.
    """
    if key is not None:
        raise StorageError(
            "no_cipher", "This installation can't encrypt its data file, but a key for it was given."
        )
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its journal the same mode
    db = sqlite3.connect(path, isolation_level=None, timeout=1.0)
    try:
        for pragma in (
            "secure_delete = on",
            "synchronous = extra",
            "fullfsync = on",
            "temp_store = memory",
            "trusted_schema = off",
            "cell_size_check = on",
            f"journal_mode = {journal_mode}",
        ):
            db.execute(f"pragma {pragma}").fetchall()
    except BaseException:
        db.close()
        raise
    return db


def migrate(db: sqlite3.Connection) -> None:
    """Bring the layout from whatever version it has to the newest, one transaction a version."""
    version = _pragma(db, "user_version")
    known = _pragma(db, "application_id") == APPLICATION_ID
    if not known and (version or db.execute("select count(*) from sqlite_schema").fetchone()[0]):
        raise StorageError("storage_corrupt", "This file is a database of another program.")
    if version > len(MIGRATIONS):
        raise StorageError("storage_newer", "This device's data was written by a newer version of Coterie.")
    for number, statements in list(enumerate(MIGRATIONS))[version:]:
        with _transaction(db):
            for statement in statements:
                db.execute(statement)
            db.execute(f"pragma user_version = {number + 1}")


def _apply(db: sqlite3.Connection, rows: list[tuple[str, bytes, bytes | None]]) -> None:
    db.executemany(DELETE, [(table, key) for table, key, value in rows if value is None])
    db.executemany(PUT, [row for row in rows if row[2] is not None])


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"pragma {name}").fetchone()[0])


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


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("begin immediate")
    try:
        yield
        db.execute("commit")
    except BaseException:
        with suppress(sqlite3.Error):  # some errors, such as a full disk, have rolled back by themselves
            db.execute("rollback")
        raise


@contextmanager
def _typed_errors() -> Iterator[None]:
    """Turn SQLite's and the system's errors into `StorageError`, without a row's contents in them."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
        primary = "_".join(name.split("_")[:2])
        code, sentence = CAUSES.get(
            primary, ("storage_failed", f"This device's data can't be used ({name}).")
        )
        raise StorageError(code, sentence) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageError("storage_denied", f"This device's data can't be used: {reason}.") from error


def take_lock(path: Path) -> BinaryIO:
    """Hold `path` locked until the file is closed or the process ends, however it ends.

    The file stays behind on purpose: removing it would let two processes lock two files of one name.
    """
    lock = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    try:
        if sys.platform == "win32":
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StorageError("storage_in_use", "Another Coterie is using this data.") from error
    return lock
