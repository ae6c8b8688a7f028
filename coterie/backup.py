"""Backup and restore of history, piece by piece: a page or a terminal asks for the next one, or hands one over.

One file at a time each way. A backup is read from the store by pages and never stands in memory; a restore stands there
once, because it is saved in one transaction, after the whole file was checked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from coterie.core import keys
from coterie.core.archive import GROUP, SEQ, Held, Restored, is_history
from coterie.core.backup import HEADER_SIZE, MAX_FILE, Header, Outline, Reader, Writer, refused
from coterie.core.effects import Step
from coterie.core.engine import Engine
from coterie.core.keys import Stretch
from coterie.core.mls import Mls, new_id
from coterie.core.records import Chat, Line
from coterie.errors import StateError
from coterie.ports import Store

T = TypeVar("T")

PAGE = 500
"""Lines that are read at once."""


class Run(Protocol):
    """One turn of the driver: change, save, act."""

    def __call__(self, work: Callable[[Engine, int], tuple[Step, T]]) -> Awaitable[T]:
        """What `work` gave, once its step is saved."""


@dataclass(frozen=True, slots=True)
class _Backup:
    """A file that is being made."""

    id: str
    pieces: AsyncIterator[bytes]


@dataclass(slots=True)
class _Restore:
    """A file as far as it has come."""

    id: str
    passphrase: str
    mine: bool
    outline: Outline = field(default_factory=Outline)
    size: int = 0
    """Bytes that were checked."""
    reader: Reader | None = None
    header_left: int = HEADER_SIZE
    """Bytes that come before what the reader reads."""
    restored: Restored = field(default_factory=Restored)


class Backups:
    """The operations `backup_*` and `restore_*` of docs/bridge.md.

    Whoever begins one gets a random id, with which all that follows is asked: another tab, or a dialog that was opened
    again, can't read on in a file that is not its own, after a change of the owner neither.
    """

    def __init__(
        self, mls: Mls, store: Store, engine: Callable[[], Engine], run: Run, stretch: Stretch
    ) -> None:
        self._mls = mls
        self._store = store
        self._engine = engine
        self._run = run
        self._stretch = stretch
        self._backup: _Backup | None = None
        self._restore: _Restore | None = None

    # -- out --

    async def backup_begin(self, *, passphrase: str) -> dict[str, Any]:
        """Begin a backup: its `backup_id`; one that was not finished is dropped.

        Raises `LocalError` (`bad_passphrase`).
        """
        keys.check_passphrase(passphrase)
        header = Header.new(self._mls, self._user_id())
        key = await self._key(header, passphrase)
        self._backup = _Backup(new_id(self._mls), self._pieces(header, Writer(self._mls, header, key)))
        return {"backup_id": self._backup.id}

    async def backup_read(self, *, backup_id: str) -> bytes:
        """The next bytes of the file, nothing at its end.

        Raises `StateError` (`no_backup`), `BackupError` (`backup_too_large`), `StorageError`: the backup is over then.
        """
        backup = self._backup
        if backup is None or backup.id != backup_id:
            raise StateError(
                "no_backup", "The backup was interrupted, or another one was begun. Begin again."
            )
        piece = b""
        try:
            piece = await anext(backup.pieces, b"")
        finally:
            if not piece and self._backup is backup:
                self._backup = None
        return piece

    async def _pieces(self, header: Header, writer: Writer) -> AsyncIterator[bytes]:
        yield header.encode()
        manifest, records = await self._run(lambda engine, now: (Step(), engine.back_up(now)))
        writer.take(manifest)
        for record in records:
            if piece := writer.take([record.TABLE, record.encode()]):
                yield piece
        for chat in records:
            async for value in self._lines(chat.key if isinstance(chat, Chat) else None):
                if piece := writer.take([Line.TABLE, value]):
                    yield piece
        yield writer.end()

    async def _lines(self, group: bytes | None) -> AsyncIterator[bytes]:
        """The lines of a group, page by page, the newest first."""
        before: bytes | None = None
        while group and (rows := await self._store.page("messages", group, before=before, limit=PAGE)):
            for _, value in rows:
                if is_history(value):
                    yield value
            before = rows[0][0]

    # -- in --

    async def restore_begin(self, *, passphrase: str, mine: bool = False) -> dict[str, Any]:
        """Begin a restore: its `restore_id`; one that was not finished is dropped.

        `mine`: the user says that a file of another user is theirs, of a time when they were here as somebody else.
        """
        self._restore = _Restore(new_id(self._mls), passphrase, mine)
        return {"restore_id": self._restore.id}

    async def restore_check(self, *, restore_id: str, data: bytes) -> dict[str, Any]:
        """The file's next bytes, to look at: all of them, before `restore_write` gets the first.

        No key is computed for it. Raises `BackupError`, `LocalError` (`kdf_refused`, `bad_wrapping`): the restore is
        over then; `StateError` (`no_restore`).
        """
        restore = self._current(restore_id)
        with self._ending(restore):
            self._check(restore, data)
        return {}

    async def restore_write(self, *, restore_id: str, data: bytes) -> dict[str, Any]:
        """The file's next bytes, from its first one on. Raises as `restore_check`."""
        restore = self._current(restore_id)
        with self._ending(restore):
            await self._take(restore, data)
        return {}

    async def restore_end(self, *, restore_id: str) -> dict[str, Any]:
        """The file is whole: check that, and save all of it at once: how many `groups` and `lines` were new.

        Raises `BackupError`, `StorageError`, `StateError` (`no_restore`): nothing was changed.
        """
        restore = self._current(restore_id)
        self._restore = None
        if restore.reader is None:
            restore.outline.end()  # says what is wrong with so short a file
            raise refused("backup_cut")
        restore.reader.end()
        held = await self._held(restore.restored)
        return await self._run(lambda engine, now: engine.restore(restore.restored, held, now))

    def _current(self, restore_id: str) -> _Restore:
        if self._restore is None or self._restore.id != restore_id:
            raise StateError(
                "no_restore", "The restore was interrupted, or another one was begun. Begin again."
            )
        return self._restore

    @contextmanager
    def _ending(self, restore: _Restore) -> Iterator[None]:
        """A file that is refused once is not read on in."""
        try:
            yield
        except BaseException:
            if self._restore is restore:
                self._restore = None
            raise

    def _check(self, restore: _Restore, data: bytes) -> None:
        """All that can be refused without the key is refused before it is computed."""
        restore.size += len(data)
        if restore.size > MAX_FILE:
            raise refused("backup_too_large")
        restore.outline.feed(data)
        header, user_id = restore.outline.header, self._user_id()
        if header and user_id and not restore.mine and not header.of(user_id):
            raise refused("other_user")

    async def _take(self, restore: _Restore, data: bytes) -> None:
        if restore.reader is None:
            header = restore.outline.end()
            key = await self._key(header, restore.passphrase)
            restore.passphrase, restore.reader = "", Reader(self._mls, header, key)
        skipped = min(restore.header_left, len(data))
        restore.header_left -= skipped
        for record in restore.reader.feed(data[skipped:]):
            restore.restored.take(record)

    async def _held(self, restored: Restored) -> Held:
        """What is here of the backup's chats. What comes in meanwhile stands above the cursors that it has."""
        cursors = self._engine().places(restored.chats)
        places: dict[bytes, set[bytes]] = {}
        for chat in restored.chats:
            end = GROUP + SEQ if chat in cursors else None
            places[chat], before = set(), None
            while rows := await self._store.page("messages", chat, before=before, limit=PAGE):
                places[chat].update(key[GROUP:end] for key, _ in rows)
                before = rows[0][0]
        return Held(cursors, places)

    def _user_id(self) -> str:
        backend = self._engine().backend
        return backend.user_id if backend else ""

    async def _key(self, header: Header, passphrase: str) -> bytes:
        stretched = await keys.key_of(self._stretch, passphrase, header.costs)
        return keys.derive(self._mls, stretched, keys.EXPORT)
