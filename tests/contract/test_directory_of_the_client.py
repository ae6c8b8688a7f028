"""Two clients on the real service, without a browser: known people are added, key packages refilled, a session lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coterie.core.packages import FULL
from coterie.errors import StateError
from tests.support.authenticator import Passkey
from tests.support.clients import Person, stocked
from tests.support.server import Service


@pytest.fixture
async def friends(service: Service, tmp_path: Path) -> AsyncIterator[tuple[str, Person, Person]]:
    """Alice and Bob in one group."""
    alice, bob = (Person(service.url, tmp_path / name, name) for name in ("Alice", "Bob"))
    for person in (alice, bob):
        await person.start()
    group_id = (await alice.client.create_group(name="First"))["group_id"]
    link = (await alice.client.create_invite(group_id=group_id))["link"]
    await bob.client.join(link=link, name="Bob")

    async def both_in(person: Person) -> bool:
        snapshot = await person.client.open_group(group_id=group_id)
        return len(snapshot["members"]) == 2 and all(member["name"] for member in snapshot["members"])

    async def joined() -> bool:
        return any(event["event"] == "join" and event["join"]["state"] == "joined" for event in bob.events)

    await bob.until(joined)
    for person in (alice, bob):
        await person.until(lambda person=person: both_in(person))
    yield group_id, alice, bob
    for person in (alice, bob):
        await person.client.close()


async def test_a_known_person_is_added_online_and_offline(friends: tuple[str, Person, Person]) -> None:
    _, alice, bob = friends
    await stocked(bob)
    for name, online in (("Second", True), ("Third", False)):
        group_id = (await alice.client.create_group(name=name))["group_id"]
        if not online:
            await bob.client.close()
        (person,) = await alice.client.people()
        added = await alice.client.add_person(group_id=group_id, user_id=person["user_id"])
        assert len(added["added"]) == 1, added
        await alice.client.send_text(group_id=group_id, text=f"welcome to {name}")
        if not online:
            bob.events.clear()
            await bob.start()
        invitation = await bob.invitation()
        assert (invitation["group_id"], invitation["sender"]["name"]) == (group_id, "Alice")
        assert (await bob.client.accept_invitation(group_id=group_id))["group"]["group_id"] == group_id
        await bob.client.send_text(group_id=group_id, text="thanks")
        await alice.sees(group_id, f"welcome to {name}", "thanks")
        await bob.sees(group_id, *await alice.texts(group_id))
        await bob.knows_as(group_id, name)
    assert await bob.client.invitations() == []
    await _declined_is_gone_at_the_service_too(alice, bob)


async def _declined_is_gone_at_the_service_too(alice: Person, bob: Person) -> None:
    group_id = (await alice.client.create_group(name="No"))["group_id"]
    (person,) = await alice.client.people()
    await alice.client.add_person(group_id=group_id, user_id=person["user_id"])
    await bob.invitation()
    await bob.client.decline_invitation(group_id=group_id)

    async def nothing_left() -> bool:
        return bool((await bob.client.call("welcomes_list", {})).body["welcomes"] == [])

    await bob.until(nothing_left)
    await bob.client.close()
    await bob.start()
    assert await bob.client.invitations() == []


async def test_who_accepts_after_being_removed_is_told(friends: tuple[str, Person, Person]) -> None:
    """The Welcome that the device kept opens all the same; the log says the rest."""
    _, alice, bob = friends
    await stocked(bob)
    group_id = (await alice.client.create_group(name="Too late"))["group_id"]
    (person,) = await alice.client.people()
    await alice.client.add_person(group_id=group_id, user_id=person["user_id"])
    await bob.invitation()

    async def others() -> list[str]:
        members = (await alice.client.open_group(group_id=group_id))["members"]
        return [member["identity"] for member in members if not member["me"]]

    (identity,) = await alice.until(others)
    await alice.client.remove_member(group_id=group_id, identity=identity)

    async def alone() -> bool:
        return not await others()

    await alice.until(alone)
    await bob.client.accept_invitation(group_id=group_id)

    async def out() -> bool:
        return bool((await bob.client.open_group(group_id=group_id))["group"]["state"] == "removed")

    await bob.until(out)


async def test_key_packages_are_drained_and_refilled(friends: tuple[str, Person, Person]) -> None:
    """Alice claims Bob's until fewer than 25 are left: he is told, makes the rest and posts it."""
    _, alice, bob = friends
    await stocked(bob)
    bob_id = (await alice.client.people())[0]["user_id"]
    given = set[str]()

    async def claim(number: int) -> None:
        claim_id = f"00000000-0000-4000-8000-{number:012}"
        answer = await alice.client.call("key_packages_claim", {"claim_id": claim_id, "user_ids": [bob_id]})
        given.update(one["key_package"] for one in answer.body["key_packages"])

    for number in range(FULL - 24):
        await claim(number)
    assert len(given) == FULL - 24
    await stocked(bob)
    assert [event for event in bob.events if event["event"] == "problem"] == []


