"""Inside Pyodide: runs one case of a contract at a time. The contracts are the files that CPython's tests use."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable

import coterie_store
import storage_contract
import transport_contract

from coterie.errors import StorageError, StorageLost
from coterie.ports import TABLES, Store, Transport
from coterie.storage.indexeddb import IndexedDbStore
from coterie.transport.fetch import FetchTransport

RACED = 20
"""Commits of one writer before a second one opens the same database."""


async def storage(name: str, database: str) -> None:
    """One case of the storages' contract, in a database of its own."""
    stores: list[Store] = []

    async def opened() -> Store:
        stores.append(await IndexedDbStore.open(coterie_store, database))
        return stores[-1]

    await (storage_contract.CASES | storage_contract.LASTING)[name](opened)
    for store in stores:
        await store.close()


async def transport(name: str, origin: str) -> None:
    """One case of the transports' contract."""

    def make(**settings: float) -> Transport:
        return FetchTransport(origin, **settings)

    await transport_contract.CASES[name](make)


def wrong_addresses() -> None:
    transport_contract.refuses_wrong_addresses(FetchTransport)


async def down(address: str) -> None:
    """Nobody listens there."""
    transport = FetchTransport(address)
    await transport_contract.unreachable(transport_contract.call(transport, "echo"), "unreachable")
    await transport_contract.unreachable(transport.connect(), "unreachable")


async def two_writers(database: str) -> None:
    """Two open at once: the one that opened last goes on, the other is told and writes nothing, then or later."""
    first = await IndexedDbStore.open(coterie_store, database)
    await first.commit({("mls", b"a"): b"first"})
    second = await IndexedDbStore.open(coterie_store, database)
    for call in (first.commit({("mls", b"a"): b"first again"}), first.clear()):
        await lost(call, "storage_lost")
    assert await second.load("mls") == {b"a": b"first"}
    await second.commit({("mls", b"a"): b"second"})
    await lost(first.commit({("mls", b"a"): b"first once more"}), "storage_lost")
    assert await first.load("mls") == {b"a": b"second"}


async def racing_writers(database: str) -> None:
    """Two that write as fast as they can while the second opens: what was told to be saved is there.

    The second reads all of it when it has opened; nothing of the first comes after that.
    """
    first = await IndexedDbStore.open(coterie_store, database)
    saved: list[int] = []
    raced = asyncio.Event()

    async def write_until_lost() -> None:
        number = 0
        while True:
            try:
                await first.commit({("mls", number.to_bytes(4, "big")): b"first"})
            except StorageLost:
                return
            saved.append(number)
            number += 1
            if number == RACED:
                raced.set()

    writing = asyncio.ensure_future(write_until_lost())
    await raced.wait()
    second = await IndexedDbStore.open(coterie_store, database)
    found = await second.load("mls")
    await second.commit({("mls", b"\xff" * 4): b"second"})
    await writing
    assert list(found) == [number.to_bytes(4, "big") for number in saved]
    assert await second.load("mls") == found | {b"\xff" * 4: b"second"}


async def lost(call: Awaitable[object], code: str) -> None:
    """The call raises `StorageLost`."""
    raised: StorageLost | None = None
    try:
        await call
    except StorageLost as error:
        raised = error
    assert raised is not None, f"expected StorageLost {code}"
    assert (raised.code, raised.sentence[-1]) == (code, "."), raised.code


async def expects(database: str, code: str) -> None:
    """Opening raises `StorageError` with this code."""
    await storage_contract.refused(IndexedDbStore.open(coterie_store, database), code)


KEPT: dict[str, IndexedDbStore] = {}


async def keep(database: str) -> None:
    """Open, write, and stay open until `find`."""
    KEPT[database] = await IndexedDbStore.open(coterie_store, database)
    await KEPT[database].commit({("mls", b"a"): b"kept"})


async def find_lost(database: str, code: str) -> None:
    """What `keep` opened was lost meanwhile."""
    await lost(KEPT[database].commit({("mls", b"a"): b"new"}), code)
    await lost(KEPT[database].load("mls"), code)


async def find_lost_writer(database: str) -> None:
    """Another tab wrote after `keep`: what this one has may be read, and nothing written."""
    await lost(KEPT[database].commit({("mls", b"a"): b"new"}), "storage_lost")


async def fill_up(database: str) -> int:
    """Write until there is no space; the commit that failed wrote nothing."""
    store, count, code = await IndexedDbStore.open(coterie_store, database), 0, ""
    while not code:
        try:
            big = os.urandom(1 << 20)  # bytes that no compression makes small
            await store.commit({("groups", b"%d" % count): big, ("mls", b"count"): b"%d" % count})
            count += 1
        except StorageError as error:
            code = error.code
    assert code == "storage_full", code
    assert (await store.load("mls"))[b"count"] == b"%d" % (count - 1)
    assert len(await store.load("groups")) == count
    await store.close()
    return count


async def broken_in_the_middle(database: str) -> None:
    """A row that IndexedDB itself refuses, after others were put in the same transaction: none is written.

    Goes past the check that refuses it earlier: a table that is not in the transaction's list, by a raw call.
    """
    store = await IndexedDbStore.open(coterie_store, database)
    await store.commit({("mls", b"a"): b"old"})
    failed = await coterie_store_try(store)
    assert failed == "storage_failed", failed
    assert await store.load("mls") == {b"a": b"old"}
    await store.commit({("mls", b"a"): b"new"})
    assert await store.load("mls") == {b"a": b"new"}


async def coterie_store_try(store: IndexedDbStore) -> str:
    from pyodide.ffi import JsException, to_js  # noqa: PLC0415

    rows = to_js([["mls", b"a", b"half"], ["mls", [True], b"a boolean is no key"], ["mls", b"b", b"half"]])
    try:
        await store._store.commit(rows)
    except JsException as error:
        return str(error.name)
    return "written"


async def write(database: str, key: str, value: str) -> None:
    store = await IndexedDbStore.open(coterie_store, database)
    await store.commit({("mls", key.encode()): value.encode()})
    await store.close()


async def read(database: str) -> str:
    """Table `mls` as "key=value" lines."""
    store = await IndexedDbStore.open(coterie_store, database)
    rows = await store.load("mls")
    await store.close()
    return "\n".join(f"{key.decode()}={value.decode()}" for key, value in rows.items())


def tables() -> str:
    return " ".join(TABLES)
