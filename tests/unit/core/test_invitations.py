"""Welcomes that nobody asked for: kept, shown, opened only when accepted, and refused when the service lies."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

import coterie_mls
from coterie.core import device as devices
from coterie.core import invitations
from coterie.core.effects import Drain
from coterie.core.invitations import MOST
from coterie.core.records import Invitation
from coterie.errors import InviteError, StateError
from coterie_wire import uuid_bytes, welcome_refs
from tests.support import mallory
from tests.support.device import Crash, Device
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice


def invited(office: PostOffice, *, shared: bool = True) -> tuple[str, Device, Device]:
    """Alice has added Bob to a group, whom she knows, and Bob has not accepted yet; and whether Bob knows her."""
    first, (alice, bob) = friends(office, "Alice", "Bob")
    bob.publish()
    group_id = alice.create("Second")
    office.pump()
    alice.add(group_id, bob.user_id)
    office.pump()
    if not shared:
        for table in ("groups", "chats", "profiles", "contacts"):
            bob.rows[table].clear()
        bob.crash()
    return group_id, alice, bob


def waiting(office: PostOffice, device: Device) -> dict[str, Any]:
    """The Welcome that lies at the service for a device."""
    (found,) = office.welcomes(device)
    return found


def test_nothing_is_opened_before_the_user_accepts(office: PostOffice) -> None:
    group_id, _, bob = invited(office)
    assert bob.engine.backend
    assert len(bob.engine.backend.groups()) == 1
    assert group_id not in bob.engine.cursors()
    bob.crash()
    (invitation,) = bob.engine.snapshot("online")["invitations"]
    assert (invitation["group_id"], invitation["group_name"], invitation["state"]) == (
        group_id,
        None,
        "waiting",
    )
    assert bob.engine.invitations() == [invitation]


def test_a_sender_without_another_shared_group_is_said_to_be_new(office: PostOffice) -> None:
    group_id, alice, bob = invited(office, shared=False)
    (invitation,) = bob.engine.invitations()
    assert invitation["sender"]["name"] is None
    bob.accept(group_id)
    office.pump()
    assert bob.codes(group_id) == ["added_self", "new_key"]
    assert bob.lines(group_id)[0]["text"].startswith("Alice added you")
    assert same_state(group_id, alice, bob)


def test_who_was_away_finds_it_later(office: PostOffice) -> None:
    first, (alice, bob) = friends(office, "Alice", "Bob")
    bob.publish()
    bob.online = False
    group_id = alice.create("Second")
    office.pump()
    alice.add(group_id, bob.user_id)
    office.pump()
    alice.send(group_id, "before you came back")
    office.pump()
    bob.online = True
    bob.crash()
    bob.run(bob.engine.online(office.now))
    office.carry_out(bob)
    bob.accept(group_id)
    office.pump()
    assert bob.texts(group_id) == ["before you came back"], "it was sent after the commit that added Bob"
    assert first in bob.engine.cursors()


def test_a_name_that_is_known_is_not_changed_by_a_handover(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    mallory.say(alice, group_id, {"type": "handover", "name": "Evil", "invites": [], "profiles": {}})
    office.pump()
    assert bob.group(group_id)["name"] == "Friends"


def test_declining_tells_the_service_and_uses_the_key_up(office: PostOffice) -> None:
    group_id, alice, bob = invited(office)
    before = len(bob.rows["packages"])
    bob.decline(group_id)
    assert bob.engine.invitations() == []
    bob.run(bob.engine.invited([waiting(office, bob)], office.now))
    assert bob.engine.invitations() == [], "the service does not know yet"
    office.pump()
    assert bob.rows["invitations"] == {}
    assert office.welcomes(bob) == []
    assert len(bob.rows["packages"]) == before - 1
    with pytest.raises(StateError):
        bob.accept(group_id)
    assert alice.names(group_id) == ["Alice", "Bob"], "a leaf until a member removes it"


def test_a_link_to_a_group_with_an_invitation_says_so(office: PostOffice) -> None:
    group_id, alice, bob = invited(office)
    link = alice.invite(group_id)
    office.pump()
    with pytest.raises(StateError) as caught:
        bob.ask(link, "Bob")
    assert caught.value.code == "invited"
    bob.decline(group_id)
    office.pump()
    bob.ask(link, "Bob")
    office.pump()
    bob.send(group_id, "by the link")
    office.pump()
    assert alice.texts(group_id) == ["by the link"]


def test_who_is_added_while_a_join_waits_comes_in_once(office: PostOffice) -> None:
    _, (alice, bob) = friends(office, "Alice", "Bob")
    bob.publish()
    group_id = alice.create("Second")
    link = alice.invite(group_id)
    office.pump()
    alice.online = False
    join_id = bob.ask(link, "Bob")
    office.pump()
    alice.add(group_id, bob.user_id)
    office.post(alice)
    alice.online = True
    office.pump()
    office.wait(10)
    assert office.joins[join_id]["status"] == "welcomed"
    assert bob.engine.invitations() == []
    assert bob.rows["invitations"] == {}
    assert bob.joins() == []
    bob.send(group_id, "here")
    office.pump()
    assert alice.texts(group_id) == ["here"]
    assert same_state(group_id, alice, bob)


def test_one_that_was_accepted_is_not_shown_again(office: PostOffice) -> None:
    group_id, _, bob = invited(office)
    raw = dict(waiting(office, bob))
    kept, asked = len(bob.rows["packages"]), len(office.calls("key_packages_count"))
    bob.accept(group_id)
    bob.run(bob.engine.invited([raw], office.now))
    office.pump()
    assert len(bob.rows["packages"]) == kept - 1, "it has served"
    assert len(office.calls("key_packages_count")) == asked + 1
    bob.run(bob.engine.invited([raw], office.now))
    assert bob.engine.invitations() == []
    assert bob.codes(group_id) == ["added_self"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_step_enters_once_in_the_end(when: str) -> None:
    for number in range(8):
        office = PostOffice()
        group_id, alice, bob = invited(office)
        getattr(bob, f"crash_{when}").add(len(bob.writes) + number)
        try:
            bob.accept(group_id)
        except Crash:
            if when == "before":
                bob.accept(group_id)
        office.pump()
        reached = not getattr(bob, f"crash_{when}")
        getattr(bob, f"crash_{when}").clear()
        bob.send(group_id, "in")
        office.pump()
        assert alice.texts(group_id) == ["in"], number
        assert same_state(group_id, alice, bob)
        if not reached:
            return


Lie = Callable[[PostOffice, Device, dict[str, Any]], dict[str, Any]]


def another_uuid(office: PostOffice, bob: Device, raw: dict[str, Any]) -> dict[str, Any]:
    return raw | {"group_id": str(uuid4())}


def another_sender(office: PostOffice, bob: Device, raw: dict[str, Any]) -> dict[str, Any]:
    return raw | {"sender_user": str(uuid4())}


def own_group(office: PostOffice, bob: Device, raw: dict[str, Any]) -> dict[str, Any]:
    """A group of the service's own, made by somebody with Alice's ids and other keys."""
    backend = coterie_mls.Backend.create(raw["sender_user"])
    backend.bind_device(raw["sender_device"])
    owner = f"{raw['sender_user']}#{raw['sender_device']}"
    group = backend.create_group(devices.group_data(uuid_bytes(raw["group_id"]), owner))
    _, (_, posted) = next(iter(office.enrolled[bob.device_id].packages.items()))
    made = backend.commit(group, add=[bytes.fromhex(posted)])
    assert made.welcome
    return raw | {"welcome": made.welcome.hex()}


def damaged(office: PostOffice, bob: Device, raw: dict[str, Any]) -> dict[str, Any]:
    welcome = bytes.fromhex(raw["welcome"])
    return raw | {"welcome": (welcome[:-1] + bytes([welcome[-1] ^ 1])).hex()}


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        (another_uuid, "into another group"),
        (another_sender, "does not come from the person"),
        (own_group, "with other keys"),
        (damaged, "could not be opened"),
    ],
)
def test_a_welcome_that_does_not_hold_is_refused_with_words(lie: Lie, says: str, office: PostOffice) -> None:
    group_id, _, bob = invited(office)
    raw = lie(office, bob, dict(waiting(office, bob)))
    bob.rows["invitations"].clear()
    bob.crash()
    keys = dict(bob.rows["mls"])
    bob.run(bob.engine.invited([raw], office.now))
    told = bob.accept(raw["group_id"])["invitation"]
    assert told["state"] == "failed"
    assert says in told["why"]
    assert bob.rows["mls"] == keys, "nothing was joined, and the key package is as it was"
    assert raw["group_id"] not in bob.engine.cursors()
    with pytest.raises(StateError) as caught:
        bob.accept(raw["group_id"])
    assert says in caught.value.sentence
    bob.decline(raw["group_id"])
    assert bob.engine.invitations() == []
    assert group_id


def test_a_welcome_into_a_group_one_is_in_is_ignored_and_said_once(office: PostOffice) -> None:
    first, (alice, bob) = friends(office, "Alice", "Bob")
    bob.publish()
    second = alice.create("Second")
    office.pump()
    alice.add(second, bob.user_id)
    office.pump()
    raw = waiting(office, bob) | {"group_id": first}
    for _ in range(2):
        bob.run(bob.engine.invited([raw], office.now))
    assert bob.codes(first).count("bad_invitation") == 1
    assert [one["group_id"] for one in bob.engine.invitations()] == [second]
    bob.send(first, "as before")
    office.pump()
    assert alice.texts(first) == ["as before"]


def test_the_mls_id_of_another_group_is_refused(office: PostOffice) -> None:
    """Two UUIDs for one MLS group: the second Welcome leads into the group that the first one did."""
    group_id, alice, bob = invited(office)
    bob.accept(group_id)
    office.pump()
    alice.remove(group_id, bob)
    office.pump()
    alice.add(group_id, bob.user_id)
    office.pump()
    raw = waiting(office, bob) | {"group_id": str(uuid4())}
    bob.run(bob.engine.invited([raw], office.now))
    assert "another group" in bob.accept(raw["group_id"])["invitation"]["why"]


def test_one_mls_id_is_never_two_groups(office: PostOffice) -> None:
    """The binding makes ids at random; somebody else's may choose that of another group of ours."""
    first, (_, bob) = friends(office, "Alice", "Bob")
    group_id, sender = str(uuid4()), str(uuid4())
    invitation = Invitation(
        group_id=group_id,
        welcome=b"",
        seq=1,
        from_seq=2,
        sender_user=sender,
        sender_device=sender,
        created_at=0,
    )
    joined = SimpleNamespace(
        group_id=bob.record(first).mls_id,
        group_data=devices.group_data(uuid_bytes(group_id), "owner"),
        epoch=1,
        inviter=SimpleNamespace(identity=invitation.sender),
    )
    look = bob.engine._look
    with pytest.raises(InviteError) as caught:
        look(lambda turn: invitations._check(turn, invitation, joined, None))
    assert caught.value.code == "other_group"
    joined.group_id = bytes(16)
    look(lambda turn: invitations._check(turn, invitation, joined, None))


