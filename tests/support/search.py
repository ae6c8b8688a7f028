"""Looks for what must not lie on a disk: in every byte of a folder, and in what the present keys open of it."""

from __future__ import annotations

import base64
import contextlib
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

WINDOW = 24
"""Bytes of a row that are looked for together: too many to be there by chance."""
STEP = 12
MOST = 3000
"""Windows that are looked for at most; which, the seed decides."""

PAGE, RESERVED, IV, SALT = 4096, 80, 16, 16
"""SQLCipher 4: each page ends with an IV and an HMAC-SHA512; the first begins with a salt."""


def spellings(secret: bytes) -> Iterator[bytes]:
    """How something may lie in a file: as it is, as UTF-16, hex, and base64 at each of its three places."""
    yield secret
    yield secret.hex().encode()
    with contextlib.suppress(UnicodeDecodeError):
        yield secret.decode().encode("utf-16-le")
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + secret).rstrip(b"=")
        yield whole[(0, 2, 3)[shift] : -1]


def windows(values: Iterable[bytes]) -> set[bytes]:
    """Every `STEP`-th window of each value."""
    return {value[at : at + WINDOW] for value in values for at in range(0, len(value) - WINDOW + 1, STEP)}


def consumed(history: Iterable[bytes], present: Iterable[bytes], seed: int) -> list[bytes]:
    """Windows of values that were replaced or deleted, and are in no present value any more.

    A ratchet's row is mostly secrets: what a new value of it does not hold any more was used, or thrown away. The rest
    (ids of members, public keys) stands in other rows too, which belong to `present`.
    """
    left = b"\0".join(present)
    some = sorted(window for window in windows(history) if len(set(window)) > 8)
    random.Random(seed).shuffle(some)  # noqa: S311  which ones, repeatably
    return list(islice((window for window in some if window not in left), MOST))


@dataclass
class Found:
    """What was found: how often, by what it is and where."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def look(self, where: str, data: bytes, needles: Mapping[str, Iterable[bytes]]) -> None:
        """Count the needles, by their kind, that are in `data`."""
        for kind, secrets in needles.items():
            hits = sum(any(spelt in data for spelt in spellings(secret)) for secret in secrets)
            if hits:
                self.counts[kind, where] += hits

    def look_for_rows(self, kind: str, where: str, data: bytes, needles: Iterable[bytes]) -> None:
        """As `look` for windows of rows, which lie there as they are or not at all."""
        hits = sum(needle in data for needle in needles)
        if hits:
            self.counts[kind, where] += hits

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        lines = [f"  {count:6} {kind} in {where}" for (kind, where), count in sorted(self.counts.items())]
        return "\n".join(lines) or "  nothing"


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, by its name."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def pages(data: bytes, key: bytes) -> bytes:
    """All pages of a SQLCipher file in clear: those in use and those that are free."""
    clear = []
    for at in range(0, len(data), PAGE):
        page = data[at : at + PAGE]
        body, vector = page[SALT if at == 0 else 0 : PAGE - RESERVED], page[PAGE - RESERVED :][:IV]
        decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
        clear.append(decryptor.update(body) + decryptor.finalize())
    assert clear[0][:2] == PAGE.to_bytes(2), "the key does not open this file"
    return b"".join(clear)
