"""An error that nobody foresaw ends the turn that met it, is told once, and stops nothing else."""

import asyncio
import sys
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

import coterie_mls
from coterie.core import causes
from coterie.core.effects import Step
from coterie.core.engine import Engine
from coterie.core.records import Group
from coterie.errors import StorageError, StorageLost
from coterie_wire import Envelope, WireError, uuid_bytes
from tests.support.exchange import Exchange, settle


class Panic(BaseException):
    """As the compiled binding raises it."""


ERRORS = [
    coterie_mls.MlsError("too large"),
    WireError("bad_id"),
    KeyError("a defect"),
    Panic("a defect"),
]
OF_A_STORE = [MemoryError(), KeyError("a defect"), Panic("a defect")]
each_of_a_store = pytest.mark.parametrize("error", OF_A_STORE, ids=lambda error: type(error).__name__)
each_error = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


def fail(
    monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException, when: Callable[..., bool]
) -> list[int]:
    """Let an engine's method raise whenever `when` holds of its arguments; the times of all calls."""
    calls: list[int] = []
    whole = getattr(Engine, name)

    def method(self: Engine, *args: Any, **options: Any) -> Step:
        calls.append(args[-1])
        if when(*args):
            raise error
        return whole(self, *args, **options)  # type: ignore[no-any-return]

    monkeypatch.setattr(Engine, name, method)
    return calls