def test_who_left_can_be_added_anew_and_keeps_the_history(office: PostOffice) -> None:
    group_id, alice, bob = invited(office)
    bob.accept(group_id)
    office.pump()
    bob.send(group_id, "first time")
    office.pump()
    bob.leave(group_id)
    office.pump()
    office.wait(1)
    alice.add(group_id, bob.user_id)
    office.pump()
    (invitation,) = bob.engine.invitations()
    assert invitation["group_name"] == "Second"
    bob.accept(group_id)
    bob.send(group_id, "second time")
    office.pump()
    assert bob.texts(group_id) == ["first time", "second time"]
    assert alice.texts(group_id) == ["first time", "second time"]


def taken_out_and_added_anew(office: PostOffice) -> tuple[str, Device, Device]:
    """While Bob was away, Alice removed him from a group and added him again; he had a line to send."""
    group_id, alice, bob = invited(office)
    bob.accept(group_id)
    office.pump()
    bob.online = False
    bob.send(group_id, "written meanwhile")
    alice.remove(group_id, bob)
    office.pump()
    alice.add(group_id, bob.user_id)
    office.pump()
    bob.run(bob.engine.invited([waiting(office, bob)], office.now))
    bob.online = True
    return group_id, alice, bob


def test_who_was_taken_out_and_added_anew_while_away_decides(office: PostOffice) -> None:
    group_id, alice, bob = taken_out_and_added_anew(office)
    sent = len([one for one in office.log if one[:2] == (bob.device_id, "send_message")])
    office.pump()
    assert "taken out of this group and added anew" in bob.group(group_id)["why"]
    assert bob.states(group_id) == ["pending"]
    assert len([one for one in office.log if one[:2] == (bob.device_id, "send_message")]) == sent
    bob.accept(group_id)
    office.pump()
    assert bob.states(group_id) == ["failed"], "said, not dropped in silence"
    bob.send(group_id, "back")
    office.pump()
    assert alice.texts(group_id) == ["back"]
    assert bob.texts(group_id) == ["written meanwhile", "back"]
    assert bob.record(group_id).epoch_authenticator == alice.record(group_id).epoch_authenticator


