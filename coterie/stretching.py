"""Argon2id on CPython, by argon2-cffi. The browser's twin is `web/stretching.js`."""

from __future__ import annotations

import asyncio

from argon2.low_level import ARGON2_VERSION, Type, hash_secret_raw

TAG_SIZE = 32


async def stretch(secret: bytes, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
    """As `core.keys.Stretch`, in a thread: the event loop goes on."""
    return await asyncio.to_thread(
        hash_secret_raw,
        secret,
        salt,
        time_cost=passes,
        memory_cost=memory_kib,
        parallelism=lanes,
        hash_len=TAG_SIZE,
        type=Type.ID,
        version=ARGON2_VERSION,
    )
