"""Files that are written whole or not at all, and whose earlier contents are overwritten where the disk allows it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

BLOCK = 1 << 20


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` in the place of `path`, readable by its owner alone; after a crash there is the old file or the new.

    Raises `OSError`.
    """
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    put_in_place(fresh, path)


def put_in_place(fresh: Path, path: Path) -> None:
    """Flush `fresh`, rename it to `path`, and overwrite what `path` was before.

    Overwriting comes last: until the new file stands under its name for good, the old one is what there is. A file
    system that copies on write, and a flash disk, may keep the old blocks all the same.
    """
    _flush(fresh)
    if sys.platform == "win32" or not path.exists():  # Windows renames over no file that is open
        fresh.replace(path)
        _flush(path.parent)
        return
    with path.open("r+b") as old:
        fresh.replace(path)
        _flush(path.parent)
        _erase(old.fileno(), os.fstat(old.fileno()).st_size)


def _flush(path: Path) -> None:
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _erase(descriptor: int, size: int) -> None:
    for at in range(0, size, BLOCK):
        os.pwrite(descriptor, bytes(min(BLOCK, size - at)), at)
    os.fsync(descriptor)
