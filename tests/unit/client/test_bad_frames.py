"""Frames that no service sends: they are ignored, and leave no trace for the time at an honest one."""

from typing import Any

import pytest

from tests.support.exchange import Exchange, Person, settle

GROUP = "the group's id"
NOT_IDS: list[Any] = ["x", "", None, [], {}]
NOT_SEQS: list[Any] = [-5, -(2**70), 2**70, True, 1.5, "1", None]
FRAMES: list[dict[str, Any]] = [
    *({"type": "caught_up", "group_id": GROUP, "seq": seq} for seq in NOT_SEQS),
    *({"type": "caught_up", "group_id": one, "seq": 0} for one in NOT_IDS),
    {"type": "caught_up"},
    *({"type": "removed", "group_id": one} for one in NOT_IDS),
    *({"type": "welcome", "join_id": one} for one in NOT_IDS),
    *({"type": "join_waiting", "join": {"join_id": GROUP, "group_id": one}} for one in NOT_IDS),
    *({"type": "invitation", "group_id": one, "seq": -1, "welcome": "zz"} for one in NOT_IDS),
    *({"type": "key_packages_low", "available": one, "refill_below": one} for one in NOT_SEQS),
    {"type": "envelope", "envelope": {}},
    {"type": ["envelope"]},
]


def of_group(frame: dict[str, Any], group_id: str) -> dict[str, Any]:
    return {key: group_id if value == GROUP else value for key, value in frame.items()}


@pytest.mark.parametrize("frame", FRAMES, ids=str)
async def test_a_frame_that_no_service_sends_does_no_harm(exchange: Exchange, frame: dict[str, Any]) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    before = await bob.client.cursors()
    assert bob.wire.socket
    bob.wire.socket.queue.put_nowait({"v": 1} | of_group(frame, group_id))
    await settle()
    assert await bob.client.cursors() == before
    await goes_on(exchange, group_id, alice, bob)


@pytest.mark.parametrize("last_seq", NOT_SEQS)
async def test_a_page_that_ends_nowhere_does_no_harm(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, last_seq: Any
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    before = await bob.client.cursors()
    with monkeypatch.context() as patch:
        refusal = 200, {"envelopes": [], "last_seq": last_seq}
        patch.setitem(exchange.office.refusals, "get_messages", refusal)
        assert bob.wire.socket
        bob.wire.socket.queue.put_nowait({"v": 1, "type": "removed", "group_id": group_id})
        await settle()
    assert await bob.client.cursors() == before
    await goes_on(exchange, group_id, alice, bob)


async def goes_on(exchange: Exchange, group_id: str, alice: Person, bob: Person) -> None:
    """The next message comes, now and after a start, and the service hears of no odd cursor."""
    await alice.client.send_text(group_id=group_id, text="one")
    await settle()
    await bob.again()
    await alice.client.send_text(group_id=group_id, text="two")
    await exchange.clock.advance(5)
    assert await bob.texts(group_id) == ["one", "two"]
    assert "service_behind" not in await bob.codes(group_id)
    assert bob.problems() == []