def test_a_stranger_adds_nobody_anew(office: PostOffice) -> None:
    """A group that one has gives way only to a Welcome of one of its members."""
    first, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    bob.publish()
    group_id = alice.create("Second")
    office.pump()
    alice.add(group_id, bob.user_id)
    office.pump()
    bob.accept(group_id)
    office.pump()
    bob.rows["contacts"].clear()
    for table in ("groups", "profiles"):
        bob.rows[table] = {
            key: row for key, row in bob.rows[table].items() if not key.startswith(uuid_bytes(first))
        }
    bob.online = False
    bob.crash()
    alice.remove(group_id, bob)
    office.pump()
    link = alice.invite(group_id)
    office.pump()
    carol.ask(link, "Carol")
    office.pump()
    carol.add(group_id, bob.user_id)
    office.pump()
    bob.run(bob.engine.invited([waiting(office, bob)], office.now))
    told = bob.accept(group_id)["invitation"]
    assert "somebody who is not a member of it" in told["why"]
    assert bob.record(group_id).state == "active"


def test_declining_to_be_added_anew_ends_the_group(office: PostOffice) -> None:
    group_id, _, bob = taken_out_and_added_anew(office)
    office.pump()
    bob.decline(group_id)
    assert bob.states(group_id) == ["failed"]
    assert bob.engine.next_post(uuid_bytes(group_id)) is None
    office.pump()
    assert bob.group(group_id)["state"] == "left"
    assert bob.group(group_id)["can_forget"]
    assert office.welcomes(bob) == []


