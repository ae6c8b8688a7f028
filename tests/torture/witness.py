"""The witness: a member whose state was put aside when it came in opens every ciphertext that reached the service.

Two looks at the same thing. Opening each distinct one once shows a message key that served twice as
`SecretReuseError`, which the binding calls `Stale`. And the sender data of each, opened with the epoch's
sender data secret (RFC 9420 section 6.3.2), names leaf and generation: each such pair serves one ciphertext,
for commits too, those that lost their epoch included.
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

import coterie_mls
from coterie_wire.varint import Reader
from tests.torture.stage import Fault

COMMIT = 3
PRIVATE_MESSAGE = 2
SAMPLE = 32
"""Bytes of ciphertext that enter the sender data key: KDF.Nh of suite 0x0001."""


@dataclass(slots=True)
class Seen:
    """What the witness has looked at."""

    ciphertexts: int = 0
    opened: int = 0
    commits: int = 0


def recorded(file: Path, group_id: str) -> dict[int, dict[bytes, None]]:
    """The distinct ciphertexts of a group that reached the service, by epoch, in the order in which they came."""
    found: dict[int, dict[bytes, None]] = defaultdict(dict)
    for line in file.read_bytes().splitlines():
        one = json.loads(line)
        if one["group_id"] == group_id:
            found[one["epoch"]][bytes.fromhex(one["mls"])] = None
    return found


def testify(
    rows: dict[bytes, bytes], known: set[bytes], by_epoch: dict[int, dict[bytes, None]], taken: list[bytes]
) -> Seen:
    """Open everything from the epoch of `rows` on, but what was `known` then.

    `taken`: the commits that the service took. Raises `Fault` at the first key that served twice.
    """
    seen, backend = Seen(), coterie_mls.Backend.load(rows)
    (group,) = backend.groups()
    rows, winners = dict(rows), {coterie_mls.header(commit)[2]: commit for commit in taken}
    while True:
        epoch = backend.epoch(group)
        messages = list(by_epoch.get(epoch, ()))
        _each_generation_once(rows, messages)
        for message in messages:
            if message not in known and coterie_mls.header(message)[3] != COMMIT:
                _open(backend, group, message)
                seen.opened += 1
        seen.ciphertexts += len(messages)
        if epoch not in winners:
            return seen
        _open(backend, group, winners[epoch])
        if backend.epoch(group) == epoch:
            raise Fault(f"the witness cannot go on from epoch {epoch}: the commit is her own")
        seen.commits += 1
        _keep(rows, backend.take_changes())


def _open(backend: Any, group: bytes, message: bytes) -> None:
    try:
        backend.process(group, message)
    except coterie_mls.MlsError as error:
        raise Fault(f"reused, or not to be opened: {type(error).__name__}: {error}") from error


def _keep(rows: dict[bytes, bytes], changes: dict[bytes, bytes | None]) -> None:
    for key, value in changes.items():
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value


def _each_generation_once(rows: dict[bytes, bytes], messages: list[bytes]) -> None:
    secret = _sender_data_secret(rows)
    told: set[tuple[int, int, int]] = set()
    for message in messages:
        if coterie_mls.header(message)[0] == PRIVATE_MESSAGE:
            place = sender_data(secret, message)
            if place in told:
                kind, leaf, generation = place
                raise Fault(
                    f"reused: content type {kind}, leaf {leaf}, generation {generation}: two ciphertexts"
                )
            told.add(place)


def _sender_data_secret(rows: dict[bytes, bytes]) -> bytes:
    """Of the present epoch, out of the rows of OpenMLS, which know one group."""
    for value in rows.values():
        if b"sender_data_secret" in value:
            store = cbor2.loads(value[1:])  # a format byte stands first
            if "message_secrets" in store:
                return bytes(store["message_secrets"]["sender_data_secret"]["secret"]["value"]["vec"])
    raise LookupError("the witness has no secrets")


def sender_data(secret: bytes, message: bytes) -> tuple[int, int, int]:
    """Content type, leaf index and generation of a PrivateMessage (RFC 9420 sections 6.3, 6.3.2), suite 0x0001."""
    reader = Reader(message[4:])  # behind version and wire format
    group, epoch, kind = reader.vector(), reader.take(8), reader.uint(1)
    reader.vector()  # authenticated data
    sealed, sample = reader.vector(), reader.vector()[:SAMPLE]
    key, nonce = _expand(secret, b"key", sample, 16), _expand(secret, b"nonce", sample, 12)
    bound = bytes([len(group)]) + group + epoch + bytes([kind])
    leaf, generation = struct.unpack(">II", AESGCM(key).decrypt(nonce, sealed, bound)[:8])
    return kind, leaf, generation


def _expand(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """ExpandWithLabel (RFC 9420 section 8)."""
    named = b"MLS 1.0 " + label
    info = struct.pack(">H", length) + bytes([len(named)]) + named + bytes([len(context)]) + context
    return HKDFExpand(SHA256(), length, info).derive(secret)
