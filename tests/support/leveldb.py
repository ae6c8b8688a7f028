"""Reads every record that LevelDB still has on the disk, superseded and deleted ones too, without its manifest.

Format: github.com/google/leveldb, doc/log_format.md and doc/table_format.md; blocks are compressed with Snappy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

BLOCK = 32 * 1024
HEADER = 7
FOOTER = 48
TRAILER = 5
SEQUENCE = 8
"""Bytes at the end of a table's key: sequence and type."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A base-128 number and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def unsnappy(data: bytes) -> bytes:
    """Snappy's block format (github.com/google/snappy, format_description.txt)."""
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag, kind = data[at], data[at] & 3
        if kind == 0:
            length, at = tag >> 2, at + 1
            if length >= 60:
                extra = length - 59
                length, at = int.from_bytes(data[at : at + extra], "little"), at + extra
            out += data[at : at + length + 1]
            at += length + 1
            continue
        if kind == 1:
            length, offset, at = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at + 1], at + 2
        else:
            width = 2 if kind == 2 else 4
            length, offset, at = (
                (tag >> 2) + 1,
                int.from_bytes(data[at + 1 : at + 1 + width], "little"),
                at + 1 + width,
            )
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


def records(folder: Path) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of all files of one database."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".log":
            for batch in _logged(path.read_bytes()):
                yield from _batch(batch)
        elif path.suffix == ".ldb":
            for key, value in _table(path.read_bytes()):
                yield key[:-SEQUENCE], value


def _logged(data: bytes) -> Iterator[bytes]:
    """The records of a log, put together from their fragments."""
    whole = b""
    for start in range(0, len(data), BLOCK):
        block, at = data[start : start + BLOCK], 0
        while at + HEADER <= len(block):
            length, kind = int.from_bytes(block[at + 4 : at + 6], "little"), block[at + 6]
            if kind == 0:
                break
            piece, at = block[at + HEADER : at + HEADER + length], at + HEADER + length
            whole = piece if kind in (1, 2) else whole + piece
            if kind in (1, 4):
                yield whole


def _batch(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12  # sequence and count
    while at < len(data):
        kind = data[at]
        size, at = varint(data, at + 1)
        key, at = data[at : at + size], at + size
        value = b""
        if kind == 1:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        yield key, value


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    footer, at = data[-FOOTER:], 0
    _, at = varint(footer, at)
    _, at = varint(footer, at)
    offset, at = varint(footer, at)
    size, at = varint(footer, at)
    for _, handle in _entries(_block(data, offset, size)):
        place, end = varint(handle, 0)
        length, _ = varint(handle, end)
        yield from _entries(_block(data, place, length))


def _block(data: bytes, offset: int, size: int) -> bytes:
    body, compressed = data[offset : offset + size], data[offset + size]
    return unsnappy(body) if compressed == 1 else body


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        added, at = varint(block, at)
        size, at = varint(block, at)
        key, at = key[:shared] + block[at : at + added], at + added
        yield key, block[at : at + size]
        at += size


def binary_key(key: bytes) -> bytes | None:
    """The binary key of a row in an object store's data, as IndexedDB encodes it in Chromium; None for anything else.

    A prefix (sizes, database, object store, index 1 for data), type 6, length, bytes.
    """
    if not key:
        return None
    sizes = key[0]
    database, store, index = (sizes >> 5) + 1, (sizes >> 2 & 7) + 1, (sizes & 3) + 1
    at = 1 + database + store + index
    if len(key) <= at or int.from_bytes(key[at - index : at], "little") != 1 or key[at] != 6:
        return None
    size, at = varint(key, at + 1)
    return key[at : at + size] if at + size == len(key) else None


def arrays(value: bytes) -> Iterator[bytes]:
    """What may be the bytes of an array in a serialized value: tag `B`, length, bytes."""
    at = value.find(b"B")
    while at >= 0:
        try:
            size, begin = varint(value, at + 1)
        except IndexError:
            return
        if 0 < size <= len(value) - begin:
            yield value[begin : begin + size]
        at = value.find(b"B", at + 1)
