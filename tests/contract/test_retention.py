"""Retention: what goes, what stays, and that retries and readers do not notice more than `gone`."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from edge_functions.db import Database
from edge_functions.retention import sweep
from edge_functions.settings import Settings
from tests.support.caller import Device, Group, invite_body, join_body, new_id
from tests.support.server import Service
from tests.support.socket_client import listening

AT_ONCE = replace(
    Settings(), retention_acked_days=0, retention_days=0, retention_spent_days=30, retention_welcome_days=90
)
"""Ciphertext goes as soon as all have acknowledged it."""


class World:
    """A service and its database."""

    def __init__(self, service: Service, owner: asyncpg.Connection, db: Database) -> None:
        self.url, self.owner, self.db = service.url, owner, db

    async def sweep(self, settings: Settings = AT_ONCE) -> dict[str, int]:
        """As the service's own task does. What limits counted is over at times of its own."""
        swept = await sweep(self.db, settings)
        return {what: count for what, count in swept.items() if what != "limits"}

    async def ack(self, group: Group, device: Device, seq: int) -> None:
        """As `device` does over its socket."""
        statement = "update coterie.group_members set acked_seq = $3 where group_id = $1 and device_id = $2"
        await self.owner.execute(statement, group.group_id, device.device_id, seq)

    async def count(self, table: str, condition: str = "true") -> int:
        """Rows of a table."""
        return int(await self.owner.fetchval(f"select count(*) from coterie.{table} where {condition}"))

    async def age(self, table: str, column: str, condition: str = "true", days: float = 200) -> None:
        """Make rows look older than they are."""
        await self.owner.execute(
            f"update coterie.{table} set {column} = {column} - interval '{days} days' where {condition}"
        )


@pytest.fixture(scope="module")
def quiet(make_database: Callable[[], str], make_service: Callable[..., Service]) -> tuple[Service, str]:
    """A service whose sweeper never comes by itself, and its database."""
    url = make_database()
    return make_service(DATABASE_URL=url, COTERIE_RETENTION_SECONDS="86400"), url


@pytest.fixture
async def world(quiet: tuple[Service, str]) -> AsyncIterator[World]:
    """With nothing in it."""
    service, url = quiet
    owner = await asyncpg.connect(url)
    await owner.execute(
        "truncate coterie.devices, coterie.groups, coterie.auth_users, coterie.limits, coterie.auth_challenges cascade"
    )
    db = await Database.connect(url.replace("postgres@", "coterie_api@", 1), 3)
    yield World(service, owner, db)
    await db.close()
    await owner.close()


async def envelopes(device: Device, group: Group) -> list[dict[str, Any]]:
    """All that the device may have."""
    return list((await device.messages(group))["envelopes"])


async def test_what_every_device_acknowledged_is_dropped_and_its_seq_stays(world: World) -> None:
    alice, bob = await Device.guest(world.url), await Device.guest(world.url)
    group = await alice.create_group()
    await alice.add(group, bob)  # seq 1
    request = alice.message(group)
    sent = (await alice.call("send_message", **request)).ok()
    await alice.send(group)
    before = await envelopes(alice, group)
    await world.ack(group, alice, 3)
    assert await world.sweep() == {"messages": 1}, "what Bob may have, he has not acknowledged"
    await world.ack(group, bob, 2)
    assert await world.sweep() == {"messages": 1}
    assert await world.sweep() == {}

    after = await envelopes(alice, group)
    for old, new in zip(before[:2], after[:2], strict=True):
        kept = {name: value for name, value in old.items() if name != "mls_bytes"}
        assert new == {**kept, "gone": True}
    assert after[2] == before[2]
    assert (await alice.call("send_message", **request)).ok() == sent, "a retry is answered as before"
    other = {**request, "mls_bytes": alice.message(group)["mls_bytes"]}
    (await alice.call("send_message", **other)).refused(409, "message_id_reused")
    async with listening(world.url, bob, {group.group_id: 1}) as socket:
        frame = await socket.until("envelope")
        assert frame["envelope"] == after[1]


