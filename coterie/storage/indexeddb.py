"""State in the browser's IndexedDB, through `web/store.js`: one strict transaction a commit.

The helper does in JavaScript what would cost a crossing for every request; here bytes are handed over, and errors
become `StorageError`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from js import Object
from pyodide.ffi import JsException, to_js

from coterie.errors import LocalError, StorageError, StorageLost
from coterie.ports import Changes
from coterie.storage import check_changes, check_table, page_end

T = TypeVar("T")

LOST = ("storage_lost", "storage_gone")
UNUSABLE = ("key_lost", "locked_passphrase", "locked_passkey")
REFUSED = ("bad_passphrase", "bad_wrapping", "kdf_refused", "not_locked", "wrong_passkey", "wrong_passphrase")


class IndexedDbStore:
    """A `Store` in the database `name` of this origin. The page's Web Lock keeps it to one tab."""

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    async def open(cls, helper: Any, name: str = "coterie") -> IndexedDbStore:
        """Open or create it and bring it to the newest layout; `helper` is the module `web/store.js`.

        Raises `StorageError`: `storage_denied`, `storage_in_use`, `storage_newer`, `storage_failed`, `key_lost`, and
        `locked_passphrase` or `locked_passkey` until `unlock`.
        """
        return cls(await _typed(helper.openStore(name)))

    async def load(self, table: str) -> dict[bytes, bytes]:
        """As `ports.Store.load`."""
        check_table(table)
        return dict(_rows(await _readable(self._store.load, table)))

    async def page(
        self, table: str, prefix: bytes, *, before: bytes | None, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """As `ports.Store.page`, with a cursor that goes backwards."""
        check_table(table)
        end = page_end(prefix, before)
        if end is not None and end <= prefix:  # IndexedDB refuses a range without keys
            limit = 0
        upper = None if end is None or not limit else to_js(end)
        return _rows(await _readable(self._store.page, table, to_js(prefix), upper, max(limit, 0)))

    async def gone(self) -> None:
        """Wait until the browser takes the database away: cleared site data, eviction, a newer page."""
        await self._store.gone

    async def commit(self, changes: Changes) -> None:
        """As `ports.Store.commit`, with `durability: "strict"`."""
        check_changes(changes)
        if changes:
            rows = [[table, key, value] for (table, key), value in changes.items()]
            await _typed(self._commit(rows))

    async def _commit(self, rows: list[Any]) -> None:
        try:
            handed = to_js(rows)
        except (JsException, MemoryError) as error:  # no room for the copy: nothing was handed over
            raise StorageError("storage_failed", "This device has too little memory left to save.") from error
        await self._store.commit(handed)

    async def clear(self) -> None:
        """As `ports.Store.clear`, and new keys: what IndexedDB keeps of old values can't be opened any more."""
        await _typed(self._store.clear())

    async def keep(self, way: str, current: Mapping[str, Any], following: Mapping[str, Any]) -> None:
        """Lock it in this way (`device`: not at all, `passphrase`, `passkey`) from now on.

        `current` opens the present way and `following` the new one: `passphrase`, or `prf` and `credential`. Raises
        `LocalError`: `wrong_passphrase`, `wrong_passkey`, `bad_passphrase`; `StorageError`.
        """
        await _typed(self._store.keep(way, _object(current), _object(following)))

    async def lockable(self) -> None:
        """Raise `LocalError` (`not_locked`) while it would open for anybody."""
        await _typed(self._store.lockable())

    async def lock(self) -> None:
        """Close it and forget its keys, in every tab. Raises `LocalError` (`not_locked`), `StorageError`."""
        await _typed(self._store.lock())

    async def close(self) -> None:
        """Close it; safe to call twice."""
        await _typed(self._store.close())


async def unlock(helper: Any, credentials: Mapping[str, Any], name: str = "coterie") -> None:
    """Let `open` open it. Raises `LocalError` (`wrong_passphrase`, `wrong_passkey`), `StorageError`."""
    await _typed(helper.unlock(_object(credentials), name))


async def lock_state(helper: Any, name: str = "coterie") -> dict[str, Any]:
    """How it is locked: `way`, and for a passkey its `credential` and `salt`, as hex."""
    found = await _typed(helper.lockState(name))
    state = {"way": found.way, "credential": found.credential, "salt": found.salt}
    return {
        key: value.to_bytes().hex() if hasattr(value, "to_bytes") else value for key, value in state.items()
    }


def _object(fields: Mapping[str, Any]) -> Any:
    return to_js(dict(fields), dict_converter=Object.fromEntries)


async def _readable(read: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """What `read` of the helper gives; where rows don't open, these are empty: they do not read back, the others do."""
    try:
        return await _typed(read(*arguments))
    except StorageError as error:
        if error.code != "storage_corrupt":
            raise
        return await _typed(read(*arguments, True))  # noqa: FBT003  positional: it is JavaScript


async def _typed(promise: Awaitable[T]) -> T:
    """Wait for the helper; its errors carry a code as their name and a sentence as their message."""
    try:
        return await promise
    except JsException as error:
        code, sentence = str(error.name), str(error.message)
        if code in REFUSED:
            raise LocalError(code, sentence) from None
        if code not in UNUSABLE and not code.startswith("storage_"):
            raise
        raise (StorageLost if code in LOST else StorageError)(code, sentence) from error


def _rows(packed: Any) -> list[tuple[bytes, bytes]]:
    """The pairs in what `packed` of the helper made."""
    lengths, content = packed.lengths.to_py(), packed.bytes.to_bytes()
    parts, at = [], 0
    for length in lengths:
        parts.append(content[at : at + length])
        at += length
    return list(zip(parts[::2], parts[1::2], strict=True))