def added_anew(group_id: str, sender: Device) -> dict[str, object]:
    """What a service may make up: that `sender` has added this device anew, with a Welcome that is none."""
    return {
        "group_id": group_id,
        "seq": 99,
        "from_seq": 100,
        "welcome": "00" * 50,
        "sender_user": sender.user_id,
        "sender_device": sender.device_id,
        "created_at": "2026-11-21T00:00:00Z",
    }


@pytest.mark.parametrize("opened", ["opened", "never opened"])
def test_a_lie_that_is_put_away_does_not_end_the_group(office: PostOffice, opened: str) -> None:
    """Anybody can claim that this device was added anew, with a Welcome that is none; that is no reason to leave."""
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    lie = added_anew(group_id, alice)
    if opened == "opened":  # it names a key package of Bob's, so that only opening it shows what it is
        bob.publish()
        second = alice.create("Second")
        office.pump()
        alice.add(second, bob.user_id)
        office.pump()
        lie["welcome"] = waiting(office, bob)["welcome"]
    bob.run(bob.engine.invited([lie], office.now))
    if opened == "opened":
        bob.accept(group_id)
    assert [one["state"] for one in bob.engine.invitations() if one["group_id"] == group_id] == ["failed"]
    bob.decline(group_id)
    assert bob.group(group_id)["state"] == "active"
    assert bob.group(group_id)["can_send"]


