"""Keys at rest: what comes of the master key, and how a passphrase guards a secret.

The browser's twin is `web/keys.js`; `tests/vectors/kdf.json` holds both to the same bytes.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Protocol

from coterie.core.mls import Mls
from coterie.errors import LocalError

INFO = b"coterie/keys/v1/"
AT_REST, SYNC, EXPORT = b"encryption-context", b"sync-context", b"export-context"
"""Labels of the keys that come of the master key: this device's storage, the vault, backups."""

KEY_SIZE = 32
SALT_SIZE = 16
VERSION = 1
HEADER_SIZE = 1 + 4 + 1 + 1 + SALT_SIZE
NONCE_AND_TAG = 28
SHORTEST, LONGEST = 8, 1024
"""Characters of a passphrase."""

MEMORY_KIB = (64 * 1024, 1024 * 1024)
PASSES = (3, 10)
LANES = (4, 16)
"""Argon2id's costs, least and most. The least are used; more is refused before anything is computed, so that a made-up
file can neither take all memory nor a minute."""


class Stretch(Protocol):
    """Argon2id (RFC 9106), version 0x13, with a tag of 32 bytes: makes a passphrase costly to guess."""

    async def __call__(self, secret: bytes, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
        """The tag. Costs are within bounds by now; it may take a second."""


def derive(mls: Mls, master: bytes, label: bytes) -> bytes:
    """The key for `label`, 32 bytes: HKDF-SHA256 (RFC 5869) of the master key, without salt."""
    return mls.hkdf(master, b"", INFO + label, KEY_SIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Argon2id:
    """Parameters of Argon2id (RFC 9106), within bounds; the header of whatever is sealed under its key."""

    salt: bytes
    memory_kib: int = MEMORY_KIB[0]
    passes: int = PASSES[0]
    lanes: int = LANES[0]

    def __post_init__(self) -> None:
        """Raise `LocalError` (`kdf_refused`) for costs or a salt out of bounds."""
        within = (
            MEMORY_KIB[0] <= self.memory_kib <= MEMORY_KIB[1]
            and PASSES[0] <= self.passes <= PASSES[1]
            and LANES[0] <= self.lanes <= LANES[1]
            and len(self.salt) == SALT_SIZE
        )
        if not within:
            raise LocalError(
                "kdf_refused", "This asks for a computation that Coterie never asks for, so it was not begun."
            )

    def encode(self) -> bytes:
        """Version (u8, 1) ‖ memory in KiB (u32, big-endian) ‖ passes (u8) ‖ lanes (u8) ‖ salt (16 bytes)."""
        costs = self.memory_kib.to_bytes(4), bytes([self.passes, self.lanes])
        return bytes([VERSION]) + b"".join(costs) + self.salt

    @classmethod
    def parse(cls, header: bytes) -> Argon2id:
        """The opposite of `encode`. Raises `LocalError`: `bad_wrapping`, `kdf_refused`."""
        if len(header) != HEADER_SIZE or header[0] != VERSION:
            raise LocalError(
                "bad_wrapping", "This was sealed by a newer version of Coterie, or it is damaged."
            )
        memory = int.from_bytes(header[1:5])
        return cls(memory_kib=memory, passes=header[5], lanes=header[6], salt=header[7:])


async def key_of(stretch: Stretch, passphrase: str, parameters: Argon2id) -> bytes:
    """The key of a passphrase, 32 bytes. It costs a fraction of a second and 64 MiB or more."""
    costs = parameters.memory_kib, parameters.passes, parameters.lanes
    return await stretch(normalized(passphrase), parameters.salt, *costs)


def normalized(passphrase: str) -> bytes:
    """UTF-8 of its NFC form, so that two keyboards that write one letter in two ways mean one passphrase."""
    return unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")


def check_passphrase(passphrase: str) -> None:
    """Raise `LocalError` (`bad_passphrase`) for one that is too short or too long to be set."""
    if not SHORTEST <= len(passphrase) <= LONGEST:
        raise LocalError("bad_passphrase", f"A passphrase has {SHORTEST} to {LONGEST} characters.")


async def wrap(mls: Mls, stretch: Stretch, passphrase: str, secret: bytes, purpose: bytes) -> bytes:
    """`secret` under a passphrase: header ‖ AES-256-GCM with purpose ‖ header as associated data.

    `purpose` says what the secret is for; what was wrapped for another purpose does not open.
    """
    parameters = Argon2id(salt=mls.random_bytes(SALT_SIZE))
    header = parameters.encode()
    key = await key_of(stretch, passphrase, parameters)
    return header + mls.seal(key, secret, purpose + header)


async def unwrap(mls: Mls, stretch: Stretch, passphrase: str, wrapped: bytes, purpose: bytes) -> bytes:
    """The opposite of `wrap`.

    Raises `LocalError`: `bad_wrapping` and `kdf_refused` before anything is computed, then `wrong_passphrase`.
    """
    if len(wrapped) < HEADER_SIZE + NONCE_AND_TAG:
        raise LocalError("bad_wrapping", "This was sealed by a newer version of Coterie, or it is damaged.")
    header = wrapped[:HEADER_SIZE]
    key = await key_of(stretch, passphrase, Argon2id.parse(header))
    try:
        return mls.open(key, wrapped[HEADER_SIZE:], purpose + header)
    except mls.MlsError:
        raise LocalError("wrong_passphrase", "This is not the passphrase.") from None
