"""Composition root for CPython: SQLite, httpx and websockets, the compiled binding, the system's clock."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coterie.client import Client
from coterie.keeping import Ask, ProfileKey, Way, nobody
from coterie.ports import Transport
from coterie.storage.sqlite import SqliteStore
from coterie.storage.sqlite.file import lock_of
from coterie.transport.http import HttpTransport

STATE_FILE = "state.sqlite"


class SystemClock:
    """`ports.Clock`: the time of this machine."""

    def now(self) -> int:
        """Milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait; cancelling ends it."""
        await asyncio.sleep(seconds)


def data_root() -> Path:
    """`COTERIE_DATA`, or the folder where this system keeps users' data."""
    named = os.environ.get("COTERIE_DATA")
    if named:
        return Path(named).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "coterie"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "coterie"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "coterie"


def profile_of(service_url: str) -> str:
    """A folder's name for a service: a device belongs to one service, and its session goes to no other."""
    return re.sub(r"[^a-z0-9.-]", "_", urlsplit(service_url).netloc.rpartition("@")[2].lower()) or "_"


def state_path(root: Path, profile: str) -> Path:
    """Where a profile's state lies."""
    return root / "client" / profile / STATE_FILE


def make_transport(service_url: str) -> Transport:
    """HTTP; through supabase-py where `COTERIE_SUPABASE_KEY` holds a project's publishable key.

    Raises `LocalError` (`bad_service_url`).
    """
    plain = HttpTransport(service_url)
    key = os.environ.get("COTERIE_SUPABASE_KEY")
    if not key:
        return plain
    from coterie.transport.supabase import SupabaseTransport

    return SupabaseTransport(service_url, key, plain)


def profile_key(path: Path, ask: Ask = nobody) -> ProfileKey:
    """What opens the state in `path`; `ask` asks the user for a passphrase."""
    return ProfileKey(importlib.import_module("coterie_mls"), path, os.environ, ask)


def has_profile(path: Path) -> bool:
    """Whether there is a state in `path`. Raises `StorageError`, also when there was one (`data_lost`)."""
    return profile_key(path).exists()


async def keep_key(path: Path, way: Way | None, ask: Ask) -> Way | None:
    """Keep the key of the state in `path` in another way, unless it is None; the way that holds now.

    None for a state without a key: one from before there were keys, until it is opened the next time. Raises
    `StorageError`, also while a Coterie uses it (`storage_in_use`), and `LocalError` (`ProfileKey.keep`).
    """
    lock = await asyncio.to_thread(lock_of, path)
    try:
        profile = profile_key(path, ask)
        if way is not None:
            await profile.keep(way)
        record = profile.record()
    finally:
        lock.close()
    return record.way if record else None


async def open_client(
    service_url: str, path: Path, on_event: Callable[[dict[str, Any]], None], ask: Ask = nobody
) -> Client:
    """A client on the state in `path`, not started yet. `Client.close` closes what was opened here.

    Raises `StorageError` when the state can't be used (another Coterie has it open, it is damaged, it or its key is
    missing, …), `LocalError` for a wrong passphrase and for a bad address (`bad_service_url`).
    """
    transport = make_transport(service_url)
    try:
        store = await _open_store(path, profile_key(path, ask))
    except BaseException:
        await transport.close()
        raise
    return Client(
        mls=importlib.import_module("coterie_mls"),
        store=store,
        transport=transport,
        clock=SystemClock(),
        on_event=on_event,
        service_url=service_url,
    )


async def _open_store(path: Path, key: ProfileKey) -> SqliteStore:
    store = await SqliteStore.open(path, key)
    try:
        key.settle()
    except BaseException:
        await store.close()
        raise
    return store
