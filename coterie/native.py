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
from coterie.ports import Transport
from coterie.storage.sqlite import SqliteStore
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


class Unencrypted:
    """`ports.KeyWrap` for a state file that the disk's own encryption and file modes protect."""

    async def key(self) -> bytes | None:
        """No key."""
        return None


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


async def open_client(service_url: str, path: Path, on_event: Callable[[dict[str, Any]], None]) -> Client:
    """A client on the state in `path`, not started yet. `Client.close` closes what was opened here.

    Raises `StorageError` when the state can't be used (another Coterie has it open, it is damaged, …) and
    `LocalError` (`bad_service_url`).
    """
    transport = make_transport(service_url)
    try:
        store = await SqliteStore.open(path, Unencrypted())
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
