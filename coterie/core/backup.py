"""The backup file: a header in clear, then sealed chunks of records, in one pass each way (docs/backup.md).

    header  magic (8) ‖ version (1) ‖ Argon2id's parameters (23, `keys.Argon2id`) ‖ owner (16)
    chunk   last (1: 1 for the last one) ‖ length (4) ‖ AES-256-GCM of a CBOR array of records, nonce first
    digest  SHA-256 of all before it (32), from version 2 on

Numbers are big-endian. Each chunk's associated data is header ‖ number (8) ‖ last (1), so a chunk that is missing,
moved, of another file or behind the last one does not open, and a file without its last one is known to be cut off.
The digest is for whoever has no key yet: a file that was damaged on its way is told before the key is computed.
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
VERSION = 2
DIGEST_SIZE = 32
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
    version: int = VERSION

    @classmethod
    def new(cls, mls: Mls, user_id: str) -> Self:
        """For a file of this user (an empty id: none yet), with a salt of its own."""
        costs = keys.Argon2id(salt=mls.random_bytes(keys.SALT_SIZE))
        return cls(costs=costs, owner=_owner(user_id, costs.salt))

    def encode(self) -> bytes:
        """The header's bytes."""
        return _HEADER.pack(MAGIC, self.version, self.costs.encode(), self.owner)

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
        if not version:
            raise refused("not_a_backup")
        return cls(costs=keys.Argon2id.parse(costs), owner=owner, version=version)

    @property
    def digest_size(self) -> int:
        """Bytes behind the last chunk."""
        return DIGEST_SIZE if self.version > 1 else 0

    def of(self, user_id: str) -> bool:
        """Whether this user made it, or a device that had none yet."""
        return self.owner in (_owner("", b""), _owner(user_id, self.costs.salt))


def _owner(user_id: str, salt: bytes) -> bytes:
    if not user_id:
        return bytes(OWNER_SIZE)
    return hashlib.sha256(b"coterie backup v1" + salt + user_id.encode()).digest()[:OWNER_SIZE]


class Outline:
    """The bytes of a file as they come, without its key: whether it is whole, and as it was written."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self._rest = bytearray()
        """What came and is not passed yet."""
        self._ahead = 0
        """Bytes of the present chunk that are not passed yet."""
        self._last = False
        self._digest = hashlib.sha256()

    def feed(self, data: bytes) -> None:
        """The next bytes. Raises as `Header.parse`, and `BackupError` (`backup_damaged`)."""
        self._rest += data
        while self._step():
            pass

    def _step(self) -> bool:
        """Pass over the next part, as far as it is there."""
        if self._ahead:
            passed = min(self._ahead, len(self._rest))
            self._ahead -= passed
            return self._pass(passed)
        if self.header is None:
            if len(self._rest) < HEADER_SIZE:
                return False
            self.header = Header.parse(bytes(self._rest[:HEADER_SIZE]))
            return self._pass(HEADER_SIZE)
        if self._last:
            if len(self._rest) > self.header.digest_size:
                raise refused("backup_damaged")
            return False
        return self._begin_chunk()

    def _begin_chunk(self) -> bool:
        if len(self._rest) < _CHUNK.size:
            return False
        last, length = _CHUNK.unpack_from(self._rest)
        if last > 1 or length > MAX_CHUNK:
            raise refused("backup_damaged")
        self._last, self._ahead = bool(last), _CHUNK.size + length
        return True

    def _pass(self, size: int) -> bool:
        self._digest.update(self._rest[:size])
        del self._rest[:size]
        return size > 0

    def end(self) -> Header:
        """The file has no more; its header. Raises `BackupError` (`not_a_backup`, `backup_cut`, `backup_damaged`)."""
        header = self.header or Header.parse(
            bytes(self._rest)
        )  # which says what is wrong with so short a file
        if self._ahead or not self._last or len(self._rest) < header.digest_size:
            raise refused("backup_cut")
        if self._rest and self._digest.digest() != self._rest:
            raise refused("backup_damaged")
        return header


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
        self._digest = hashlib.sha256(self._header)

    def take(self, record: list[Any]) -> bytes:
        """Add a record; a chunk when one is full, else nothing. Raises `BackupError` (`backup_too_large`)."""
        encoded = cbor2.dumps(record)
        self._records.append(encoded)
        self._held += len(encoded)
        return self._seal(last=False) if self._held >= CHUNK else b""

    def end(self) -> bytes:
        """The last chunk, and the digest."""
        return self._seal(last=True) + self._digest.digest()

    def _seal(self, *, last: bool) -> bytes:
        head = b"\x9a" + len(self._records).to_bytes(4)  # an array of so many items (RFC 8949 section 3.1)
        content = head + b"".join(self._records)
        sealed = self._mls.seal(self._key, content, _associated(self._header, self._number, last=last))
        self._records, self._held, self._number = [], 0, self._number + 1
        chunk = _CHUNK.pack(last, len(sealed)) + sealed
        self._size += len(chunk)
        if self._size + DIGEST_SIZE > MAX_FILE:
            raise refused("backup_too_large")
        self._digest.update(chunk)
        return chunk


class Reader:
    """The bytes behind a file's header, as they come, into records."""

    def __init__(self, mls: Mls, header: Header, key: bytes) -> None:
        self._mls = mls
        self._header = header.encode()
        self._digest_size = header.digest_size
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
        if self._ended and len(self._rest) > self._digest_size:
            raise self._damaged()

    def end(self) -> None:
        """The file has no more. Raises `BackupError` (`backup_cut`) where it should."""
        if not self._ended or len(self._rest) < self._digest_size:
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
