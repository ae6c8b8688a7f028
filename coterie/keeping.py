"""Where a native profile's master key is kept: a record beside the data file says how, and holds it wrapped.

    file         in the record itself, which only its owner can read: protects a data file that is copied without it
    keyring      under a random key in the system's keyring (the package `keyring`, where one is unlocked)
    passphrase   under a passphrase, by Argon2id
    environment  under a key that COTERIE_KEY, COTERIE_KEY_FILE or COTERIE_KEY_COMMAND gives at each start

Changing the way rewrites the record alone: what is encrypted stays under keys that come of the same master key.
A record whose data is gone is noticed: a new device that nobody asked for would take the place of the lost one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from coterie.core import keys
from coterie.core.mls import Mls
from coterie.errors import LocalError, StorageError
from coterie.files import write_whole
from coterie.key_sources import (
    GIVEN_BY,
    bytes_of,
    find_entry,
    forget_entry,
    given,
    put_entry,
    system_keyring,
)
from coterie.stretching import stretch

Way = Literal["file", "keyring", "passphrase", "environment"]
WAYS: tuple[Way, ...] = ("file", "keyring", "passphrase", "environment")

PURPOSE = b"coterie master key v1"
WRAPPING = b"wrapping-context"
VERSION = 1
PLAIN = b"SQLite format 3\0"

Ask = Callable[[str], Awaitable[str]]
"""Asks the user for a passphrase, with this question. Raises `LocalError` where nobody can be asked."""


async def nobody(_: str) -> str:
    """The `Ask` of a program without a user."""
    raise LocalError("passphrase_needed", "This profile is locked with a passphrase: open it in a terminal.")


def record_path(data: Path) -> Path:
    """Where the record of a data file lies: `state.key` beside `state.sqlite`."""
    return data.with_suffix(".key")


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """What is kept beside the data file: the master key, or what it takes to get it."""

    way: Way
    secret: bytes
    """The master key (`file`), or the master key wrapped (all others)."""
    entry: str = ""
    """The name of the keyring's entry."""
    fresh: bool = False
    """Written before there was any data: that there is none may be a first start that broke off."""

    def encode(self) -> bytes:
        """JSON with a version."""
        fields: dict[str, object] = {
            "v": VERSION,
            "way": self.way,
            "secret": self.secret.hex(),
            "entry": self.entry,
        }
        if self.fresh:
            fields["fresh"] = True
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Record:
        """The opposite of `encode`. Raises `StorageError` (`key_damaged`)."""
        try:
            match json.loads(data):
                case {"v": 1, "way": way, "secret": str(secret), "entry": str(entry), **more} if way in WAYS:
                    return cls(way, bytes.fromhex(secret), entry, more.get("fresh") is True)
        except ValueError:
            pass
        raise StorageError(
            "key_damaged",
            "The file with the key of this device's data is damaged or of a newer version of Coterie. "
            "Nothing was changed: put the right one back from a backup.",
        )


