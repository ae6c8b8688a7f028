"""A turn that can't be saved takes what the engine knew beside its rows: it is asked for anew, before any post."""

import asyncio
from typing import Any

import pytest

from coterie.core.engine import Engine
from coterie.core.group import lines
from coterie.core.records import Group, Outgoing
from coterie.core.state import Turn
from coterie.errors import StorageError, StorageLost
from coterie.ports import Answer
from coterie_wire import Envelope, uuid_bytes
from tests.support.exchange import Exchange, FaultyStore, Person, WireSocket, settle

FULL = StorageError("storage_full", "There is no room left on this device.")
RECORD = "/functions/v1/groups_list"
PAGES = "/functions/v1/get_messages"


async def put_back(person: Person, rows: dict[tuple[str, bytes], bytes]) -> None:
    """Another process on the files as they were."""
    await person.client.close()
    person.store = FaultyStore(rows)
    person.client = person._client()
    await person.client.start()


def waits_for_its_record(person: Person) -> bool:
    """Whether nothing is posted until the service has told what it remembers of the device."""
    return person.client._engine.standing.awaited


async def fails_to_save(person: Person, group_id: str) -> None:
    """One line that finds no room."""
    person.store.error = FULL
    with pytest.raises(StorageError):
        await person.client.send_text(group_id=group_id, text="lost")
    person.store.error = None


