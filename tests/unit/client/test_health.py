"""The health of a group as the client tells it: what the service said of it, or why that is not known."""

import asyncio
from typing import Any

import pytest

from coterie import looking
from coterie.errors import LocalError, Unreachable
from coterie.ports import Answer
from tests.support.exchange import Exchange, settle

PATH = "/functions/v1/get_messages"


def finding(seen: dict[str, Any], what: str) -> str:
    return next(str(one["text"]) for one in seen["findings"] if one["what"] == what)


async def test_the_service_is_asked_how_far_the_group_goes(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await alice.client.send_text(group_id=group_id, text="hi")
    await settle()
    seen = await bob.client.health(group_id=group_id)
    last = len(exchange.office.rooms[group_id].envelopes)
    assert (seen["cursor"], seen["last_seq"], seen["service"]) == (last, last, "")
    assert (seen["connection"], seen["good"]) == ("online", True)
    asked = bob.wire.posts("get_messages")
    assert asked == [{"group_id": group_id, "after": looking.END, "limit": 1}]


async def test_what_was_withheld_shows_in_the_cursor(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    bob.wire.cut()
    bob.wire.sockets = False
    await alice.client.send_text(group_id=group_id, text="not delivered")
    await settle()
    seen = await bob.client.health(group_id=group_id)
    assert seen["last_seq"] == seen["cursor"] + 1
    assert finding(seen, "cursor") == f"{seen['cursor']} of {seen['last_seq']}"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Unreachable("unreachable", "The service can't be reached."), "The service can't be reached."),
        (Answer(403, {"code": "not_a_member", "message": "You are not a member."}), "You are not a member."),
        (Answer(500, {}), "The service answered 500."),
        (Answer(200, {"envelopes": []}), "The service did not say how far the group goes."),
        (Answer(200, {"last_seq": "9"}), "The service did not say how far the group goes."),
    ],
)
async def test_without_an_answer_the_rest_is_told_and_why(
    exchange: Exchange, answer: Answer | Exception, said: str
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    bob.wire.answers[PATH] = answer
    seen = await bob.client.health(group_id=group_id)
    assert (seen["last_seq"], seen["service"], seen["members"]) == (None, said, 2)
    assert bob.problems() == []


async def test_a_service_that_says_nothing_is_not_waited_for(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    monkeypatch.setattr(looking, "PATIENCE", 0)
    bob.wire.held[PATH] = asyncio.Event()
    seen = await bob.client.health(group_id=group_id)
    assert (seen["last_seq"], seen["service"]) == (None, "The service did not answer in time.")
    bob.wire.held[PATH].set()
    await settle()
    assert bob.problems() == []


async def test_a_group_that_is_over_is_not_asked_about(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await bob.client.leave_group(group_id=group_id)
    await settle()
    bob.wire.log.clear()
    seen = await bob.client.health(group_id=group_id)
    assert (seen["state"], seen["members"], seen["last_seq"], seen["good"]) == ("left", 0, None, True)
    assert bob.wire.posts("get_messages") == []


async def test_an_envelope_that_is_none_is_a_gap_that_is_told_and_counted(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    bob.wire.sockets = False
    bob.wire.cut()
    for text in ("spoiled", "good"):
        await alice.client.send_text(group_id=group_id, text=text)
        await settle()
    last = len(exchange.office.rooms[group_id].envelopes)
    page = [
        exchange.envelope(group_id, last - 1) | {"mls_bytes": "not hex"},
        exchange.envelope(group_id, last),
    ]
    bob.wire.answers[PATH] = Answer(200, {"envelopes": page, "last_seq": last})
    await exchange.clock.advance(4)
    assert (await bob.texts(group_id), (await bob.codes(group_id))[-1]) == (["good"], "gap")
    causes = (await bob.client.health(group_id=group_id))["causes"]
    assert [(one["code"], one["times"]) for one in causes] == [("gap", 1)]


async def test_counts_are_there_after_a_restart(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await alice.client.send_text(group_id=group_id, text="spoiled")
    seq = len(exchange.office.rooms[group_id].envelopes)
    await settle()
    again = exchange.envelope(group_id, seq) | {"seq": seq + 1}
    bob.wire.answers[PATH] = Answer(200, {"envelopes": [again], "last_seq": seq + 1})
    bob.wire.sockets = False
    bob.wire.cut()
    await exchange.clock.advance(4)
    del bob.wire.answers[PATH]
    await bob.killed()
    causes = (await bob.client.health(group_id=group_id))["causes"]
    assert ("replayed", 1, 1) in [(one["code"], one["times"], one["everywhere"]) for one in causes]


@pytest.mark.parametrize("group_id", ["", "x", "00000000-0000-4000-8000-000000000000"])
async def test_a_group_that_is_not_here_is_an_error(exchange: Exchange, group_id: str) -> None:
    alice = await exchange.person("Alice")
    with pytest.raises(LocalError) as caught:
        await alice.client.health(group_id=group_id)
    assert caught.value.code == "no_group"
