"""Clients that keep key packages, add each other without a link, and manage their devices; sessions that end."""

from typing import Any

import pytest

from coterie.core.packages import FULL, SLICE
from coterie.driver import BEFORE_PACKAGES, BETWEEN_PACKAGES
from coterie.errors import LocalError, Refused, StateError, Unreachable
from coterie.ports import Answer
from tests.support.directory import no
from tests.support.exchange import GONE, Exchange, Person, settle


async def stocked(exchange: Exchange, *people: Person) -> None:
    """They have key packages, and keep them in stock."""
    for person in people:
        person.wire.publishes = True
    await exchange.clock.advance(15)
    for person in people:
        assert exchange.office.stock(person.wire.device_id)["available"] == FULL


async def second_group(exchange: Exchange) -> tuple[str, Person, Person]:
    """Alice and Bob share a group and have key packages; Alice has another group."""
    _, (alice, bob) = await exchange.friends("Alice", "Bob")
    await stocked(exchange, alice, bob)
    made = await alice.client.create_group(name="Second")
    await settle()
    return str(made["group_id"]), alice, bob


async def test_key_packages_are_made_after_what_the_user_waits_for(exchange: Exchange) -> None:
    _, (alice,) = await exchange.friends("Alice")
    await exchange.clock.advance(BEFORE_PACKAGES - 0.5)
    assert alice.rows("packages") == {}
    await exchange.clock.advance(5)
    assert exchange.office.stock(alice.wire.device_id)["available"] == FULL
    assert len(alice.wire.posts("key_packages_publish")) == 1


async def test_other_work_goes_on_while_they_are_made(exchange: Exchange) -> None:
    group_id, (alice,) = await exchange.friends("Alice")
    alice.wire.publishes = True
    exchange.push()  # told by a frame too, besides the answer to its own question
    await exchange.clock.advance(BEFORE_PACKAGES + 2 * BETWEEN_PACKAGES)
    assert 0 < len(alice.rows("packages")) <= 3 * SLICE + 1
    await alice.client.send_text(group_id=group_id, text="meanwhile")
    await settle()
    assert await alice.states(group_id) == ["sent"]
    assert len(alice.rows("packages")) <= 3 * SLICE + 1


async def test_a_restart_while_they_are_made_makes_no_more_than_needed(exchange: Exchange) -> None:
    _, (alice,) = await exchange.friends("Alice")
    await exchange.clock.advance(BEFORE_PACKAGES + 0.3)
    made = set(alice.rows("packages"))
    assert 0 < len(made) < FULL
    await alice.killed()
    await exchange.clock.advance(10)
    assert len(alice.rows("packages")) == FULL + 1
    assert made < set(alice.rows("packages"))


async def test_a_stock_that_runs_low_is_refilled(exchange: Exchange) -> None:
    _, (alice,) = await exchange.friends("Alice")
    await stocked(exchange, alice)
    packages = exchange.office.enrolled[alice.wire.device_id].packages
    while len(packages) > 24:
        packages.pop(next(iter(packages)))
    exchange.push()
    await exchange.clock.advance(10)
    assert exchange.office.stock(alice.wire.device_id)["available"] == FULL


async def test_a_known_person_is_added_and_accepts(exchange: Exchange) -> None:
    group_id, alice, bob = await second_group(exchange)
    (person,) = await alice.client.people()
    assert person["name"] == "Bob"
    added = await alice.client.add_person(group_id=group_id, user_id=person["user_id"])
    assert added["added"] == [f"{bob.wire.user_id}#{bob.wire.device_id}"]
    await settle()
    assert bob.told("invitation")[-1]["invitation"]["sender"]["name"] == "Alice"
    (invitation,) = await bob.client.invitations()
    assert (await bob.client.start())["invitations"] == [invitation]
    entered = await bob.client.accept_invitation(group_id=group_id)
    assert entered["group"]["group_id"] == group_id
    await settle()
    assert bob.told("invitation_gone") == [{"event": "invitation_gone", "group_id": group_id}]
    await bob.client.send_text(group_id=group_id, text="thanks")
    await settle()
    assert await alice.texts(group_id) == await bob.texts(group_id) == ["thanks"]
    assert (await bob.client.open_group(group_id=group_id))["group"]["name"] == "Second"


@pytest.mark.parametrize("way", ["socket", "polling"])
async def test_who_was_away_finds_the_invitation(exchange: Exchange, way: str) -> None:
    group_id, alice, bob = await second_group(exchange)
    bob.wire.down = True
    bob.wire.cut()
    await alice.client.add_person(group_id=group_id, user_id=bob.wire.user_id)
    await settle()
    bob.wire.down, bob.wire.sockets = False, way == "socket"
    await exchange.clock.advance(30)
    assert [one["group_id"] for one in await bob.client.invitations()] == [group_id]