@each_error
async def test_ticking_goes_on(
    exchange: Exchange,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    _, (alice, _) = await exchange.friends("Alice", "Bob")
    ticks = fail(monkeypatch, "tick", error, lambda now: True)
    await exchange.clock.advance(30)
    assert len(set(ticks)) > 4
    assert alice.problems() == ["internal"]
    assert caplog.text.count("a turn came to nothing") == 2, "once of each client, not of each tick"


@each_error
@pytest.mark.parametrize("sockets", [True, False])
@pytest.mark.parametrize("method", ["receive", "caught_up"])
async def test_one_group_stops_no_other(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, method: str, error: BaseException, *, sockets: bool
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    other = (await alice.client.create_group(name="Others"))["group_id"]
    link = (await alice.client.create_invite(group_id=other))["link"]
    await bob.client.join(link=link, name="Bob")
    await exchange.clock.advance(10)
    bob.wire.sockets = sockets
    bob.wire.cut()

    def of_the_first(what: Envelope | str, *_: Any) -> bool:
        return (what if isinstance(what, str) else what.group_id) == group_id

    fail(monkeypatch, method, error, of_the_first)
    await alice.client.send_text(group_id=group_id, text="stops here")
    await exchange.clock.advance(15)
    await alice.client.send_text(group_id=other, text="arrives")
    await exchange.clock.advance(15)
    assert await bob.texts(other) == ["arrives"]
    assert bob.problems() == ["internal"]
    assert bob.client.snapshot()["connection"] == ("online" if sockets else "polling")


async def test_what_the_user_asked_for_says_so(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    rows = alice.store.rows()
    fail(monkeypatch, "send_text", KeyError("a defect"), lambda _, text, *__: text == "no")
    with pytest.raises(Exception, match="in Coterie itself") as failed:
        await alice.client.send_text(group_id=group_id, text="no")
    assert getattr(failed.value, "code", "") == "internal"
    assert alice.store.rows() == rows
    await alice.client.send_text(group_id=group_id, text="yes")
    await settle()
    assert await bob.texts(group_id) == ["yes"]


# -- a store that fails as none should --


@each_of_a_store
async def test_what_could_not_be_saved_once_is_tried_again(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    commit = bob.store.commit
    failed: list[Any] = []

    async def once(changes: Any) -> None:
        if not failed:
            failed.append(changes)
            raise error
        await commit(changes)

    monkeypatch.setattr(bob.store, "commit", once)
    await alice.client.send_text(group_id=group_id, text="one")
    await exchange.clock.advance(15)
    assert failed
    assert await bob.texts(group_id) == ["one"]
    assert bob.client.snapshot()["groups"][0]["state"] == "active"


async def test_a_group_that_met_a_defect_is_not_called_damaged(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    fail(monkeypatch, "receive", KeyError("a defect"), lambda *_: True)
    await alice.client.send_text(group_id=group_id, text="one")
    await settle()
    (group,) = bob.client.snapshot()["groups"]
    assert group["state"] == "archive"
    assert group["why"] == causes.sentence("set_aside", [])
    assert await bob.client.over()


@pytest.mark.parametrize("error", [MemoryError(), Panic("a defect")])
async def test_a_state_that_can_not_be_read_again_ends_the_client_with_words(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")

    async def fails(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(alice.store, "load", fails)
    monkeypatch.setattr(alice.store, "commit", fails)
    for _ in range(2):
        with pytest.raises(StorageError, match="in Coterie itself") as failed:
            await alice.client.send_text(group_id=group_id, text="no")
        assert failed.value.code == "internal"
    assert await alice.client.over()


async def test_a_state_that_another_has_taken_over_is_left_to_it(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    alice.store.error = StorageLost("storage_lost", "Another tab has it.")
    assert not await alice.client.over()
    with pytest.raises(StorageLost):
        await alice.client.send_text(group_id=group_id, text="no")
    assert not await alice.client.over()


@each_of_a_store
async def test_what_was_deleted_by_a_store_that_then_failed_is_not_gone_on_from(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Memory has what is on the disk, or ratchets would go on in an empty store."""
    _, (alice, _) = await exchange.friends("Alice", "Bob")
    clear = alice.store.clear

    async def late() -> None:
        await clear()
        raise error

    monkeypatch.setattr(alice.store, "clear", late)
    with pytest.raises(StorageError, match="in Coterie itself"):
        await alice.client.sign_out()
    assert alice.client.snapshot()["groups"] == []
    await exchange.clock.advance(15)
    assert alice.store.rows() == {}


@each_of_a_store
async def test_what_could_not_be_saved_is_not_known(exchange: Exchange, error: BaseException) -> None:
    """What came is read at the next start, and nothing that is saved meanwhile goes past it."""
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    other = (await alice.client.create_group(name="Others"))["group_id"]
    link = (await alice.client.create_invite(group_id=other))["link"]
    await bob.client.join(link=link, name="Bob")
    await exchange.clock.advance(10)
    groups = bob.rows("groups")
    bob.store.error = error
    await alice.client.send_text(group_id=group_id, text="one")
    await settle()
    bob.store.error = None
    assert bob.rows("groups") == groups
    assert set(bob.problems()) == {"internal"}
    await alice.client.send_text(group_id=other, text="arrives")
    await exchange.clock.advance(15)
    assert await bob.texts(other) == ["arrives"]
    assert bob.client.snapshot()["connection"] == "online"
    await bob.client.set_name(name="Robert")
    await alice.client.send_text(group_id=group_id, text="two")
    await exchange.clock.advance(15)
    key = uuid_bytes(group_id)
    assert Group.decode(bob.rows("groups")[key]).cursor == Group.decode(groups[key]).cursor
    await bob.again()
    await exchange.clock.advance(15)
    assert await bob.texts(group_id) == ["one", "two"]
    assert "gap" not in await bob.codes(group_id)


@each_of_a_store
async def test_what_could_not_be_saved_is_not_posted(exchange: Exchange, error: BaseException) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    rows, posts = alice.store.rows(), len(alice.wire.posts("send_message"))
    alice.store.error = error
    with pytest.raises(StorageError, match="in Coterie itself") as failed:
        await alice.client.send_text(group_id=group_id, text="lost")
    assert failed.value.code == "internal"
    alice.store.error = None
    assert alice.store.rows() == rows
    await exchange.clock.advance(15)
    assert len(alice.wire.posts("send_message")) == posts
    await alice.client.send_text(group_id=group_id, text="kept")
    await exchange.clock.advance(10)
    assert await bob.texts(group_id) == await alice.texts(group_id) == ["kept"]


@each_of_a_store
async def test_a_store_that_cannot_be_read_back_either_ends_all_turns(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")

    async def load(table: str) -> dict[bytes, bytes]:
        raise StorageError("storage_failed", "No.")

    posts = len(alice.wire.posts("send_message"))
    alice.store.error = error
    with monkeypatch.context() as patch:
        patch.setattr(alice.store, "load", load)
        with pytest.raises(StorageError):
            await alice.client.send_text(group_id=group_id, text="lost")
    alice.store.error = None
    with pytest.raises(StorageError, match="in Coterie itself"):
        await alice.client.send_text(group_id=group_id, text="lost too")
    await exchange.clock.advance(15)
    assert len(alice.wire.posts("send_message")) == posts


async def test_a_save_that_was_cut_off_ends_all_turns(exchange: Exchange) -> None:
    """Whether it was written is known at the next start alone."""
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    posts = len(alice.wire.posts("send_message"))
    alice.store.error = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await alice.client.send_text(group_id=group_id, text="lost")
    alice.store.error = None
    with pytest.raises(StorageError):
        await alice.client.send_text(group_id=group_id, text="lost too")
    await exchange.clock.advance(15)
    assert len(alice.wire.posts("send_message")) == posts


@pytest.mark.parametrize("error", ["MemoryError", "RangeError"])
async def test_a_page_without_memory_for_the_rows_has_a_storage_that_failed(
    monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    class JsException(Exception):
        name = error
        message = "Array buffer allocation failed"

    def to_js(rows: list[Any]) -> Any:
        raise MemoryError if error == "MemoryError" else JsException

    for name, module in (
        ("js", SimpleNamespace(Object=None)),
        ("pyodide", SimpleNamespace()),
        ("pyodide.ffi", SimpleNamespace(JsException=JsException, to_js=to_js)),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    store = import_module("coterie.storage.indexeddb").IndexedDbStore(SimpleNamespace())
    del sys.modules["coterie.storage.indexeddb"]
    with pytest.raises(StorageError) as failed:
        await store.commit({("device", b"k"): b"v"})
    assert failed.value.code == "storage_failed"
