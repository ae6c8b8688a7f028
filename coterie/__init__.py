"""Coterie's client: end-to-end-encrypted group chat on MLS (RFC 9420), in CPython and in Pyodide.

`coterie.native.open_client` or `coterie.browser` give a `Client`; its methods are the operations of docs/bridge.md.
"""

from coterie.client import Client
from coterie.core.invite import Link
from coterie.errors import (
    BackupError,
    ContentError,
    CoterieError,
    InviteError,
    LinkError,
    LocalError,
    Refused,
    RemoteError,
    StateError,
    StorageError,
    StorageLost,
    Unreachable,
)

__all__ = [
    "BackupError",
    "Client",
    "ContentError",
    "CoterieError",
    "InviteError",
    "Link",
    "LinkError",
    "LocalError",
    "Refused",
    "RemoteError",
    "StateError",
    "StorageError",
    "StorageLost",
    "Unreachable",
]
