"""`coterie backup FILE`, `coterie restore FILE`: this device's history in an encrypted file, and back."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coterie import native
from coterie.backup import Backups
from coterie.cli.screen import Screen
from coterie.cli.settings import OpenClient, Settings
from coterie.errors import BackupError, LocalError
from coterie.files import put_in_place
from coterie.stretching import stretch

PIECE = 1 << 20
"""Bytes that are read from a file at once."""
TELL = 16 << 20
"""Bytes after which it is said how far it is: about a second's work."""
NEEDED = LocalError("passphrase_needed", "Give the passphrase as the first line of the input.")


async def backup(settings: Settings, screen: Screen, open_client: OpenClient) -> bool:
    """Run `coterie backup`. Raises `LocalError` (`file_exists`, `file_failed`, `bad_passphrase`), `StorageError`."""
    path = _file(settings)
    if path.exists():
        raise LocalError("file_exists", f"{path} is there already. Choose another name, or delete it first.")
    if not native.has_profile(settings.path):
        raise LocalError("no_profile", "There is no profile here yet: it is made by `coterie chat`.")
    passphrase = await _new_passphrase(screen)
    client = await open_client(settings.service_url, settings.path, lambda _: None)
    try:
        await client.start()
        backups = client.backups(stretch)
        begun = await backups.backup_begin(passphrase=passphrase)
        with _file_errors(path):
            size = await _write(backups, begun["backup_id"], screen, path)
    finally:
        await client.close()
    screen.event({"event": "backup", "file": str(path), "size": size})
    screen.say(
        f"Backed up {_amount(size)} to {path}. Without the passphrase nobody can open it, nor can you."
    )
    return True


async def restore(settings: Settings, screen: Screen, open_client: OpenClient) -> bool:
    """Run `coterie restore`. Raises `BackupError`, `LocalError` (`file_failed`), `StorageError`: nothing is changed."""
    path = _file(settings)
    with _file_errors(path):
        path.open("rb").close()  # before anybody types a passphrase
    if not path.is_file():
        raise LocalError("file_failed", f"{path} can't be used: it has to be a file, which is read twice.")
    passphrase = await _passphrase(screen, "Passphrase of the backup: ")
    client = await open_client(settings.service_url, settings.path, lambda _: None)
    try:
        await client.start()
        backups = client.backups(stretch)
        begun = await backups.restore_begin(passphrase=passphrase, mine=settings.mine)
        with _file_errors(path):
            for take in (backups.restore_check, backups.restore_write):
                await _read(take, begun["restore_id"], screen, path)
        found = await backups.restore_end(**begun)
    except BackupError as error:
        if error.code != "other_user":
            raise
        raise BackupError(error.code, f"{error.sentence} If it is yours, say so with --mine.") from None
    finally:
        await client.close()
    screen.event({"event": "restore", **found})
    screen.say(f"Restored {_counted(found['lines'], 'line')} in {_counted(found['groups'], 'group')}.")
    screen.say("Where this device is no member it can only be read: to write there, join again by a link.")
    return True


async def _write(backups: Backups, backup_id: str, screen: Screen, path: Path) -> int:
    """Into a file beside it first: what stands under the name that was asked for is whole."""
    fresh, size, told = path.with_name(path.name + ".part"), 0, TELL
    fresh.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            while piece := await backups.backup_read(backup_id=backup_id):
                file.write(piece)
                size += len(piece)
                told = _tell(screen, size, told)
        put_in_place(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return size


async def _read(take: Callable[..., Awaitable[object]], restore_id: str, screen: Screen, path: Path) -> None:
    size, told = 0, TELL
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            await take(restore_id=restore_id, data=piece)
            size += len(piece)
            told = _tell(screen, size, told)


def _tell(screen: Screen, size: int, told: int) -> int:
    """Say how far it is, now and then; from where to say it again."""
    if size < told:
        return told
    screen.say(f"{_amount(size)} …")
    return told + TELL


def _amount(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


async def _new_passphrase(screen: Screen) -> str:
    first = await _passphrase(screen, "Passphrase for the backup: ")
    if screen.interactive and await screen.ask_secret("The same again: ") != first:
        raise LocalError("passphrases_differ", "The two passphrases differ. Nothing was written.")
    return first


async def _passphrase(screen: Screen, question: str) -> str:
    """Of a person, or the first line of the input where nobody can be asked."""
    if screen.interactive:
        return await screen.ask_secret(question)
    async for line in screen.typed():
        return line
    raise NEEDED


def _file(settings: Settings) -> Path:
    if settings.file is None:
        raise LocalError("no_file", "Say which file.")
    return settings.file


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors with the user's file into a sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise LocalError("file_failed", f"{path} can't be used: {reason}.") from error
