"""The data file itself: opened in one place, under a key or without, brought to the newest layout, locked.

With a key it is SQLCipher's: every page is AES-256 with an HMAC, under the 32 bytes as they are (no passphrase is
stretched here), journal included. A file from before there were keys is encrypted once, whole or not at all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sqlcipher3 import dbapi2 as sqlite3

from coterie.errors import StorageError
from coterie.files import put_in_place

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

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

CAUSES = {
    "SQLITE_FULL": (
        "storage_full",
        "There is no space left for this device's data, so nothing was saved or sent. Free some space, then try again.",
    ),
    "SQLITE_NOTADB": ("storage_corrupt", "This device's data file is damaged or is not one of Coterie."),
    "SQLITE_CORRUPT": ("storage_corrupt", "This device's data file is damaged."),
    "SQLITE_READONLY": ("storage_denied", "This device's data file can't be written to."),
    "SQLITE_PERM": ("storage_denied", "This device's data file can't be opened: permission denied."),
    "SQLITE_CANTOPEN": ("storage_denied", "This device's data file can't be opened."),
    "SQLITE_BUSY": ("storage_in_use", "Another program is using this device's data file."),
}

PLAIN = b"SQLite format 3\0"
"""How a file begins that is not encrypted; SQLCipher's begin with a random salt."""


def connect(path: Path, key: bytes | None, journal_mode: str) -> sqlite3.Connection:
    """Open the file: the one place. `key` is 32 bytes, or None for a file that is not encrypted.

    `synchronous = extra` rather than `full`: with a rollback journal only this also flushes the folder,
    without which a power cut just after a commit can bring the journal back and undo it, and an old ratchet
    would send again.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its journal the same mode
    if key is not None and is_plain(path):
        encrypt(path, key)
    db = sqlite3.connect(path, isolation_level=None, timeout=1.0)
    try:
        if key is not None:
            db.execute(f'pragma key = "{_raw(key)}"')
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


def is_plain(path: Path) -> bool:
    """Whether this is a database that is not encrypted."""
    with path.open("rb") as file:
        return file.read(len(PLAIN)) == PLAIN


def encrypt(path: Path, key: bytes) -> None:
    """Encrypt a file that is not: a copy, then one rename. After a crash it is as before, or done.

    Raises `StorageError` (`storage_corrupt`) for a database of another program, which is left as it is.
    """
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    db = sqlite3.connect(path, isolation_level=None, timeout=1.0)
    try:
        version = _layout(db)
        db.execute("attach ? as sealed key ?", (str(fresh), _raw(key)))
        db.execute("select sqlcipher_export('sealed')").fetchall()
        db.execute(f"pragma sealed.application_id = {APPLICATION_ID}")
        db.execute(f"pragma sealed.user_version = {version}")
        db.execute("detach sealed")
    finally:
        db.close()
    put_in_place(fresh, path)


def _raw(key: bytes) -> str:
    """SQLCipher's notation for a key that it takes as it is."""
    return f"x'{key.hex()}'"


def _layout(db: sqlite3.Connection) -> int:
    """The layout's version; raises `StorageError` (`storage_corrupt`) for a database that is not ours."""
    version = pragma(db, "user_version")
    known = pragma(db, "application_id") == APPLICATION_ID
    if not known and (version or db.execute("select count(*) from sqlite_schema").fetchone()[0]):
        raise StorageError("storage_corrupt", "This file is a database of another program.")
    return version


def migrate(db: sqlite3.Connection) -> None:
    """Bring the layout from whatever version it has to the newest, one transaction a version."""
    version = _layout(db)
    if version > len(MIGRATIONS):
        raise StorageError("storage_newer", "This device's data was written by a newer version of Coterie.")
    for number, statements in list(enumerate(MIGRATIONS))[version:]:
        with transaction(db):
            for statement in statements:
                db.execute(statement)
            db.execute(f"pragma user_version = {number + 1}")


def pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"pragma {name}").fetchone()[0])


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("begin immediate")
    try:
        yield
        db.execute("commit")
    except BaseException:
        with suppress(sqlite3.Error):  # some errors, such as a full disk, have rolled back by themselves
            db.execute("rollback")
        raise


@contextmanager
def typed_errors() -> Iterator[None]:
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


def lock_of(path: Path) -> BinaryIO:
    """Hold the data file `path` for this process, in a folder that is made if it is not there.

    Raises `StorageError`: `storage_in_use`, `storage_denied`.
    """
    with typed_errors():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return take_lock(path.with_name(path.name + ".lock"))


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
