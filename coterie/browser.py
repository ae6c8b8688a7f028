"""Composition root for the browser: IndexedDB, fetch and WebSocket, the binding; the worker's end of the bridge.

`web/boot.js` imports this module inside Pyodide and calls `open_page`. docs/bridge.md has the operations.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from js import console
from pyodide.ffi import to_js

from coterie.backup import Backups
from coterie.client import Client
from coterie.errors import CoterieError, StateError
from coterie.storage import indexeddb
from coterie.storage.indexeddb import IndexedDbStore
from coterie.transport.fetch import FetchTransport

Operation = Callable[..., Awaitable[Any]]

OPERATIONS: Mapping[str, Operation] = {
    "set_name": Client.set_name,
    "create_group": Client.create_group,
    "open_group": Client.open_group,
    "send_text": Client.send_text,
    "health": Client.health,
    "discard_line": Client.discard_line,
    "create_invite": Client.create_invite,
    "list_invites": Client.list_invites,
    "revoke_invite": Client.revoke_invite,
    "preview_link": Client.preview_link,
    "join": Client.join,
    "cancel_join": Client.cancel_join,
    "dismiss_join": Client.dismiss_join,
    "remove_member": Client.remove_member,
    "leave_group": Client.leave_group,
    "rejoin": Client.rejoin,
    "start_again": Client.start_again,
    "forget_group": Client.forget_group,
    "people": Client.people,
    "add_person": Client.add_person,
    "invitations": Client.invitations,
    "accept_invitation": Client.accept_invitation,
    "decline_invitation": Client.decline_invitation,
    "devices": Client.devices,
    "revoke_device": Client.revoke_device,
    "rename_device": Client.rename_device,
    "sign_in": Client.sign_in,
    "passkey_options": Client.passkey_options,
    "passkey_verify": Client.passkey_verify,
    "sign_in_options": Client.sign_in_options,
    "sign_in_verify": Client.sign_in_verify,
    "list_passkeys": Client.list_passkeys,
    "rename_passkey": Client.rename_passkey,
    "remove_passkey": Client.remove_passkey,
    "mark_read": Client.mark_read,
    "export_state": Client.export_state,
    "import_state": Client.import_state,
    "sign_out": Client.sign_out,
}
BACKUPS: Mapping[str, Operation] = {
    "backup_begin": Backups.backup_begin,
    "backup_read": Backups.backup_read,
    "restore_begin": Backups.restore_begin,
    "restore_check": Backups.restore_check,
    "restore_write": Backups.restore_write,
    "restore_end": Backups.restore_end,
}
"""All that the page can ask for, of the client and of its backups. What is not here does not exist for it."""

OWN = frozenset({"start", "lock", "lock_state", "lock_with", "unlock"})
"""What `Page` does itself: it is about whether there is a client."""

NOT_STARTED = StateError("not_started", "Coterie is still starting. Try again.")
INTERNAL = "Something went wrong inside Coterie. Reload the page; nothing that was saved is lost."
GONE = (
    "The browser has deleted what Coterie kept here, or you have cleared its data: your groups, what was said and your"
    " keys. Nothing was sent after that. Reload to begin anew; a backup brings back what was said."
)
MESSAGES_SHOWN = (AttributeError, ImportError, NameError, TypeError)
"""Errors whose message is about code; the message of any other may hold what was typed, or a key."""


class BrowserClock:
    """`ports.Clock`: the time of this browser."""

    def now(self) -> int:
        """Milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait; cancelling ends it."""
        await asyncio.sleep(seconds)


class ConsoleHandler(logging.Handler):
    """Log records to the browser's console: what and where, no values."""

    def emit(self, record: logging.LogRecord) -> None:
        """One record."""
        error = record.exc_info[1] if record.exc_info else None
        write = console.error if record.levelno >= logging.ERROR else console.warn
        write(f"coterie: {record.getMessage()}{': ' + where(error) if error else ''}")


def where(error: BaseException) -> str:
    """The kind of an error and the places it came through, without the values that its message may hold."""
    said = f"{type(error).__name__}: {error}" if isinstance(error, MESSAGES_SHOWN) else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    return f"{said}\n" + "\n".join(f"  {one.filename}:{one.lineno} {one.name}" for one in frames)


