"""The devices of one user: listed, revoked, and found again after a session was lost."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.caller import Device, invite_body, join_body, new_id
from tests.support.server import Service, execute
from tests.support.socket_client import listening, open_socket


@pytest.fixture(scope="module")
def database_url(make_database: Callable[[], str]) -> str:
    """The service's database, in which a test lets time pass."""
    return make_database()


@pytest.fixture(scope="module")
def service(make_service: Callable[..., Service], database_url: str) -> Service:
    """A running service."""
    return make_service(DATABASE_URL=database_url)


async def listed(device: Device) -> dict[str, dict[str, Any]]:
    """`devices_list`, by device."""
    return {one["device_id"]: one for one in (await device.call("devices_list")).ok()["devices"]}


# ---- the list


async def test_a_user_sees_their_own_devices_and_no_others(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    await alice.add(await alice.create_group(), bob)
    phone = await alice.another()
    await phone.publish(3, last_resort=phone.key_package(last_resort=True))
    devices = await listed(alice)
    assert list(devices) == [alice.device_id, phone.device_id]
    assert list(await listed(bob)) == [bob.device_id]
    mine, other = devices[alice.device_id], devices[phone.device_id]
    assert (mine["name"], mine["kind"], mine["current"], mine["key_packages"]) == (
        "Laptop",
        "person",
        True,
        0,
    )
    assert (other["name"], other["current"], other["key_packages"]) == ("Phone", False, 3)
    assert mine["revoked_at"] is None
    (await phone.register(name="Telephone", kind="service")).ok()
    renamed = (await listed(alice))[phone.device_id]
    assert (renamed["name"], renamed["kind"]) == ("Telephone", "service")


async def test_last_seen_moves_with_every_kind_of_call(service: Service, database_url: str) -> None:
    """Also of a device that only asks now and then, without a socket."""
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    for _ in range(2):
        long_ago = "update coterie.devices set last_seen = '2020-01-01'"
        execute(database_url, f"{long_ago} where device_id = '{alice.device_id}'")
        answers = await asyncio.gather(*(alice.messages(group) for _ in range(8)))  # none waits for another
        assert len(answers) == 8
        seen = (await listed(alice))[alice.device_id]["last_seen"]
        assert not seen.startswith("2020")
    assert (await listed(alice))[alice.device_id]["last_seen"] == seen  # exact to a minute, and no more
    execute(database_url, f"{long_ago} where device_id = '{alice.device_id}'")
    (await alice.send(group)).ok()
    database = await asyncpg.connect(database_url)
    moved = await database.fetchval(
        "select last_seen > '2021-01-01' from coterie.devices where device_id = $1", alice.device_id
    )
    await database.close()
    assert moved


async def test_the_other_devices_hear_of_a_new_one_and_of_a_name(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    async with listening(service.url, alice) as socket, listening(service.url, bob) as his:
        phone = await alice.another()
        assert await socket.until("device_changed") == {"v": 1, "type": "device_changed"}
        await socket.settle()
        before = len(socket.frames)
        (await phone.register(name="Phone")).ok()  # as before
        await socket.settle()
        assert "device_changed" not in [frame["type"] for frame in socket.frames[before:]]
        (await phone.register(name="Telephone")).ok()
        await socket.until("device_changed")
        await his.settle()
        assert "device_changed" not in [frame["type"] for frame in his.frames]


async def test_a_user_with_many_devices_costs_the_others_nothing(service: Service, database_url: str) -> None:
    """One notification for all of them, and no more of them than a bound."""
    alice = await Device.guest(service.url)
    execute(
        database_url,
        "insert into coterie.devices (user_id, signature_key, name, kind) select "
        f"'{alice.user_id}', sha256(('{alice.user_id}' || n)::bytea), 'x', 'person' from generate_series(2, 500) n",
    )
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncpg.connect(database_url)
    try:
        await listener.add_listener("coterie", lambda *event: heard.put_nowait(str(event[-1])))
        (await alice.register(name="Telephone")).ok()
        await listener.execute("select pg_notify('coterie', 'the end')")
        notifications = [await heard.get()]
        while notifications[-1] != "the end":
            notifications.append(await heard.get())
    finally:
        await listener.close()
    assert notifications == [f"user:{alice.user_id}", "the end"]
    kept, alice.key = alice.key, Ed25519PrivateKey.generate()
    (await alice.register()).refused(409, "too_many_devices")
    alice.key = kept
    assert (await alice.register()).ok()["device_id"] == alice.device_id


# ---- revoking

EVERY_CALL: dict[str, dict[str, Any]] = {
    "commit_pause": {"group_id": new_id()},
    "device_revoke": {"device_id": new_id()},
    "devices_list": {},
    "get_messages": {"group_id": new_id(), "after": 0},
    "group_info_get": {"group_id": new_id()},
    "group_join": {"group_id": new_id()},
    "group_leave": {"group_id": new_id()},
    "groups_list": {},
    "invite_cancel": {"join_id": new_id()},
    "invite_claim": {"join_id": new_id()},
    "invite_decide": {"join_id": new_id(), "approve": True},
    "invite_info": {"invite_id": "00" * 16},
    "invite_join": join_body(bytes(16)),
    "invite_pending": {},
    "invite_poll": {"join_id": new_id()},
    "invite_revoke": {"invite_id": "00" * 16},
    "invites_list": {"group_id": new_id()},
    "key_packages_claim": {"claim_id": new_id(), "user_ids": []},
    "key_packages_count": {},
    "key_packages_publish": {"key_packages": []},
    "welcomes_list": {},
}


async def test_a_revoked_device_is_refused_everywhere(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    phone = await alice.another()
    group = await phone.create_group()
    await phone.add(group, bob)
    revoked = (await alice.call("device_revoke", device_id=phone.device_id)).ok()
    assert revoked["device_id"] == phone.device_id
    for name, body in EVERY_CALL.items():
        (await phone.call(name, **body)).refused(403, "device_revoked")
    (await phone.send(group)).refused(403, "device_revoked")
    (await phone.commit(group)).refused(403, "device_revoked")
    (await phone.call("invite_create", **invite_body(group))).refused(403, "device_revoked")
    async with open_socket(service.url) as socket:
        await socket.send("hello", token=phone.token, cursors={})
        assert (await socket.ended())["code"] == "device_revoked"
    again = (await alice.call("device_revoke", device_id=phone.device_id)).ok()
    assert again == revoked
    assert (await listed(alice))[phone.device_id]["revoked_at"] == revoked["revoked_at"]
    (await alice.call("groups_list")).ok()


async def test_a_session_of_a_revoked_device_ends_although_it_has_taken_another_key(service: Service) -> None:
    """Whoever stole the device could otherwise be a further one beforehand, in the same session, and stay."""
    alice = await Device.guest(service.url)
    stolen = await alice.another()
    first, stolen.key = stolen.device_id, Ed25519PrivateKey.generate()
    stolen.device_id = (await stolen.register()).ok()["device_id"]
    async with listening(service.url, stolen) as socket:
        (await alice.call("device_revoke", device_id=first)).ok()
        assert (await socket.ended())["code"] == "no_session"
    (await stolen.call("groups_list")).refused(401, "no_session")
    (await stolen.register()).refused(401, "no_session")
    renewal = {"refresh_token": stolen.session["refresh_token"]}
    answer = await stolen.http.post("/auth/v1/token?grant_type=refresh_token", json=renewal)
    assert answer.status_code == 400
    assert (await listed(alice))[stolen.device_id]["revoked_at"] is None, "only what was named is revoked"


async def test_an_open_socket_ends_at_once_and_its_group_goes_on(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    phone = await alice.another()
    group = await bob.create_group()
    await bob.add(group, alice, phone)
    async with listening(service.url, phone) as stolen, listening(service.url, alice) as own:
        await stolen.until("caught_up")
        await own.until("caught_up")
        (await alice.call("device_revoke", device_id=phone.device_id)).ok()
        sent = (await bob.send(group)).ok()["seq"]
        assert (await stolen.ended())["code"] == "device_revoked"
        assert sent not in stolen.seqs(group.group_id)
        await own.until("device_changed")
        await own.until_seq(group.group_id, sent)


async def test_a_revoked_device_does_not_come_back_under_another_key(service: Service) -> None:
    """It still has its tokens: neither they nor their successors are of any use."""
    alice = await Device.guest(service.url)
    phone = await alice.another()
    (await alice.call("device_revoke", device_id=phone.device_id)).ok()
    (await phone.register()).refused(403, "device_revoked")
    phone.key = Ed25519PrivateKey.generate()
    (await phone.register()).refused(403, "device_revoked")
    body = {"refresh_token": phone.session["refresh_token"]}
    answer = await phone.http.post("/auth/v1/token?grant_type=refresh_token", json=body)
    assert answer.json()["error_code"] == "refresh_token_not_found"
    header = {"authorization": f"Bearer {phone.token}"}
    assert (await phone.http.get("/auth/v1/user", headers=header)).status_code == 403
    assert list(await listed(alice)) == [alice.device_id, phone.device_id]
    await alice.refresh()
    (await alice.call("groups_list")).ok()  # the other session is as it was


async def test_its_key_packages_are_gone_and_its_joins_end(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    group = await bob.create_group()
    await bob.add(group, alice)
    phone = await alice.another()
    await phone.publish(5, last_resort=phone.key_package(last_resort=True))
    other = await bob.create_group()
    join = await phone.ask(await bob.invite(other))
    async with listening(service.url, bob) as members:
        await members.until("join_waiting")
        (await alice.call("device_revoke", device_id=phone.device_id)).ok()
        (await bob.call("invite_claim", join_id=join.join_id)).refused(409, "not_open")
    assert (await bob.call("invite_pending")).ok() == {"joins": []}
    assert (await listed(alice))[phone.device_id]["key_packages"] == 0
    claim = (await bob.claim(alice)).ok()
    assert claim == {
        "key_packages": [],
        "missing": [{"device_id": alice.device_id, "user_id": alice.user_id}],
    }


async def test_a_device_that_is_revoked_while_it_publishes_leaves_nothing(
    service: Service, database_url: str
) -> None:
    """It has entered already and waits for its row, which the revocation holds."""
    phone = await Device.guest(service.url)
    revoker, watcher = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with asyncio.timeout(20), revoker.transaction():
        statement = "update coterie.devices set revoked_at = now() where device_id = $1"
        await revoker.execute(statement, phone.device_id)
        body = {"key_packages": [phone.key_package().hex()]}
        publishing = asyncio.create_task(phone.call("key_packages_publish", **body))
        while not await watcher.fetchval(waits):
            pass
    (await publishing).refused(403, "device_revoked")
    kept = "select count(*) from coterie.key_packages where device_id = $1"
    assert await watcher.fetchval(kept, phone.device_id) == 0
    await revoker.close()
    await watcher.close()


async def test_only_the_own_ones(service: Service) -> None:
    alice, eve = await Device.guest(service.url), await Device.guest(service.url)
    await alice.add(await alice.create_group(), eve)
    for device_id in (alice.device_id, new_id()):
        (await eve.call("device_revoke", device_id=device_id)).refused(404, "unknown_device")
    (await alice.call("groups_list")).ok()
    (await eve.call("device_revoke", device_id="x")).refused(400, "bad_request")
    (await eve.call("device_revoke")).refused(400, "bad_request")


async def test_a_device_may_revoke_itself(service: Service) -> None:
    alice = await Device.guest(service.url)
    (await alice.call("device_revoke", device_id=alice.device_id)).ok()
    (await alice.call("devices_list")).refused(403, "device_revoked")


# ---- a lost session


async def test_a_device_that_lost_its_session_and_kept_its_key_is_the_same_device(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    await alice.add(group, bob)
    await bob.publish(10)
    (await alice.send(group)).ok()
    async with listening(service.url, bob) as socket:
        await socket.until_seq(group.group_id, 2)
        header = {"authorization": f"Bearer {bob.token}"}
        await bob.add_passkey()
        assert (await bob.http.post("/auth/v1/logout?scope=local", headers=header)).status_code == 204
        assert (await socket.ended())["code"] == "no_session"
    (await bob.call("groups_list")).refused(401, "no_session")
    (await alice.send(group)).ok()  # while he is away

    returned = await bob.another(key=bob.key)
    assert returned.device_id == bob.device_id
    assert list(await listed(returned)) == [bob.device_id]  # no second row
    [mine] = (await returned.call("groups_list")).ok()["groups"]
    assert (mine["group_id"], mine["joined"], mine["last_seq"]) == (group.group_id, True, 3)
    assert (await returned.call("key_packages_count")).ok()["available"] == 10
    async with listening(service.url, returned, {group.group_id: 2}) as socket:
        await socket.until_seq(group.group_id, 3)
        (await returned.send(group)).ok()
        (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 5)
        assert socket.seqs(group.group_id) == [3, 4, 5]
    senders = [one["sender_device"] for one in (await alice.messages(group, after=3))["envelopes"]]
    assert senders == [bob.device_id, alice.device_id]
