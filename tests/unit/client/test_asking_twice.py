"""What a tab asks again of the next owner, not knowing whether the one before heard it; what all tabs are told."""

from uuid import uuid4

import pytest

from coterie.errors import LocalError, StateError
from coterie.ports import Answer
from tests.support.exchange import Exchange, settle

TEXT = "only once"


async def test_a_line_that_is_asked_for_twice_is_one_line(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    line_id = str(uuid4())
    first = await alice.client.send_text(group_id=group_id, text=TEXT, line_id=line_id)
    assert first["state"] == "pending"
    assert await alice.client.send_text(group_id=group_id, text=TEXT, line_id=line_id) == {}
    await settle()
    await alice.killed()
    assert await alice.client.send_text(group_id=group_id, text=TEXT, line_id=line_id) == {}
    await settle()
    assert await alice.texts(group_id) == await bob.texts(group_id) == [TEXT]


async def test_a_line_that_was_saved_before_the_owner_died_goes_out_once(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    line_id = str(uuid4())
    alice.wire.down = True
    await alice.client.send_text(group_id=group_id, text=TEXT, line_id=line_id)
    await alice.killed()
    assert await alice.client.send_text(group_id=group_id, text=TEXT, line_id=line_id) == {}
    alice.wire.down = False
    await exchange.clock.advance(30)
    assert await alice.texts(group_id) == await bob.texts(group_id) == [TEXT]


async def test_equal_texts_with_ids_of_their_own_are_two_lines(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    for _ in range(2):
        await alice.client.send_text(group_id=group_id, text=TEXT, line_id=str(uuid4()))
    await settle()
    assert await bob.texts(group_id) == [TEXT, TEXT]


async def test_an_id_of_a_line_that_was_refused_may_serve_again(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    line_id = str(uuid4())
    with pytest.raises(LocalError, match="characters"):
        await alice.client.send_text(group_id=group_id, text="x" * 16_001, line_id=line_id)
    await alice.client.send_text(group_id=group_id, text=TEXT, line_id=line_id)
    await settle()
    assert await bob.texts(group_id) == [TEXT]


async def test_a_line_that_is_discarded_twice_is_discarded(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    alice.wire.answers["/functions/v1/send_message"] = Answer(413, {"code": "too_large", "message": "No."})
    await alice.client.send_text(group_id=group_id, text=TEXT)
    await settle()
    *_, failed = (await alice.client.open_group(group_id=group_id))["lines"]
    assert failed["state"] == "failed"
    for _ in range(2):
        assert await alice.client.discard_line(group_id=group_id, key=failed["key"]) == {}
        assert await alice.texts(group_id) == []
        await alice.killed()


async def test_ids_that_are_none_and_groups_that_are_not_there(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    with pytest.raises(LocalError, match="UUID") as refused:
        await alice.client.send_text(group_id=group_id, text=TEXT, line_id="1")
    assert refused.value.code == "bad_id"
    with pytest.raises(StateError) as missing:
        await alice.client.send_text(group_id=str(uuid4()), text=TEXT, line_id=str(uuid4()))
    assert missing.value.code == "no_group"


async def test_every_tab_is_told_of_a_name_and_of_signing_out(exchange: Exchange) -> None:
    _, (alice, _) = await exchange.friends("Alice", "Bob")
    await alice.client.set_name(name="Alicia")
    assert alice.told("named")[-1] == {"event": "named", "name": "Alicia"}
    assert alice.client.snapshot()["name"] == "Alicia"
    await alice.client.sign_out()
    assert alice.told("signed_out") == [{"event": "signed_out"}]
    assert alice.client.snapshot()["groups"] == []
