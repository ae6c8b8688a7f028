"""Long away: hundreds of commits are caught up with, told while it takes long, and timers wait for the end."""

import pytest

from coterie.core.group import lines
from coterie.core.state import Turn
from coterie.core.updating import DEVICE_GAP
from coterie.progress import LONG
from tests.support.exchange import Exchange, Person, settle

COMMITS = 500


async def away_for(exchange: Exchange, commits: int) -> tuple[str, Person, Person]:
    """Alice and Bob; Bob is away while Alice renews her leaf so many times, and says something in between."""
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await exchange.clock.advance(30)
    bob.wire.down = True
    bob.wire.cut()
    for number in range(commits):
        exchange.office.now += DEVICE_GAP
        await alice.client._do(lambda engine, now: engine._turn(now, lambda turn: _due(turn, group_id))[0])
        await alice.client._do(lambda engine, now: engine.tick(now))
        if number % 10 == 0:
            await alice.client.send_text(group_id=group_id, text=f"{number}")
        await settle()
    assert exchange.office.rooms[group_id].epoch >= commits
    return group_id, alice, bob


def _due(turn: Turn, group_id: str) -> None:
    """Let the time have come to renew the leaf."""
    turn.put(lines.need(turn, group_id).with_(renew_at=turn.now))


@pytest.mark.parametrize("sockets", [True, False])
async def test_a_long_way_is_told_and_gone_once(exchange: Exchange, *, sockets: bool) -> None:
    group_id, alice, bob = await away_for(exchange, COMMITS)
    bob.wire.down, bob.wire.sockets = False, sockets
    await bob.client._do(lambda engine, now: engine._turn(now, lambda turn: _due(turn, group_id))[0])
    before = len(bob.wire.posts("send_commit"))
    await exchange.clock.advance(30)
    said = [(one["done"], one["total"]) for one in bob.told("catching_up")]
    assert said, "it was worth telling"
    done, totals = [done for done, _ in said], {total for _, total in said}
    assert done == sorted(done)
    assert done[0] >= LONG
    assert said[-1][0] == said[-1][1]
    assert len(totals) == 1
    assert await bob.texts(group_id) == await alice.texts(group_id)
    assert bob.problems() == []
    commits = bob.wire.posts("send_commit")[before:]
    epoch = exchange.office.rooms[group_id].epoch
    assert {body["epoch"] for body in commits} == {epoch - 1}, "nothing of an epoch that was gone"


async def test_a_short_way_is_not_worth_a_word(exchange: Exchange) -> None:
    group_id, alice, bob = await away_for(exchange, 10)
    bob.wire.down = False
    await exchange.clock.advance(30)
    assert bob.told("catching_up") == []
    assert await bob.texts(group_id) == await alice.texts(group_id)