async def test_an_addition_while_the_service_is_away_is_told_later(exchange: Exchange) -> None:
    group_id, alice, bob = await second_group(exchange)
    alice.wire.down = True
    alice.wire.cut()
    assert await alice.client.add_person(group_id=group_id, user_id=bob.wire.user_id) == {}
    await alice.killed()
    alice.wire.down = False
    await exchange.clock.advance(20)
    assert alice.told("addition")[-1]["addition"]["added"]
    assert len(await bob.client.invitations()) == 1


async def test_declining_leaves_nothing(exchange: Exchange) -> None:
    group_id, alice, bob = await second_group(exchange)
    await alice.client.add_person(group_id=group_id, user_id=bob.wire.user_id)
    await settle()
    await bob.client.decline_invitation(group_id=group_id)
    await settle()
    assert await bob.client.invitations() == []
    assert bob.wire.posts("group_leave") == [{"group_id": group_id}]
    assert bob.rows("invitations") == {}
    with pytest.raises(StateError):
        await bob.client.accept_invitation(group_id=group_id)


async def laptop_of(exchange: Exchange, person: Person) -> Person:
    """Another device of the same user."""
    laptop = await exchange.person("Laptop")
    laptop.wire.user_id = person.wire.user_id
    laptop.wire.answers["/auth/v1/signup"] = laptop.wire.new_session()
    return laptop


