"""Clients that stood still while another one of this device went on: what they remember must not leave them."""

import asyncio
import copy
from typing import Any

import pytest

import coterie_mls
from coterie.client import Client
from coterie.errors import StateError, StorageLost
from tests.support.exchange import LIFE, Exchange, FaultyStore, ManualClock, Person, settle

TOKEN = "/auth/v1/token?grant_type=refresh_token"
GONE = StorageLost("storage_lost", "Another tab has taken over.")


async def stands_still(exchange: Exchange, person: Person) -> ManualClock:
    """The person's client, started anew on a clock of its own."""
    all_others = exchange.clock
    exchange.clock = own = ManualClock(exchange.office)
    await person.again()
    exchange.clock = all_others
    await settle()
    return own


async def takes_over(exchange: Exchange, person: Person) -> tuple[Client, list[tuple[str, dict[str, Any]]]]:
    """Another client of the device opens its store, which is lost to the first; and what it asks for."""
    wire = copy.copy(person.wire)
    wire.log, wire.socket, wire.sockets = [], None, False
    store = FaultyStore(person.store.rows())
    person.store.error = GONE
    client = Client(
        mls=coterie_mls,
        store=store,
        transport=wire,
        clock=exchange.clock,
        on_event=lambda _: None,
        service_url="https://chat.example",
    )
    await client.start()
    return client, wire.log


@pytest.mark.parametrize("sockets", [True, False])
async def test_a_client_that_was_given_up_uses_no_refresh_token(exchange: Exchange, *, sockets: bool) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    own = await stands_still(exchange, alice)
    alice.wire.sockets = sockets
    alice.wire.cut()
    other, asked = await takes_over(exchange, alice)
    await exchange.clock.advance(2 * LIFE + 120)
    assert [path for path, _ in asked].count(TOKEN) == 2
    alice.wire.log.clear()
    assert alice.problems() == []
    await own.advance(30)
    assert TOKEN not in [path for path, _ in alice.wire.log], "the service would end the session"
    assert "storage_lost" in alice.problems()
    await other.send_text(group_id=group_id, text="still here")
    await exchange.clock.advance(10)
    assert await bob.texts(group_id) == ["still here"]
    await other.close()


async def test_a_copy_is_not_written_over_a_device_whose_first_save_waits(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    copied = await alice.client.export_state()
    carol = await exchange.person("Carol")
    carol.store.held = saving = asyncio.Event()
    naming = asyncio.ensure_future(carol.client.set_name(name="Caroline"))
    await settle()
    creating = asyncio.ensure_future(carol.client.create_group(name="Carol's"))
    await settle()
    importing = asyncio.ensure_future(carol.client.import_state(data=copied))
    await settle()
    carol.store.held = None
    saving.set()
    with pytest.raises(StateError) as refused:
        await importing
    assert refused.value.code == "not_empty"
    await naming
    made = await creating
    assert [group["group_id"] for group in carol.client.snapshot()["groups"]] == [made["group_id"]]
