"""The client against the real service: a guest gets a passkey, loses its session, and comes back as the same device."""

import dataclasses
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest

import coterie_mls
from coterie.client import Client
from coterie.errors import Refused, StateError
from coterie.native import SystemClock
from coterie.storage.memory import MemoryStore
from coterie.transport.http import HttpTransport
from tests.support.authenticator import Passkey
from tests.support.caller import Device
from tests.support.server import Service, execute

Arrive = Callable[[], Client]


@pytest.fixture
async def arrive(service: Service) -> AsyncIterator[Arrive]:
    """Makes clients that hold nothing yet."""
    clients: list[Client] = []

    def make() -> Client:
        one = Client(
            mls=coterie_mls,
            store=MemoryStore(),
            transport=HttpTransport(service.url),
            clock=SystemClock(),
            on_event=lambda _: None,
            service_url=service.url,
        )
        clients.append(one)
        return one

    yield make
    for one in clients:
        await one.close()


async def registered(client: Client, passkey: Passkey) -> dict[str, Any]:
    """As the page does it: options, `navigator.credentials.create`, verification."""
    begun = await client.passkey_options()
    credential = passkey.create(begun["options"])
    return await client.passkey_verify(challenge_id=begun["challenge_id"], credential=credential)


async def signed_in(client: Client, passkey: Passkey) -> dict[str, Any]:
    """As the page does it: options, `navigator.credentials.get`, verification."""
    begun = await client.sign_in_options()
    credential = passkey.get(begun["options"])
    return await client.sign_in_verify(challenge_id=begun["challenge_id"], credential=credential)


async def started(arrive: Arrive) -> Client:
    """Online, with a group."""
    client = arrive()
    await client.start()
    await client.set_name(name="Alice")
    await client.create_group(name="Reading")
    return client


async def test_a_name_goes_to_the_passkey_and_not_to_the_service(arrive: Arrive, service: Service) -> None:
    client = await started(arrive)
    begun = await client.passkey_options()
    assert (begun["options"]["user"]["name"], begun["options"]["user"]["displayName"]) == ("Alice", "Alice")
    assert "Alice" not in str(
        await client._transport.request("GET", "/auth/v1/user", None, await client.token())
    )


async def test_a_guest_gets_a_passkey_and_is_a_user(arrive: Arrive, service: Service) -> None:
    client = await started(arrive)
    before = client._engine.snapshot("online")
    assert client._engine.session.guest
    passkey = await registered(client, Passkey(service.url))
    assert not client._engine.session.guest
    assert client._engine.snapshot("online")["user_id"] == before["user_id"]
    assert [one["id"] for one in await client.list_passkeys()] == [passkey["id"]]
    renamed = await client.rename_passkey(passkey_id=passkey["id"], name="Phone")
    assert renamed["friendly_name"] == "Phone"
    with pytest.raises(Refused) as caught:
        await client.remove_passkey(passkey_id=passkey["id"])
    assert caught.value.code == "single_identity_not_deletable"
    await registered(client, Passkey(service.url))
    await client.remove_passkey(passkey_id=passkey["id"])
    assert len(await client.list_passkeys()) == 1


async def test_who_lost_the_session_is_the_same_device_again(arrive: Arrive, service: Service) -> None:
    client = await started(arrive)
    passkey = Passkey(service.url)
    await registered(client, passkey)
    before = client._engine.snapshot("online")
    execute(
        service.database,
        f"update coterie.auth_sessions set ended_at = now() where user_id = '{before['user_id']}'",
    )
    with pytest.raises(Refused):
        await client.devices()
    assert "Sign in again as the same person" in client._engine.snapshot("online")["session"]["why"]
    after = await signed_in(client, passkey)
    assert [after[name] for name in ("user_id", "device_id")] == [before["user_id"], before["device_id"]]
    assert [group["group_id"] for group in after["groups"]] == [one["group_id"] for one in before["groups"]]
    devices = await client.devices()
    assert [one["device_id"] for one in devices] == [before["device_id"]]