class Page:
    """The client as one page has it: operations in, events out, both as JSON (or bytes)."""

    def __init__(
        self,
        mls: Any,
        origin: str,
        storage: Any,
        stretch: Callable[..., Awaitable[Any]],
        on_event: Callable[[str], None],
    ) -> None:
        self._mls = mls
        self._origin = origin
        self._storage = storage
        self._stretch = stretch
        self._on_event = on_event
        self._client: Client | None = None
        self._store: IndexedDbStore | None = None
        self._backups: Backups | None = None
        self._watching: asyncio.Task[None] | None = None
        """Waits for the browser to take the storage away."""
        self._starting = asyncio.Lock()

    async def call(self, op: str, fields: str, data: Any = None) -> Any:
        """Carry out `op`: JSON text `{result}` or `{error}`, or bytes.

        `fields` is JSON text; `data`, a Uint8Array, is the field of that name of an operation that takes bytes.
        """
        try:
            result = await self._operation(op)(**_fields(fields, data))
        except CoterieError as error:
            return json.dumps({"error": {"code": error.code, "sentence": error.sentence}})
        except Exception as error:  # noqa: BLE001  the page gets a sentence, the console the place
            console.error(f"coterie: operation {op}: {where(error)}")
            return json.dumps({"error": {"code": "internal", "sentence": INTERNAL}})
        return to_js(result) if isinstance(result, bytes) else json.dumps({"result": result})

    def _operation(self, op: str) -> Operation:
        if op in OWN:
            own: Operation = getattr(self, f"_{op}")
            return own
        if op in BACKUPS:
            return self._bound(BACKUPS[op], self._backups)
        if op in OPERATIONS:
            return self._bound(OPERATIONS[op], self._client)
        raise StateError("unknown_operation", "This page is of another version than its worker. Reload it.")

    def _bound(self, method: Operation, target: Client | Backups | None) -> Operation:
        if target is None:
            raise NOT_STARTED
        return lambda **fields: method(target, **fields)

    async def _stretched(self, secret: bytes, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
        """`core.keys.Stretch`, by `web/stretching.js`."""
        tag = await self._stretch(to_js(secret), to_js(salt), memory_kib, passes, lanes)
        return bytes(tag.to_py())

    async def _start(self) -> dict[str, Any]:
        """Open the state (this worker holds the Web Lock by now) and go online; for later tabs, how it stands."""
        async with self._starting:
            before, gone = self._client, self._gone()
            if before is not None and not gone and not await before.over():
                return before.snapshot()
            await self._end()
            store = await IndexedDbStore.open(self._storage)
            client = Client(
                mls=self._mls,
                store=store,
                transport=FetchTransport(self._origin),
                clock=BrowserClock(),
                on_event=lambda event: self._on_event(json.dumps(event)),
                service_url=self._origin,
                device_name="Browser",
            )
            try:
                snapshot = await client.start()
            except BaseException:
                await client.close()
                raise
            self._client, self._store = client, store
            self._backups = client.backups(self._stretched)
            self._watching = asyncio.ensure_future(_tell_when_gone(store, client))
            if before is not None and not gone:  # other tabs show what the one before had
                self._on_event(json.dumps({"event": "snapshot", "snapshot": snapshot}))
            return snapshot

    def _gone(self) -> bool:
        """Whether the browser has taken the storage away: whoever starts anew gets what there is now."""
        return self._watching is not None and self._watching.done()

    async def _end(self) -> None:
        client, watching = self._client, self._watching
        self._client = self._store = self._backups = self._watching = None
        if watching:
            watching.cancel()
        if client:
            await client.close()

    async def _lock_state(self) -> dict[str, Any]:
        """How this device is locked: `{way, credential, salt}`. Raises `StorageError`."""
        return await indexeddb.lock_state(self._storage)

    async def _unlock(self, **given: str) -> dict[str, Any]:
        """Let `start` open the state, in every tab. Raises `LocalError`: `wrong_passphrase`, `wrong_passkey`."""
        await indexeddb.unlock(self._storage, _credentials(given))
        self._on_event(json.dumps({"event": "unlocked"}))
        return {}

    async def _lock_with(
        self, *, way: str, current: dict[str, str], following: dict[str, str]
    ) -> dict[str, Any]:
        """Lock this device in another way from now on. Raises as `IndexedDbStore.keep`."""
        if self._store is None:
            raise NOT_STARTED
        await self._store.keep(way, _credentials(current), _credentials(following))
        return {}

    async def _lock(self) -> dict[str, Any]:
        """Stop, and forget the keys in every tab. Raises `LocalError` (`not_locked`), `StorageError`."""
        async with self._starting:
            if self._store is None or self._client is None:
                raise NOT_STARTED
            await self._store.lockable()
            try:
                await self._store.lock()
            finally:  # the keys are forgotten, whatever else went wrong
                await self._end()
                self._on_event(json.dumps({"event": "locked"}))
        return {}


def _credentials(given: Mapping[str, str]) -> dict[str, str | bytes]:
    """What opens a lock: `passphrase` as text, `prf` and `credential` of a passkey from hex."""
    return {name: text if name == "passphrase" else bytes.fromhex(text) for name, text in given.items()}


async def _tell_when_gone(store: IndexedDbStore, client: Client) -> None:
    """Say it at once when the storage is gone, not with the next line that can't be saved."""
    await store.gone()
    client.problem("storage_gone", GONE)


def _fields(fields: str, data: Any) -> dict[str, Any]:
    """An operation's fields: JSON text, and beside it `data`, a Uint8Array, where it takes bytes."""
    given: dict[str, Any] = json.loads(fields)
    return given if data is None else {**given, "data": data.to_bytes()}


def open_page(
    origin: str, storage: Any, stretch: Callable[..., Awaitable[Any]], on_event: Callable[[str], None]
) -> Page:
    """The page's client, not started yet: nothing is opened before `start`, but all code is there for it.

    `origin` is where the service is, `storage` the module `web/store.js`, `stretch` that of `web/stretching.js`;
    `on_event` takes each event as JSON text.
    """
    log = logging.getLogger("coterie")
    log.handlers[:] = [ConsoleHandler()]
    log.propagate = False
    mls = importlib.import_module("coterie_mls")  # not with this module, which the snapshot of the heap holds
    return Page(mls, origin, storage, stretch, on_event)