async def test_own_devices_are_listed_named_and_revoked(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    laptop = await laptop_of(exchange, alice)
    link = (await alice.client.create_invite(group_id=group_id))["link"]
    await laptop.client.join(link=link, name="Alice's laptop")
    await settle()
    await laptop.client.rename_device(name="Laptop")
    listed = await alice.client.devices()
    assert [(one["name"], one["current"], one["groups"]) for one in listed] == [
        ("Coterie", True, 1),
        ("Laptop", False, 1),
    ]
    seen = (await bob.client.open_group(group_id=group_id))["members"]
    shown = [one["fingerprint"] for one in seen if one["device_id"] == listed[0]["device_id"]]
    assert [one["key"] and one["key"][:8] for one in listed] == [*shown, None], (
        "the own key, for others to compare"
    )
    device_id = listed[1]["device_id"]
    await alice.client.revoke_device(device_id=device_id)
    await exchange.clock.advance(3)
    assert (await alice.client.devices())[1]["revoked"]
    assert "device_removed" in await bob.codes(group_id)
    members = (await bob.client.open_group(group_id=group_id))["members"]
    assert device_id not in [one["device_id"] for one in members]
    assert laptop.told("session")[-1]["session"]["state"] == "ended"
    assert laptop.told("session")[-1]["session"]["code"] == "device_revoked"
    assert laptop.told("connection")[-1]["state"] == "offline"
    assert "taken out of use" in laptop.told("session")[-1]["session"]["why"]
    assert laptop.problems() == ["device_revoked"]
    await laptop.client.send_text(group_id=group_id, text="never")
    await exchange.clock.advance(60)
    assert await laptop.states(group_id) == ["pending"], "what was written is kept, and goes nowhere"


async def test_a_revoked_device_that_was_away_learns_it(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    alice.wire.sockets = False
    alice.wire.cut()
    exchange.office.enrolled[alice.wire.device_id].revoked = True
    await exchange.clock.advance(30)
    assert alice.problems() == ["device_revoked"]
    sent = len(alice.wire.log)
    await exchange.clock.advance(300)
    assert len(alice.wire.log) == sent, "nothing more is asked of the service"
    assert group_id in [group["group_id"] for group in (await alice.client.start())["groups"]]


async def test_a_session_that_an_answer_ends_ends_the_socket_too(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    alice.wire.answers["/functions/v1/send_message"] = Answer(
        403, {"code": "device_revoked", "message": "No."}
    )
    await alice.client.send_text(group_id=group_id, text="too late")
    await exchange.clock.advance(1)
    assert alice.wire.socket is None
    assert alice.told("connection")[-1]["state"] == "offline"


async def test_the_device_in_use_is_not_revoked_by_itself(exchange: Exchange) -> None:
    _, (alice,) = await exchange.friends("Alice")
    for device_id, code in ((alice.wire.device_id, "own_device"), ("nonsense", "no_device")):
        with pytest.raises(StateError) as caught:
            await alice.client.revoke_device(device_id=device_id)
        assert caught.value.code == code
    with pytest.raises(LocalError):
        await alice.client.rename_device(name="\n")
    new = await exchange.person("New")
    assert await new.client.devices() == [] == await new.client.people()
    with pytest.raises(StateError):
        await new.client.rename_device(name="Desk")
    assert new.wire.log == [], "looking signs nobody in"
    exchange.office.refusals["devices_list"] = no(429, "too_many")
    with pytest.raises(Refused):
        await alice.client.devices()


async def lose_session(exchange: Exchange, person: Person) -> None:
    """The service forgets the session: nothing renews it."""
    person.wire.tokens.clear()
    person.wire.refresh_tokens.clear()
    person.wire.cut()
    await exchange.clock.advance(20)


async def test_a_lost_session_keeps_all_and_a_sign_in_of_the_same_user_goes_on(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    alice.wire.guest = False
    await alice.client.sign_in(session=alice.wire.new_session().body)
    await alice.client.send_text(group_id=group_id, text="before")
    await settle()
    device_id = alice.wire.device_id
    await lose_session(exchange, alice)
    await alice.client.send_text(group_id=group_id, text="waits")
    await exchange.clock.advance(60)
    told = alice.told("session")[-1]["session"]
    assert (told["state"], told["guest"], told["code"]) == ("ended", False, "session_ended")
    assert "Sign in again" in told["why"]
    assert alice.told("connection")[-1]["state"] == "offline"
    seen = await alice.client.health(group_id=group_id)
    assert (seen["session"], seen["good"]) == ("session_ended", False)
    await alice.again()
    snapshot = await alice.client.start()
    assert snapshot["session"] == told
    assert [group["group_id"] for group in snapshot["groups"]] == [group_id]
    await bob.client.send_text(group_id=group_id, text="missed")
    await settle()
    back = await alice.client.sign_in(session=alice.wire.new_session().body)
    assert back["session"] == {"state": "active", "guest": False, "code": None, "why": ""}
    await exchange.clock.advance(30)
    assert alice.wire.device_id == device_id
    assert sorted(await alice.texts(group_id)) == ["before", "missed", "waits"]
    assert await bob.texts(group_id) == await alice.texts(group_id)
    assert len({body["signature_key"] for body in alice.wire.posts("device_register")}) == 1


async def test_another_user_is_refused_and_changes_nothing(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await lose_session(exchange, alice)
    before = alice.store.rows()
    with pytest.raises(StateError) as caught:
        await alice.client.sign_in(session=bob.wire.new_session().body)
    assert caught.value.code == "other_user"
    assert "Nothing was changed" in caught.value.sentence
    assert alice.store.rows() == before
    assert group_id in [group["group_id"] for group in (await alice.client.start())["groups"]]


async def test_a_guest_is_told_what_the_end_of_a_session_means(exchange: Exchange) -> None:
    _, (alice,) = await exchange.friends("Alice")
    await lose_session(exchange, alice)
    session = alice.told("session")[-1]["session"]
    assert session["guest"]
    assert "a guest can't sign in again" in session["why"]
    with pytest.raises(StateError) as caught:
        await alice.client.create_group(name="More")
    assert caught.value.code == "session_ended"
    assert len(alice.wire.posts("device_register")) == 1
    await alice.client.sign_out()
    assert alice.store.rows() == {}


async def test_a_session_that_the_service_does_not_know_as_the_devices_is_bound_anew(
    exchange: Exchange,
) -> None:
    group_id, (alice,) = await exchange.friends("Alice")
    alice.wire.bound.clear()
    await alice.client.send_text(group_id=group_id, text="hi")
    await settle()
    assert await alice.states(group_id) == ["sent"]
    assert len(alice.wire.posts("device_register")) == 2


@pytest.mark.parametrize("answer", ["gone", "other device"])
async def test_a_sign_in_that_is_not_completed_is_completed_later(exchange: Exchange, answer: str) -> None:
    group_id, (alice,) = await exchange.friends("Alice")
    await lose_session(exchange, alice)
    before, alice.wire.device_id = alice.wire.device_id, alice.wire.device_id
    if answer == "gone":
        alice.wire.answers["/functions/v1/device_register"] = GONE
        with pytest.raises(Unreachable):
            await alice.client.sign_in(session=alice.wire.new_session().body)
    else:
        alice.wire.device_id = "00000000-0000-4000-8000-00000000000a"
        with pytest.raises(Exception, match="takes this device for another one"):
            await alice.client.sign_in(session=alice.wire.new_session().body)
    alice.wire.answers.clear()
    alice.wire.device_id = before
    await alice.again()
    await alice.client.send_text(group_id=group_id, text="hi")
    await exchange.clock.advance(30)
    assert await alice.states(group_id) == ["sent"]


async def test_devices_that_changed_are_told(exchange: Exchange) -> None:
    _, (alice,) = await exchange.friends("Alice")
    socket = alice.wire.socket
    assert socket
    socket.queue.put_nowait({"v": 1, "type": "device_changed"})
    await settle()
    assert alice.told("devices_changed") == [{"event": "devices_changed"}]


@pytest.mark.parametrize("frame", [{"type": "invitation"}, {"type": "key_packages_low"}])
async def test_an_ill_formed_frame_of_the_directory_is_skipped(
    exchange: Exchange, frame: dict[str, Any]
) -> None:
    group_id, (alice,) = await exchange.friends("Alice")
    socket = alice.wire.socket
    assert socket
    socket.queue.put_nowait({"v": 1} | frame)
    await alice.client.send_text(group_id=group_id, text="fine")
    await settle()
    assert await alice.states(group_id) == ["sent"]
    assert alice.problems() == []
    assert alice.wire.connects == 1