async def test_ciphertext_is_kept_for_its_time(world: World) -> None:
    alice = await Device.guest(world.url)
    group = await alice.create_group()
    for _ in range(3):
        (await alice.send(group)).ok()
    await world.ack(group, alice, 3)
    in_time = replace(AT_ONCE, retention_acked_days=7)
    assert await world.sweep(in_time) == {}
    await world.age("messages", "server_time", "seq <= 2", days=8)
    assert await world.sweep(in_time) == {"messages": 2}


async def test_what_nobody_acknowledged_goes_only_where_that_is_set(world: World) -> None:
    alice = await Device.guest(world.url)
    group = await alice.create_group()
    (await alice.send(group)).ok()
    await world.age("messages", "server_time", days=200)
    assert await world.sweep() == {}
    assert await world.sweep(replace(AT_ONCE, retention_days=180)) == {"messages": 1}


async def test_whoever_may_still_come_holds_back_what_waits_for_them(world: World) -> None:
    alice, bob, carol = [await Device.guest(world.url) for _ in range(3)]
    group = await alice.create_group()
    (await alice.send(group)).ok()  # 1: before Bob
    (await alice.commit(group, add=[bob.device_id, carol.device_id])).ok()  # 2
    (await alice.send(group)).ok()  # 3: for Bob and Carol, who have not joined yet
    await world.ack(group, alice, 3)
    assert await world.sweep() == {"messages": 2}
    await world.owner.execute(
        "update coterie.devices set revoked_at = now() where device_id = $1", bob.device_id
    )
    assert await world.sweep() == {}
    (await carol.call("group_leave", group_id=group.group_id)).ok()
    assert await world.sweep() == {"messages": 1}, "neither a revoked device nor one that left holds it back"


async def test_more_than_a_batch_and_several_sweepers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_functions.retention.BATCH", 4)
    alice = await Device.guest(world.url)
    groups = [await alice.create_group() for _ in range(3)]
    for group in groups:
        for _ in range(6):
            (await alice.send(group)).ok()
        await world.ack(group, alice, 5)
    swept = await asyncio.gather(*(world.sweep() for _ in range(3)))
    assert sum(one.get("messages", 0) for one in swept) + (await world.sweep()).get("messages", 0) == 15
    for group in groups:
        assert ["gone" in one for one in await envelopes(alice, group)] == [True] * 5 + [False]


async def test_a_sender_who_holds_the_group_is_not_waited_for(world: World) -> None:
    alice = await Device.guest(world.url)
    group = await alice.create_group()
    (await alice.send(group)).ok()
    await world.ack(group, alice, 1)
    async with world.owner.transaction():
        await world.owner.execute(
            "select from coterie.group_seq where group_id = $1 for update", group.group_id
        )
        assert await asyncio.wait_for(world.sweep(), 10) == {"messages": 1}


async def test_joins_invites_and_welcomes_that_are_over_go(world: World) -> None:
    alice, bob, carol, dave = [await Device.guest(world.url) for _ in range(4)]
    group = await alice.create_group()
    ended, alive = await alice.invite(group), await alice.invite(group)
    (await bob.call("invite_join", **join_body(ended))).ok()
    (await alice.call("invite_revoke", invite_id=ended.hex())).ok()
    waiting = await carol.ask(alive)
    (await alice.commit(group, add=[dave.device_id])).ok()
    assert (await world.sweep()).keys() <= {"messages"}, "nothing is old enough"

    await world.age("invites", "ended_at", days=31)
    await world.age("joins", "created_at", "status = 'expired'", days=31)
    assert await world.sweep() == {"joins": 1, "invites": 1}
    assert await world.count("invites", "preview <> '\\x00'") == 1
    listed = (await alice.call("invites_list", group_id=group.group_id)).ok()["invites"]
    assert [one["invite_id"] for one in listed] == [alive.hex()]
    assert (await carol.poll(waiting))["status"] == "waiting"
    (await alice.call("invite_info", invite_id=alive.hex())).ok()
    assert await world.count("welcomes") == 1
    await world.age("welcomes", "created_at", days=91)
    assert await world.sweep() == {"welcomes": 1}