async def test_a_device_that_lost_its_session_is_the_same_after_a_new_sign_in(
    service: Service, friends: tuple[str, Person, Person]
) -> None:
    """With a passkey of the same user. Groups, history and what waits are as they were; no second device."""
    group_id, alice, bob = friends
    passkey = Passkey(service.url)
    begun = await bob.client.passkey_options()
    await bob.client.passkey_verify(
        challenge_id=begun["challenge_id"], credential=passkey.create(begun["options"])
    )
    await bob.client.send_text(group_id=group_id, text="before")
    await alice.sees(group_id, "before")
    before = (await bob.client.start())["device_id"]
    (listed,) = await bob.client.devices()
    session = bob.client._engine.session
    assert session
    await bob.client._transport.request("POST", "/auth/v1/logout", {}, session.access_token)

    async def ended() -> bool:
        return any(
            event["event"] == "session" and event["session"]["state"] == "ended" for event in bob.events
        )

    await bob.client.send_text(group_id=group_id, text="waits")
    await bob.until(ended)
    told = [event["session"] for event in bob.events if event["event"] == "session"][-1]
    assert (told["state"], told["guest"]) == ("ended", False)
    await alice.client.send_text(group_id=group_id, text="missed")
    with pytest.raises(StateError) as caught:
        await bob.client.create_group(name="not now")
    assert caught.value.code == "session_ended"
    begun = await bob.client.sign_in_options()
    snapshot = await bob.client.sign_in_verify(
        challenge_id=begun["challenge_id"], credential=passkey.get(begun["options"])
    )
    assert (snapshot["device_id"], snapshot["session"]["state"]) == (before, "active")
    for person in (alice, bob):
        await person.sees(group_id, "before", "waits", "missed")
    (again,) = await bob.client.devices()
    assert (again["device_id"], again["groups"]) == (listed["device_id"], listed["groups"])


async def test_a_device_is_taken_out_of_use(service: Service, friends: tuple[str, Person, Person]) -> None:
    """Bob signs in on a second device with his passkey, loses it, and revokes it from the first."""
    group_id, alice, bob = friends
    passkey = Passkey(service.url)
    begun = await bob.client.passkey_options()
    await bob.client.passkey_verify(
        challenge_id=begun["challenge_id"], credential=passkey.create(begun["options"])
    )
    laptop = Person(service.url, bob.path.with_name("laptop"), "Bob's laptop")
    await laptop.start()
    try:
        begun = await laptop.client.sign_in_options()
        await laptop.client.sign_in_verify(
            challenge_id=begun["challenge_id"], credential=passkey.get(begun["options"])
        )
        await laptop.client.set_name(name=laptop.name)
        link = (await alice.client.create_invite(group_id=group_id))["link"]
        await laptop.client.join(link=link, name=laptop.name)

        async def members(person: Person, count: int) -> bool:
            shown = await person.client.open_group(group_id=group_id)
            return len(shown["members"]) == count

        for person in (alice, bob):
            await person.until(lambda person=person: members(person, 3))
        (lost,) = [one for one in await bob.client.devices() if not one["current"]]
        assert lost["groups"] == 1
        await bob.client.revoke_device(device_id=lost["device_id"])
        await alice.until(lambda: members(alice, 2))

        async def ended() -> bool:
            return any(
                event["event"] == "session" and event["session"]["state"] == "ended"
                for event in laptop.events
            )

        await laptop.until(ended)
        shown = await alice.client.open_group(group_id=group_id)
        assert shown["lines"][-1]["code"] == "device_removed"
    finally:
        await laptop.client.close()
