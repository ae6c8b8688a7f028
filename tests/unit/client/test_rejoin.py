"""Clients whose profile was copied back, or whose service was: through the driver, by socket and by polling."""

import copy

import pytest

from coterie.client import Client
from coterie.ports import Answer
from tests.support.exchange import Exchange, FaultyStore, Person, settle


async def put_back(person: Person, rows: dict[tuple[str, bytes], bytes]) -> None:
    """Another process on the files as they were."""
    await person.client.close()
    person.store = FaultyStore(rows)
    person.client = person._client()
    await person.client.start()


@pytest.mark.parametrize("sockets", [True, False])
async def test_a_profile_that_was_copied_back_posts_nothing_under_an_old_key(
    exchange: Exchange, *, sockets: bool
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    alice.wire.sockets = sockets
    await alice.client.send_text(group_id=group_id, text="one")
    await settle()
    rows = dict(alice.store.rows())
    await alice.client.send_text(group_id=group_id, text="two")
    await settle()
    posted = len(alice.wire.posts("send_message"))
    alice.wire.answers["/functions/v1/groups_list"] = Answer(503, {})
    await put_back(alice, rows)
    await alice.client.send_text(group_id=group_id, text="three")
    await exchange.clock.advance(60)
    assert len(alice.wire.posts("send_message")) == posted, "not before the service has answered"
    assert await alice.states(group_id) == ["sent", "pending"]
    alice.wire.answers.clear()
    await exchange.clock.advance(130)
    assert await bob.texts(group_id) == ["one", "two", "three"]
    assert await alice.texts(group_id) == ["one", "three"]
    assert "back_in" in await alice.codes(group_id)
    assert alice.rows("outbox") == {} == alice.rows("sent")


@pytest.mark.parametrize("sockets", [True, False])
async def test_a_service_that_was_put_back_is_noticed_and_gone_on_with(
    exchange: Exchange, *, sockets: bool
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    backup = copy.deepcopy(exchange.office.rooms[group_id])
    await alice.client.send_text(group_id=group_id, text="lost")
    await settle()
    exchange.office.rooms[group_id] = backup
    exchange.office.framed.clear()
    for person in (alice, bob):
        person.wire.sockets = sockets
        person.wire.cut()
    await exchange.clock.advance(30)
    for person in (alice, bob):
        assert (await person.codes(group_id))[-1] == "service_behind"
        assert "problem" not in {event["event"] for event in person.events}
    await bob.client.send_text(group_id=group_id, text="after")
    await exchange.clock.advance(15)
    await alice.client.send_text(group_id=group_id, text="and after")
    await exchange.clock.advance(15)
    assert await alice.texts(group_id) == await bob.texts(group_id) == ["lost", "after", "and after"]
    assert (await alice.codes(group_id)).count("service_behind") == 1


async def test_the_user_tries_to_come_back(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    refused = Answer(422, {"code": "wrong_header", "message": "No."})
    alice.wire.answers["/functions/v1/send_commit"] = refused
    alice.wire.answers["/functions/v1/send_message"] = Answer(
        409, {"code": "state_behind", "message": "Behind."}
    )
    await alice.client.send_text(group_id=group_id, text="waits")
    await settle()
    assert (await alice.codes(group_id))[-2:] == ["state_behind", "rejoin_refused"]
    alice.wire.answers.clear()
    client: Client = alice.client
    assert await client.rejoin(group_id=group_id) == {}
    await exchange.clock.advance(130)
    assert (await alice.codes(group_id))[-1] == "back_in"
    assert await bob.texts(group_id) == ["waits"]