async def test_an_old_profile_posts_nothing_before_the_record_though_a_save_failed(
    exchange: Exchange,
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    rows = dict(alice.store.rows())
    await alice.client.send_text(group_id=group_id, text="one")
    await settle()
    posted = len(alice.wire.posts("send_message"))
    alice.wire.held[RECORD] = asyncio.Event()
    await put_back(alice, rows)
    await settle()
    await fails_to_save(alice, group_id)
    await alice.client.send_text(group_id=group_id, text="two")
    await exchange.clock.advance(30)
    assert len(alice.wire.posts("send_message")) == posted, "a key that was used already"
    alice.wire.held.pop(RECORD).set()
    await exchange.clock.advance(130)
    assert await bob.texts(group_id) == ["one", "two"]
    assert "back_in" in await alice.codes(group_id)


async def test_an_answer_from_before_the_failure_is_no_record(exchange: Exchange) -> None:
    """It tells of fewer messages than this device has seen since: the service did not go back."""
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    old = Answer(*exchange.office.handle(alice.wire, "groups_list", {}))
    await bob.client.send_text(group_id=group_id, text="one")
    await settle()
    late = alice.wire.held[RECORD] = asyncio.Event()
    asking = asyncio.ensure_future(alice.client._call_once("groups_list", {}))
    await settle()
    await fails_to_save(alice, group_id)
    del alice.wire.held[RECORD]
    alice.wire.answers[RECORD] = old
    late.set()
    await asking
    assert waits_for_its_record(alice)
    alice.wire.answers.clear()
    await exchange.clock.advance(10)
    assert not waits_for_its_record(alice)
    assert "service_behind" not in await alice.codes(group_id)


@pytest.mark.parametrize("sockets", [True, False])
async def test_somebody_is_let_in_after_one_save_that_failed(exchange: Exchange, *, sockets: bool) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    link = (await alice.client.create_invite(group_id=group_id))["link"]
    bob.wire.down = True
    bob.wire.cut()
    if not sockets:
        alice.wire.sockets = False
        alice.wire.cut()
    await exchange.clock.advance(15)
    await fails_to_save(alice, group_id)
    carol = await exchange.person("Carol")
    await carol.client.join(link=link, name="Carol")
    await exchange.clock.advance(20)
    assert [group["state"] for group in carol.client.snapshot()["groups"]] == ["active"]
    assert alice.told("connection")[-1]["state"] == ("online" if sockets else "polling")


async def test_the_stock_of_key_packages_is_looked_at_again_after_a_save_that_failed(
    exchange: Exchange,
) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    await fails_to_save(alice, group_id)
    asked = len(alice.wire.posts("key_packages_count"))
    await exchange.clock.advance(3_700)
    assert len(alice.wire.posts("key_packages_count")) > asked


async def test_a_first_answer_that_cannot_be_saved_makes_nobody_deaf(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    alice.wire.answers["/functions/v1/send_message"] = Answer(503, {})
    await alice.client.send_text(group_id=group_id, text="waits")
    await settle()
    rows = _of_an_epoch_that_is_gone(alice, group_id)
    await put_back(alice, rows)
    alice.store.error = FULL
    await settle()
    assert set(alice.problems()) == {"storage_full"}
    alice.store.error = None
    alice.wire.answers.clear()
    await bob.client.send_text(group_id=group_id, text="hi")
    await exchange.clock.advance(15)
    assert sorted(await alice.texts(group_id)) == ["hi", "waits"]
    assert sorted(await bob.texts(group_id)) == ["hi", "waits"]


def saved_cursor(person: Person, group_id: str) -> int:
    """As the disk has it."""
    return Group.decode(person.rows("groups")[uuid_bytes(group_id)]).cursor


async def test_no_page_is_asked_for_behind_what_is_not_saved(exchange: Exchange) -> None:
    """The page would come when the message before it is lost with the save, and make a gap of it."""
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await exchange.clock.advance(5)
    bob.wire.answers[PAGES] = Answer(503, {})
    bob.client._sync.catch_up(group_id)  # comes to nothing, and tries again in a moment
    await settle()
    bob.store.held = saving = asyncio.Event()
    await alice.client.send_text(group_id=group_id, text="one")
    await settle()  # it is being saved
    saved = saved_cursor(bob, group_id)
    bob.wire.answers.clear()
    bob.wire.held[PAGES] = page = asyncio.Event()
    bob.wire.log.clear()
    await exchange.clock.advance(0.3)
    await alice.client.send_text(group_id=group_id, text="two")
    bob.store.error = FULL
    bob.store.held = None
    saving.set()
    await settle()
    bob.store.error = None
    page.set()
    await exchange.clock.advance(10)
    assert await bob.texts(group_id) == ["one", "two"]
    assert "gap" not in await bob.codes(group_id)
    assert bob.wire.posts("get_messages")[0]["after"] == saved


async def test_no_hello_tells_what_is_not_saved(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await exchange.clock.advance(5)
    told: list[int] = []
    send = WireSocket.send

    async def heard(socket: WireSocket, frame: dict[str, Any]) -> None:
        if frame["type"] == "hello" and socket.wire is bob.wire:
            told.append(frame["cursors"][group_id])
        await send(socket, frame)

    monkeypatch.setattr(WireSocket, "send", heard)
    saved = saved_cursor(bob, group_id)
    bob.store.held = saving = asyncio.Event()
    await alice.client.send_text(group_id=group_id, text="one")
    await settle()
    bob.wire.cut()
    await exchange.clock.advance(40)  # it is found out that the socket is dead, while the save takes its time
    bob.store.error = FULL
    bob.store.held = None
    saving.set()
    await settle()
    bob.store.error = None
    await exchange.clock.advance(15)
    assert await bob.texts(group_id) == ["one"]
    assert set(told) == {saved}


async def test_a_page_behind_another_cursor_makes_no_gap(exchange: Exchange) -> None:
    """As when the service has gone back, and on again, since the page was asked for."""
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    assert bob.wire.socket
    bob.wire.socket.mute = True
    for text in ("one", "two"):
        await alice.client.send_text(group_id=group_id, text=text)
    await settle()
    last = len(exchange.office.rooms[group_id].envelopes)
    envelope = Envelope.from_json(exchange.envelope(group_id, last))
    await bob.client.take_envelope(envelope, after=last - 1)
    await settle()
    assert await bob.texts(group_id) == ["one", "two"]
    assert "gap" not in await bob.codes(group_id)


async def test_cursors_of_a_state_that_is_lost_are_not_told(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    alice.store.error = StorageLost("storage_lost", "Another tab has taken over.")
    with pytest.raises(StorageLost):
        await alice.client.send_text(group_id=group_id, text="lost")
    with pytest.raises(StorageLost):
        await alice.client.cursors()


def _of_an_epoch_that_is_gone(person: Person, group_id: str) -> dict[tuple[str, bytes], bytes]:
    """The stored rows, with the line that waits framed in the epoch before."""
    engine: Engine = person.client._engine

    def older(turn: Turn) -> None:
        (row,) = turn.rows(Outgoing, lines.need(turn, group_id).key)
        turn.put(row.with_(epoch=row.epoch - 1))

    step, _ = engine._turn(0, older)
    return {**person.store.rows(), **{row: value for row, value in step.changes.items() if value}}
