"""Damage on the disk: said at the start and when it is met, and the other groups go on."""

from typing import Any

import pytest

import coterie_mls
from coterie.core.records import Group, group_key
from tests.support.exchange import Exchange, settle


async def test_what_is_damaged_is_said_at_the_start(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    rows = alice.store.rows()
    rows["groups", group_key(group_id)] = b"\x80"
    await alice.client.close()
    alice.store = type(alice.store)(rows)
    alice.client, alice.events = alice._client(), []
    alice.client._on_event = alice.events.append
    await alice.client.start()
    (problem,) = alice.told("problem")
    assert (problem["code"], "“Friends”" in problem["sentence"]) == ("damaged", True)


async def test_keys_that_turn_out_damaged_stop_their_group_alone(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    other = (await alice.client.create_group(name="Others"))["group_id"]
    link = (await alice.client.create_invite(group_id=other))["link"]
    await bob.client.join(link=link, name="Bob")
    await settle()
    engine = bob.client._engine
    damaged = Group.decode(bob.rows("groups")[group_key(group_id)]).mls_id
    whole: Any = engine.backend

    class Damaged:
        def __getattr__(self, name: str) -> Any:
            return getattr(whole, name)

        def process(self, mls_id: bytes, message: bytes) -> Any:
            if mls_id == damaged:
                raise coterie_mls.Corrupt("a row")
            return whole.process(mls_id, message)

    monkeypatch.setattr(engine, "backend", Damaged())
    before = bob.rows("mls")
    await alice.client.send_text(group_id=group_id, text="never read here")
    await alice.client.send_text(group_id=other, text="read")
    await settle()
    assert await bob.texts(other) == ["read"]
    assert await bob.texts(group_id) == []
    assert bob.problems() == ["damaged"]
    views = {group["group_id"]: group for group in engine.snapshot("")["groups"]}
    assert (views[group_id]["state"], views[other]["state"]) == ("archive", "active")
    assert bob.told("group")[-1]["group"]["state"] in ("archive", "active")
    assert set(before) <= set(bob.rows("mls"))
