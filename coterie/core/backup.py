"""The backup file: a header in clear, then sealed chunks of records, in one pass each way (docs/backup.md).

    header  magic (8) ‖ version (1) ‖ Argon2id's parameters (23, `keys.Argon2id`) ‖ owner (16)
    chunk   last (1: 1 for the last one) ‖ length (4) ‖ AES-256-GCM of a CBOR array of records, nonce first

Numbers are big-endian. Each chunk's associated data is header ‖ number (8) ‖ last (1), so a chunk that is missing,
moved, of another file or behind the last one does not open, and a file without its last one is known to be cut off.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import cbor2

from coterie.core import keys
from coterie.core.content import load
from coterie.core.mls import Mls
from coterie.errors import BackupError, ContentError

MAGIC = b"COTERIEB"
VERSION = 1
OWNER_SIZE = 16
_HEADER = struct.Struct(f">8sB{keys.HEADER_SIZE}s{OWNER_SIZE}s")
HEADER_SIZE = _HEADER.size
_CHUNK = struct.Struct(">BI")
CHUNK = 256 * 1024
"""Bytes of records after which a chunk is sealed; a record is never divided."""
MAX_CHUNK = 4 * 1024 * 1024
"""Bytes of a sealed chunk that are read at most: a record has a fraction of it."""
MAX_FILE = 256 * 1024 * 1024
"""Bytes of a file. A restore is one transaction, so its rows stand in memory once."""

SENTENCES = {
    "not_a_backup": "This file is not a backup of Coterie.",
    "backup_newer": "This backup was made by a newer version of Coterie. Use that version to restore it.",
    "backup_cut": "This backup is incomplete: its end is missing. Nothing was changed.",
    "backup_damaged": "This backup was altered or is damaged. Nothing was changed.",
    "backup_too_large": f"A backup has at most {MAX_FILE >> 20} MiB, and this one is larger.",
    "wrong_passphrase": "This is not the passphrase of this backup, or the file was altered. Nothing was changed.",
    "other_user": "This backup is somebody else's, or of a time when you were here as another guest."
    " Nothing was changed.",
}


def refused(code: str) -> BackupError:
    """Why a file is not restored, or not written."""
    return BackupError(code, SENTENCES[code])


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands in clear: how to make the key, and whose it is without saying who that is."""

    costs: keys.Argon2id
    owner: bytes
    """SHA-256 of a label, the salt and the user's id, cut to 16 bytes; zeros from a device that had no user yet."""

    @classmethod
    def new(cls, mls: Mls, user_id: str) -> Self:
        """For a file of this user (an empty id: none yet), with a salt of its own."""
        costs = keys.Argon2id(salt=mls.random_bytes(keys.SALT_SIZE))
        return cls(costs=costs, owner=_owner(user_id, costs.salt))

    def encode(self) -> bytes:
        """The header's bytes."""
        return _HEADER.pack(MAGIC, VERSION, self.costs.encode(), self.owner)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read `HEADER_SIZE` bytes, or fewer of a file that ends there.

        Raises `BackupError` (`not_a_backup`, `backup_newer`, `backup_cut`), and as `keys.Argon2id.parse`.
        """
        if not data or not MAGIC.startswith(data[: len(MAGIC)]):
            raise refused("not_a_backup")
        if data[len(MAGIC) : len(MAGIC) + 1] > bytes([VERSION]):
            raise refused("backup_newer")
        if len(data) < HEADER_SIZE:
            raise refused("backup_cut")
        _, version, costs, owner = _HEADER.unpack(data)
        if version != VERSION:
            raise refused("not_a_backup")
        return cls(costs=keys.Argon2id.parse(costs), owner=owner)

    def of(self, user_id: str) -> bool:
        """Whether this user made it, or a device that had none yet."""
        return self.owner in (_owner("", b""), _owner(user_id, self.costs.salt))


def _owner(user_id: str, salt: bytes) -> bytes:
    if not user_id:
        return bytes(OWNER_SIZE)
    return hashlib.sha256(b"coterie backup v1" + salt + user_id.encode()).digest()[:OWNER_SIZE]


class Writer:
    """Records into chunks; the header comes first, and is the caller's to write."""

    def __init__(self, mls: Mls, header: Header, key: bytes) -> None:
        self._mls = mls
        self._header = header.encode()
        self._key = key
        self._records: list[bytes] = []
        self._held = 0
        self._number = 0
        self._size = len(self._header)

    def take(self, record: list[Any]) -> bytes:
        """Add a record; a chunk when one is full, else nothing. Raises `BackupError` (`backup_too_large`)."""
        encoded = cbor2.dumps(record)
        self._records.append(encoded)
        self._held += len(encoded)
        return self._seal(last=False) if self._held >= CHUNK else b""

    def end(self) -> bytes:
        """The last chunk."""
        return self._seal(last=True)

    def _seal(self, *, last: bool) -> bytes:
        head = b"\x9a" + len(self._records).to_bytes(4)  # an array of so many items (RFC 8949 section 3.1)
        content = head + b"".join(self._records)
        sealed = self._mls.seal(self._key, content, _associated(self._header, self._number, last=last))
        self._records, self._held, self._number = [], 0, self._number + 1
        chunk = _CHUNK.pack(last, len(sealed)) + sealed
        self._size += len(chunk)
        if self._size > MAX_FILE:
            raise refused("backup_too_large")
        return chunk


class Reader:
    """The bytes behind a file's header, as they come, into records."""

    def __init__(self, mls: Mls, header: Header, key: bytes) -> None:
        self._mls = mls
        self._header = header.encode()
        self._key = key
        self._rest = bytearray()
        self._number = 0
        self._ended = False

    def feed(self, data: bytes) -> Iterator[list[Any]]:
        """The records of every chunk that is complete with `data`, one chunk at a time in memory.

        Raises `BackupError` (`wrong_passphrase`, `backup_damaged`): nothing of the file holds then.
        """
        self._rest += data
        while len(self._rest) >= _CHUNK.size and not self._ended:
            last, length = _CHUNK.unpack_from(self._rest)
            if last > 1 or length > MAX_CHUNK:
                raise self._damaged()
            end = _CHUNK.size + length
            if len(self._rest) < end:
                return
            sealed = bytes(self._rest[_CHUNK.size : end])
            del self._rest[:end]
            yield from self._open(sealed, last=bool(last))
        if self._rest and self._ended:
            raise self._damaged()

    def end(self) -> None:
        """The file has no more. Raises `BackupError` (`backup_cut`) where it should."""
        if not self._ended:
            raise refused("backup_cut")

    def _open(self, sealed: bytes, *, last: bool) -> list[list[Any]]:
        try:
            records = load(
                self._mls.open(self._key, sealed, _associated(self._header, self._number, last=last))
            )
        except (self._mls.MlsError, ContentError):
            raise self._damaged() from None
        if not isinstance(records, list) or not all(isinstance(record, list) for record in records):
            raise self._damaged()
        self._number += 1
        self._ended = last
        return records

    def _damaged(self) -> BackupError:
        """Before anything opened, it may as well be the passphrase."""
        return refused("backup_damaged" if self._number else "wrong_passphrase")


def _associated(header: bytes, number: int, *, last: bool) -> bytes:
    return header + number.to_bytes(8) + bytes([last])
