"""send_messages_v1: each message of a batch is written as its own sender; what is not in order is not written."""

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from tests.db.conftest import Member, as_role
from tests.support import mls


@dataclass
class Line:
    """One message of a batch."""

    member: Member
    group: str
    counter: int
    epoch: int = 0
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))


async def append(api: asyncpg.Connection, *lines: Line) -> list[int | None]:
    """The seq that each got, or None."""
    answers = await api.fetchval(
        "select coterie.send_messages_v1($1, $2, $3, $4, $5, $6)",
        f"[{','.join(one.member.claims for one in lines)}]",
        [one.group for one in lines],
        [one.epoch for one in lines],
        [one.message_id for one in lines],
        [one.counter for one in lines],
        [mls.private_message(b"m" * 16, one.epoch) for one in lines],
    )
    return [None if one is None else json.loads(one)["seq"] for one in answers]


async def enters(owner: asyncpg.Connection, group: str, member: Member) -> None:
    """Make the member one of the group."""
    await owner.execute(
        "insert into coterie.group_members (group_id, device_id, from_seq, joined_at) values ($1, $2, 1, now())",
        group,
        member.device,
    )


async def log(owner: asyncpg.Connection, group: str) -> list[tuple[int, str]]:
    """(seq, sender) of all that was written, and that the group's number is the last of them."""
    rows = await owner.fetch(
        "select seq, sender_device::text from coterie.messages where group_id = $1 order by seq", group
    )
    last = await owner.fetchval("select last_seq from coterie.group_seq where group_id = $1", group)
    assert last == len(rows)
    return [tuple(row) for row in rows]


@pytest.fixture
async def alice(make_member: Any) -> Member:
    """A device."""
    return await make_member()  # type: ignore[no-any-return]


@pytest.fixture
async def bob(make_member: Any) -> Member:
    """Another user's."""
    return await make_member()  # type: ignore[no-any-return]


async def test_each_is_written_as_its_own_sender(
    api: asyncpg.Connection, owner: asyncpg.Connection, alice: Member, bob: Member
) -> None:
    group, other = await alice.group(), await bob.group()
    await enters(owner, group, bob)
    answers = await append(
        api, Line(alice, group, 1), Line(bob, group, 1), Line(alice, group, 2), Line(bob, other, 1)
    )
    assert answers == [1, 2, 3, 1]
    assert await log(owner, group) == [(1, alice.device), (2, bob.device), (3, alice.device)]
    assert await log(owner, other) == [(1, bob.device)]


async def test_nobody_writes_in_the_place_of_who_came_before(
    api: asyncpg.Connection, owner: asyncpg.Connection, alice: Member, bob: Member
) -> None:
    """A stranger, nobody, a session without a device, one that ended, a revoked device and one that has left."""
    group = await alice.group()
    stranger, left, revoked, ended = bob, *[Member(api) for _ in range(3)]
    for one in (left, revoked, ended):
        registered = await one.call("device_register", uuid.uuid4().bytes * 2, "Test", "person")
        one.device = registered["device_id"]
        await enters(owner, group, one)
    await left.call("group_leave", group)
    await owner.execute("update coterie.devices set revoked_at = now() where device_id = $1", revoked.device)
    claims = json.loads(ended.claims)
    await owner.execute(
        "insert into coterie.auth_users (user_id, is_anonymous) values ($1, true)", claims["sub"]
    )
    await owner.execute(
        "insert into coterie.auth_sessions (session_id, user_id, method, ended_at) values ($1, $2, 'anonymous', now())",
        claims["session_id"],
        claims["sub"],
    )
    nobody, no_device = Member(api), Member(api)
    nobody.claims = "{}"
    bad = (stranger, nobody, no_device, left, revoked, ended)
    batch = [Line(alice, group, 1)]
    for number, one in enumerate(bad):
        batch += [Line(one, group, 9), Line(alice, group, 2 + number)]
    answers = await append(api, *batch)
    assert answers[::2] == [1, 2, 3, 4, 5, 6, 7]
    assert answers[1::2] == [None] * len(bad)
    assert {sender for _, sender in await log(owner, group)} == {alice.device}


async def test_a_group_s_number_is_moved_as_the_last_who_wrote(
    api: asyncpg.Connection, owner: asyncpg.Connection, alice: Member, bob: Member
) -> None:
    """Whoever comes after, refused or in another group, may not even see it."""
    group, other = await alice.group(), await bob.group()
    batch = [Line(alice, group, 1), Line(bob, group, 1), Line(bob, other, 1), Line(alice, other, 1)]
    assert await append(api, *batch) == [1, None, 1, None]
    assert await log(owner, group) == [(1, alice.device)]
    assert await log(owner, other) == [(1, bob.device)]


@pytest.mark.parametrize("changed", [{"epoch": 1}, {"counter": 1}, {"counter": 0}])
async def test_a_message_that_is_not_in_order_is_left_out(
    api: asyncpg.Connection, owner: asyncpg.Connection, alice: Member, changed: dict[str, int]
) -> None:
    group = await alice.group()
    wrong = Line(alice, group, changed.get("counter", 2), changed.get("epoch", 0))
    assert await append(api, Line(alice, group, 1), wrong, Line(alice, group, 3)) == [1, None, 2]
    assert len(await log(owner, group)) == 2


async def test_a_known_message_id_is_left_out_and_its_counter_is_not_counted(
    api: asyncpg.Connection, owner: asyncpg.Connection, alice: Member
) -> None:
    group = await alice.group()
    first = Line(alice, group, 1)
    again = Line(alice, group, 7, message_id=first.message_id)
    assert await append(api, first, again, Line(alice, group, 2)) == [1, None, 2]
    assert await append(api, first) == [None]
    assert len(await log(owner, group)) == 2


async def test_among_several_groups_a_locked_one_is_passed_over(
    api: asyncpg.Connection, owner: asyncpg.Connection, alice: Member
) -> None:
    locked, free = await alice.group(), await alice.group()
    async with owner.transaction():
        await owner.execute("select from coterie.group_seq where group_id = $1 for update", locked)
        async with asyncio.timeout(20):
            assert await append(api, Line(alice, locked, 1), Line(alice, free, 1)) == [None, 1]
    assert await append(api, Line(alice, locked, 1), Line(alice, free, 2)) == [1, 2]


async def test_a_batch_of_one_group_waits_for_it(
    api: asyncpg.Connection, owner: asyncpg.Connection, schema_url: str, alice: Member
) -> None:
    group = await alice.group()
    waiting = "select count(*) from pg_locks where pid = $1 and not granted"
    other = await asyncpg.connect(as_role(schema_url, "coterie_api"))
    async with owner.transaction():
        await owner.execute("select from coterie.group_seq where group_id = $1 for update", group)
        task = asyncio.create_task(append(other, Line(alice, group, 1), Line(alice, group, 2)))
        async with asyncio.timeout(20):
            while not await owner.fetchval(waiting, other.get_server_pid()):
                assert not task.done()
    assert await task == [1, 2]
    await other.close()


async def test_one_notification_a_group(api: asyncpg.Connection, schema_url: str, alice: Member) -> None:
    group, other = await alice.group(), await alice.group()
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncpg.connect(schema_url)
    await listener.add_listener("coterie", lambda *event: heard.put_nowait(event[-1]))
    await append(api, Line(alice, group, 1), Line(alice, group, 2), Line(alice, other, 1))
    async with asyncio.timeout(20):
        assert [await heard.get(), await heard.get()] == [f"{group}:2", f"{other}:1"]
    await listener.close()