def test_a_group_that_goes_on_after_all_goes_on(office: PostOffice) -> None:
    """The service lied: the next envelope in sequence shows that this device is a member as before."""
    first, (alice, bob) = friends(office, "Alice", "Bob")
    bob.publish()
    second = alice.create("Second")
    office.pump()
    alice.add(second, bob.user_id)
    office.pump()
    lie = waiting(office, bob) | {"group_id": first, "from_seq": 100, "seq": 99}
    bob.run(bob.engine.invited([lie], office.now))
    assert bob.group(first)["can_send"] is False
    told = bob.accept(first)["invitation"]
    assert told["state"] == "failed"
    assert bob.record(first).state == "active", "the trap was not entered"
    alice.send(first, "are you there?")
    office.pump()
    bob.send(first, "yes")
    office.pump()
    assert alice.texts(first) == bob.texts(first) == ["are you there?", "yes"]


def test_who_comes_back_by_themselves_is_not_asked_any_more(office: PostOffice) -> None:
    """A page, unlike a socket, gives what came after the Welcome to who has not decided."""
    group_id, alice, bob = taken_out_and_added_anew(office)
    named = welcome_refs(bytes.fromhex(waiting(office, bob)["welcome"]))
    (used,) = bob.rows["packages"].keys() & set(named)
    alice.send(group_id, "in an epoch that Bob can't open")
    office.pump(alice)
    bob.run(bob.engine.receive(office.rooms[group_id].envelopes[-1], office.now, paged=True))
    office.pump()
    assert bob.codes(group_id)[-1] == "back_in"
    assert bob.engine.invitations() == []
    assert office.welcomes(bob) == []
    assert used not in bob.rows["packages"]
    alice.send(group_id, "hello again")
    office.pump()
    assert bob.texts(group_id)[-1] == "hello again"


@pytest.mark.parametrize("how", ["a message", "declined"])
def test_what_waited_for_a_group_that_goes_on_goes_out(office: PostOffice, how: str) -> None:
    """The lane went to rest while nothing was to be sent there: it has to be woken."""
    first, (alice, bob) = friends(office, "Alice", "Bob")
    lie = added_anew(first, alice)
    bob.send(first, "waits")
    bob.run(bob.engine.invited([lie], office.now))
    assert bob.engine.next_post(uuid_bytes(first)) is None
    if how == "declined":
        bob.decline(first)
    else:
        alice.send(first, "are you there?")
        office.pump(alice)
        office.deliver(bob)
    assert bob.engine.next_post(uuid_bytes(first))
    assert any(Drain(uuid_bytes(first)) in step.effects for step in bob.writes[-2:])
    office.pump()
    assert "waits" in alice.texts(first)


def test_a_broken_group_is_mended_by_being_added_anew(office: PostOffice) -> None:
    group_id, alice, bob = invited(office)
    bob.accept(group_id)
    office.pump()
    bob.send(group_id, "before it broke")
    office.pump()
    group = bob.record(group_id)
    bob.rows["groups"][group.key] = group.with_(state="broken", why="broken").encode()
    bob.crash()
    alice.remove(group_id, bob)
    office.pump()
    alice.add(group_id, bob.user_id)
    office.pump()
    bob.accept(group_id)
    bob.send(group_id, "mended")
    office.pump()
    assert bob.texts(group_id) == alice.texts(group_id) == ["before it broke", "mended"]
    assert same_state(group_id, alice, bob)


