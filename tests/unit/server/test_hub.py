"""What a hub does for a socket that works, and for one that leaves."""

import asyncio

from edge_functions.hub import Hub
from edge_functions.sockets import Outbox
from tests.support.hub import Log, Reader, append


async def test_a_socket_that_leaves_takes_its_feed_with_it(hub: Hub, log: Log) -> None:
    async with asyncio.timeout(10):
        one = Reader(hub, "one")
        append(hub, log)
        await one.caught_up()
    hub.remove(one.socket)
    assert hub._feeds.by_group == {}
    append(hub, log)
    await one.stop()
    await hub.stop()


async def test_what_waits_for_a_socket_is_done_once_however_often_it_is_asked_for(hub: Hub, log: Log) -> None:
    """One user who changes their devices all the time must not make the others wait for the database."""
    async with asyncio.timeout(10):
        early = Reader(hub, "early")
        await early.caught_up()
        for _ in range(100):
            hub._hear("user:early")
        assert early.socket._work.qsize() == 1
        append(hub, log)
        await early.until(1)
        await early.stop()


async def test_a_socket_that_has_gone_holds_nothing_of_the_bound_that_all_share(hub: Hub) -> None:
    """What was found for it before it went may still come."""
    outbox = Outbox(10, 1000, hub.waiting)
    outbox.push("before")
    outbox.close()
    outbox.push("after")
    assert (hub.waiting.size, len(outbox), hub.waiting.outboxes) == (0, 0, set())