async def test_a_join_that_waited_for_long_stays_while_its_welcome_does(world: World) -> None:
    """Its tag is what the joining device checks before it opens the Welcome."""
    alice, bob = await Device.guest(world.url), await Device.guest(world.url)
    group = await alice.create_group()
    link = await alice.invite(group)
    join = await bob.ask(link)
    await world.age("joins", "created_at", days=91)
    (await alice.complete(group, link, (bob, join))).ok()
    assert (await world.sweep()).keys() <= {"messages"}
    assert (await bob.poll(join))["status"] == "welcomed"
    await world.age("welcomes", "created_at", days=91)
    assert await world.sweep() == {"welcomes": 1, "joins": 1}


async def test_an_old_link_is_not_taken_over_by_who_knows_it(world: World) -> None:
    """An id that could be made anew would lead everybody who opens the old link into another group."""
    alice, mallory, bob = [await Device.guest(world.url) for _ in range(3)]
    link = await alice.invite(await alice.create_group())
    theirs = await mallory.create_group()
    await world.age("invites", "expires_at", days=60)
    assert await world.sweep() == {"invites": 1}
    body = {**invite_body(theirs), "invite_id": link.hex()}
    (await mallory.call("invite_create", **body)).refused(409, "invite_exists")
    (await bob.call("invite_info", invite_id=link.hex())).refused(404, "invite_unavailable")
    assert await world.sweep() == {}


async def test_sessions_tokens_and_packages_that_are_over_go(world: World) -> None:
    gone, here = await Device.guest(world.url), await Device.guest(world.url)
    old = here.session["refresh_token"]
    for _ in range(2):
        answer = await here.http.post(
            "/auth/v1/token?grant_type=refresh_token", json={"refresh_token": here.session["refresh_token"]}
        )
        here.session = answer.json()
    await gone.http.post("/auth/v1/logout", headers={"authorization": f"Bearer {gone.token}"})
    for taken in ("now()", "null"):
        await world.owner.execute(
            "insert into coterie.key_packages"
            " (device_id, ref, key_package, suite, last_resort, not_after, claimed_at) "
            f"values ($1, $2, $2, 1, false, now() + interval '80 days', {taken})",
            here.device_id,
            secrets.token_bytes(32),
        )
    assert await world.sweep() == {}
    await world.age("key_packages", "claimed_at", days=32)
    assert await world.sweep() == {}, "one that was given out could be published again"
    await world.age("key_packages", "not_after", "claimed_at is not null", days=81)
    await world.age("auth_sessions", "ended_at", days=32)
    await world.age("auth_users", "last_sign_in_at", days=32)
    await world.age("auth_refresh_tokens", "used_at", days=32)
    gone_rows = await world.sweep()
    assert gone_rows == {
        "sessions": 1, "key_packages": 1, "auth_sessions": 1, "refresh_tokens": 1, "guests": 1
    }  # fmt: skip
    assert await world.count("key_packages") == 1
    (await here.call("groups_list")).ok()
    again = await here.http.post("/auth/v1/token?grant_type=refresh_token", json={"refresh_token": old})
    assert again.status_code == 400, "a token that was dropped is as unknown as any other"
    assert await world.count("devices") == 2, "groups still name the device"


async def test_what_a_claim_was_answered_goes_after_a_day(world: World) -> None:
    alice, bob = await Device.guest(world.url), await Device.guest(world.url)
    await alice.add(await alice.create_group(), bob)
    await bob.publish(1)
    (await alice.claim(bob)).ok()
    await world.sweep()
    assert await world.count("key_package_claims") == 1
    await world.age("key_package_claims", "created_at", days=2)
    await world.sweep()
    assert await world.count("key_package_claims") == 0


async def test_the_service_sweeps_by_itself(make_service: Callable[..., Service]) -> None:
    service = make_service(
        COTERIE_RETENTION_SECONDS="0.05", COTERIE_RETENTION_ACKED_DAYS="0", COTERIE_ACK_SECONDS="0"
    )
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    (await alice.send(group)).ok()
    async with listening(service.url, alice) as socket:
        await socket.until_seq(group.group_id, 1)
        await socket.send("ack", group_id=group.group_id, seq=1)
        async with asyncio.timeout(20):
            while "gone" not in (await envelopes(alice, group))[0]:
                await socket.settle()
        (await alice.send(group, message_id=new_id())).ok()
        await socket.until_seq(group.group_id, 2)