async def test_another_place_is_another_device_of_the_same_user(arrive: Arrive, service: Service) -> None:
    client = await started(arrive)
    passkey = Passkey(service.url)
    await registered(client, passkey)
    second = arrive()
    await second.start()
    there = await signed_in(second, passkey)
    here = client._engine.snapshot("online")
    assert there["user_id"] == here["user_id"]
    assert there["device_id"] not in (None, here["device_id"])
    assert there["groups"] == []


async def test_somebody_else_is_refused_and_nothing_changes(arrive: Arrive, service: Service) -> None:
    client = await started(arrive)
    other = await started(arrive)
    passkey = Passkey(service.url)
    await registered(other, passkey)
    before = client._engine.snapshot("online")
    token = await client.token()
    with pytest.raises(StateError) as caught:
        await signed_in(client, passkey)
    assert caught.value.code == "other_user"
    assert "belongs to somebody else" in caught.value.sentence
    assert client._engine.snapshot("online") == before
    assert await client.token() == token
    user = other._engine.snapshot("online")["user_id"]
    counter = Device(service.url)
    counter.session = {"access_token": await other.token(), "user": {"id": user}}
    assert (await counter.call("groups_list")).status == 200  # the other's own session goes on
    alive = f"select count(*) from coterie.auth_sessions where user_id = '{user}' and ended_at is null"
    connection = await asyncpg.connect(service.database)
    assert await connection.fetchval(alive) == 1  # and the one that nobody uses has ended
    await connection.close()


async def test_what_the_service_refuses_is_said(arrive: Arrive, service: Service) -> None:
    client = arrive()
    await client.start()
    begun = await client.sign_in_options()
    with pytest.raises(Refused) as caught:
        await client.sign_in_verify(
            challenge_id=begun["challenge_id"], credential=Passkey(service.url).get(begun["options"])
        )
    assert caught.value.code == "webauthn_verification_failed"
    assert client._engine.snapshot("offline")["user_id"] is None


async def test_a_token_that_ended_early_is_renewed(arrive: Arrive, service: Service) -> None:
    client = await started(arrive)
    session = client._engine.session
    assert session is not None
    spoilt = dataclasses.replace(session, access_token=f"{session.access_token}x")
    await client._do(lambda engine, now: engine.signed_in(spoilt, now))
    assert await client.list_passkeys() == []
    assert client._engine.session.access_token not in (session.access_token, spoilt.access_token)


async def test_signing_out_ends_this_session_and_no_other(arrive: Arrive, service: Service) -> None:
    client, second = await started(arrive), arrive()
    passkey = Passkey(service.url)
    await registered(client, passkey)
    await second.start()
    await signed_in(second, passkey)
    token = await second.token()
    await second.sign_out()
    headers = {"authorization": f"Bearer {token}"}
    assert (await Device(service.url).http.get("/auth/v1/user", headers=headers)).status_code == 403
    assert len(await client.devices()) == 2
    assert client._engine.snapshot("online")["session"]["state"] == "active"


async def test_a_device_out_of_use_signs_in_no_more_and_leaves_no_session(
    arrive: Arrive, service: Service
) -> None:
    client, second = await started(arrive), arrive()
    passkey = Passkey(service.url)
    await registered(client, passkey)
    await second.start()
    await signed_in(second, passkey)
    user, device = (
        client._engine.snapshot("online")["user_id"],
        second._engine.snapshot("online")["device_id"],
    )
    await client.revoke_device(device_id=device)
    begun = await second.sign_in_options()
    with pytest.raises(Refused) as caught:
        await second.sign_in_verify(
            challenge_id=begun["challenge_id"], credential=passkey.get(begun["options"])
        )
    assert caught.value.code == "device_revoked"
    assert second._engine.snapshot("offline")["session"]["code"] == "device_revoked"
    connection = await asyncpg.connect(service.database)
    alive = "select session_id from coterie.auth_sessions where user_id = $1 and ended_at is null"
    left = await connection.fetch(alive, uuid.UUID(user))
    await connection.close()
    assert len(left) == 1, "a session that nobody uses goes on"