@dataclass(slots=True)
class ProfileKey:
    """`ports.KeyWrap` of one profile; call it only while the profile's lock is held."""

    mls: Mls
    data: Path
    """The data file."""
    environment: Mapping[str, str]
    ask: Ask = nobody
    _master: bytes | None = field(default=None, init=False, repr=False)

    async def key(self) -> bytes:
        """The key of the data file, 32 bytes; for a new profile, or one that is not encrypted yet, a new one.

        Raises `StorageError`: `data_lost`, `key_lost`, `key_damaged`, `key_missing`, `wrong_key`, `keyring_failed`;
        `LocalError`: `wrong_passphrase`, `passphrase_needed`. Nothing is changed then.
        """
        return keys.derive(self.mls, await self.master(), keys.AT_REST)

    async def master(self) -> bytes:
        """The master key, 32 bytes. Raises as `key`."""
        if self._master is None:
            record = self._checked()
            self._master = await (self._create() if record is None else self._open(record))
        return self._master

    def record(self) -> Record | None:
        """The record, or None for a profile without one. Raises `StorageError` (`key_damaged`, `storage_denied`)."""
        try:
            return Record.parse(record_path(self.data).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(
                "storage_denied", f"{record_path(self.data).name} can't be read: {error.strerror}."
            ) from error

    def exists(self) -> bool:
        """Whether there is a data file, or only the place for one. Raises as `record`, and `data_lost`."""
        self._checked()
        return self.data.exists()

    def settle(self) -> None:
        """Note that there is data by now: from here on it is missed when it is not there. Raises as `record`."""
        record = self.record()
        if record is not None and record.fresh:
            self._write(record)

    def _checked(self) -> Record | None:
        record = self.record()
        if record is not None and not record.fresh and _is_empty(self.data):
            key = record_path(self.data).name
            raise StorageError(
                "data_lost",
                f"This device's data is gone: the file {self.data.name} is missing or empty, while its key is still "
                f"there. Nothing was made in its place and nothing deleted: put the file back, or move {key} away to "
                "begin as somebody new, and restore a backup then. `coterie doctor` says where they lie.",
            )
        return record

    async def keep(self, way: Way) -> None:
        """Keep the master key in another way from now on; asks for what that takes.

        Raises as `key`, and `LocalError` (`bad_passphrase`, `passphrases_differ`); the earlier way then stands.
        """
        earlier = self.record()
        master = await self.master()
        self._write(await self._wrap(way, master))
        if earlier is not None and earlier.entry:
            await asyncio.to_thread(forget_entry, earlier.entry)

    async def _create(self) -> bytes:
        if _is_encrypted(self.data):
            raise StorageError(
                "key_lost",
                "The key of this device's data is not there: the file "
                f"{record_path(self.data).name} is missing beside it. Nothing was changed: put it back "
                "from a backup, or move the data away to begin anew.",
            )
        master = self.mls.random_bytes(keys.KEY_SIZE)
        self._write(await self._wrap(self._first_way(), master))
        return master

    def _first_way(self) -> Way:
        """Without being asked: what the environment gives, else the keyring where there is one, else the file."""
        if any(self.environment.get(name) for name in GIVEN_BY):
            return "environment"
        return "keyring" if system_keyring() is not None else "file"

    async def _wrap(self, way: Way, master: bytes) -> Record:
        match way:
            case "file":
                return Record(way, master)
            case "keyring":
                key, entry = self.mls.random_bytes(keys.KEY_SIZE), self.mls.random_bytes(8).hex()
                await asyncio.to_thread(put_entry, entry, key.hex())
                return Record(way, self._seal(way, key, master), entry)
            case "environment":
                return Record(way, self._seal(way, await asyncio.to_thread(given, self.environment), master))
            case "passphrase":
                return Record(way, await keys.wrap(self.mls, stretch, await self._new(), master, PURPOSE))

    async def _open(self, record: Record) -> bytes:
        match record.way:
            case "file":
                return record.secret
            case "keyring":
                found = await asyncio.to_thread(find_entry, record.entry)
                return self._unseal(record, bytes_of(found, "The system's keyring"))
            case "environment":
                return self._unseal(record, await asyncio.to_thread(given, self.environment))
            case "passphrase":
                passphrase = await self.ask("Passphrase: ")
                return await keys.unwrap(self.mls, stretch, passphrase, record.secret, PURPOSE)

    def _seal(self, way: Way, key: bytes, master: bytes) -> bytes:
        return self.mls.seal(keys.derive(self.mls, key, WRAPPING), master, PURPOSE + way.encode())

    def _unseal(self, record: Record, key: bytes) -> bytes:
        wrapping = keys.derive(self.mls, key, WRAPPING)
        try:
            return self.mls.open(wrapping, record.secret, PURPOSE + record.way.encode())
        except self.mls.MlsError:
            raise StorageError(
                "wrong_key",
                "The key that was given is not the one of this device's data. Nothing was changed.",
            ) from None

    async def _new(self) -> str:
        passphrase = await self.ask("New passphrase: ")
        keys.check_passphrase(passphrase)
        if await self.ask("The same again: ") != passphrase:
            raise LocalError("passphrases_differ", "The two passphrases differ. Nothing was changed.")
        return passphrase

    def _write(self, record: Record) -> None:
        try:
            whole = replace(record, fresh=_is_empty(self.data))
            write_whole(record_path(self.data), whole.encode())
        except OSError as error:
            raise StorageError(
                "storage_denied", f"{record_path(self.data).name} can't be written: {error.strerror}."
            ) from error


def _is_empty(path: Path) -> bool:
    """Whether there is no data file, or nothing in it."""
    return not path.exists() or (path.is_file() and path.stat().st_size == 0)


def _is_encrypted(path: Path) -> bool:
    """Whether there is a data file with something in it that is not from before there were keys."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(PLAIN)) not in (b"", PLAIN)