def test_a_past_state_of_the_group_is_not_entered(office: PostOffice) -> None:
    """A last resort opens a Welcome again: the one by which the device came in at first is no way back."""
    first, (alice, bob) = friends(office, "Alice", "Bob")
    bob.publish()
    bob.publishes = False
    office.enrolled[bob.device_id].packages.clear()
    group_id = alice.create("Second")
    office.pump()
    alice.add(group_id, bob.user_id)
    office.pump()
    old = dict(waiting(office, bob))
    bob.accept(group_id)
    office.pump()
    bob.leave(group_id)
    office.pump()
    office.wait(1)
    seen = {key: row for key, row in bob.rows["seen"].items() if key.startswith(UUID(first).bytes)}
    bob.rows["seen"] = seen  # as if it did not remember the Welcome itself
    bob.crash()
    bob.run(bob.engine.invited([old], office.now))
    assert "past state" in bob.accept(group_id)["invitation"]["why"]
    assert bob.group(group_id)["state"] == "left"


def test_one_for_keys_that_are_not_there_is_shown_and_can_only_be_dismissed(office: PostOffice) -> None:
    group_id, _, bob = invited(office)
    raw = dict(waiting(office, bob))
    bob.rows["invitations"].clear()
    bob.rows["packages"].clear()
    bob.crash()
    bob.run(bob.engine.invited([raw], office.now))
    (invitation,) = bob.engine.invitations()
    assert invitation["state"] == "failed"
    assert "keys that this device does not have" in invitation["why"]
    bob.decline(group_id)
    office.pump()
    assert office.welcomes(bob) == []


def test_a_welcome_too_large_for_a_list_is_asked_for_alone(office: PostOffice) -> None:
    group_id, _, bob = invited(office)
    bob.rows["invitations"].clear()
    bob.crash()
    bob.run(bob.engine.invited([waiting(office, bob) | {"welcome": None}], office.now))
    office.carry_out(bob)
    assert office.calls("welcomes_list")[-1] == {"group_id": group_id}
    assert [one["state"] for one in bob.engine.invitations()] == ["waiting"]
    bob.rows["invitations"].clear()
    bob.crash()
    answer = {"welcomes": [waiting(office, bob) | {"welcome": None}]}
    bob.run(bob.engine.answered("welcomes_list", {"group_id": group_id}, 200, answer, office.now))
    assert bob.calls == [], "a service that never gives it is not asked for ever"


@pytest.mark.parametrize(
    "raw",
    [
        None,
        {},
        {"group_id": "x", "welcome": "00"},
        {"group_id": str(UUID(int=7)), "welcome": "zz", "seq": 1, "from_seq": 2},
        {"group_id": str(UUID(int=7)), "welcome": "00", "seq": 0, "from_seq": 2},
    ],
)
def test_rubbish_is_no_invitation(office: PostOffice, raw: Any) -> None:
    bob = office.device("Bob")
    bob.run(bob.engine.invited([raw], office.now))
    assert bob.engine.invitations() == []


def test_a_flood_of_invitations_is_bounded(office: PostOffice) -> None:
    _, _, bob = invited(office)
    raw = waiting(office, bob)
    flood = [raw | {"group_id": str(uuid4())} for _ in range(MOST + 20)]
    bob.run(bob.engine.invited(flood, office.now))
    assert len(bob.engine.invitations()) == MOST


def test_the_bytes_of_invitations_are_bounded(office: PostOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, bob = invited(office)
    raw = waiting(office, bob)
    monkeypatch.setattr(invitations, "MOST_BYTES", 3 * len(raw["welcome"]) // 2)
    bob.run(bob.engine.invited([raw | {"group_id": str(uuid4())} for _ in range(5)], office.now))
    assert len(bob.engine.invitations()) == 3
    monkeypatch.setattr(invitations, "MOST_BYTES", len(raw["welcome"]) // 2 - 1)
    before = dict(bob.rows["invitations"])
    bob.run(bob.engine.invited([raw | {"seq": raw["seq"] + 1}], office.now))
    assert bob.rows["invitations"] == before, "one that takes another's place counts too"
