"""Adding somebody known without a link: what is claimed is checked, one commit adds all, and a lost one is redone."""

from typing import Any
from uuid import uuid4

import pytest

import coterie_mls
from coterie.core.records import Group
from coterie.errors import StateError
from tests.support.device import Crash, Device
from tests.support.directory import no
from tests.support.friends import friends, same_state, until_posting
from tests.support.post_office import PostOffice


def known(office: PostOffice, *names: str) -> tuple[str, list[Device]]:
    """A second group of the first of them, who knows the others from another one; all have key packages."""
    _, people = friends(office, *names)
    for one in people:
        one.publish()
    group_id = people[0].create("Second")
    office.pump()
    return group_id, people


def outcome(device: Device) -> dict[str, Any]:
    """What became of the last claim."""
    return dict(device.events_of("addition")[-1]["addition"])


def second_device(office: PostOffice, first: Device) -> Device:
    """Another device of the same person, with key packages."""
    device = Device(office, "Laptop", first.user_id)
    device.publish()
    return device


def test_a_known_person_is_added_and_talks_once_they_accepted(office: PostOffice) -> None:
    group_id, (alice, bob) = known(office, "Alice", "Bob")
    link = alice.invite(group_id)
    alice.add(group_id, bob.user_id)
    office.pump()
    assert outcome(alice)["added"] == [bob.identity]
    assert alice.names(group_id) == ["Alice", "Bob"]
    assert alice.lines(group_id)[-1]["text"] == "You added Bob."
    (invitation,) = bob.engine.invitations()
    assert invitation["sender"]["name"] == "Alice"
    assert invitation["state"] == "waiting"
    assert group_id not in [group["group_id"] for group in bob.engine.snapshot("")["groups"]]
    assert bob.accept(group_id)["group"]["group_id"] == group_id
    office.pump()
    assert bob.engine.invitations() == []
    assert bob.group(group_id)["name"] == "Second"
    assert bob.codes(group_id) == ["added_self"]
    bob.send(group_id, "here")
    office.pump()
    assert alice.texts(group_id) == ["here"]
    assert same_state(group_id, alice, bob)
    listed = bob.engine.list_invites(group_id, "https://chat.example", office.now)
    assert [one["invite_id"] for one in listed] == [
        one["invite_id"] for one in alice.engine.list_invites(group_id, "https://chat.example", office.now)
    ], "the live invites are handed over"
    assert link
    assert not office.rooms[group_id].welcomes


def test_all_devices_of_a_person_come_with_one_commit(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = known(office, "Alice", "Bob", "Carol")
    laptop = second_device(office, bob)
    first = next(group for group in office.rooms if group != group_id)
    link = alice.invite(first)
    office.pump()
    laptop.ask(link, "Bob's laptop")
    office.pump()
    before = len(office.calls("send_commit"))
    alice.add(group_id, bob.user_id)
    office.pump()
    assert sorted(outcome(alice)["added"]) == sorted([bob.identity, laptop.identity])
    assert len(office.calls("send_commit")) == before + 1
    assert sorted(office.calls("send_commit")[-1]["added"]) == sorted([bob.device_id, laptop.device_id])
    for one in (bob, laptop):
        one.accept(group_id)
    office.pump()
    assert same_state(group_id, alice, bob, laptop)
    assert carol.engine.invitations() == []


def test_a_device_never_met_is_named_and_comes_only_with_its_key_accepted(office: PostOffice) -> None:
    group_id, (alice, bob) = known(office, "Alice", "Bob")
    laptop = second_device(office, bob)
    alice.add(group_id, bob.user_id)
    office.pump()
    assert outcome(alice)["added"] == [bob.identity]
    assert laptop.engine.backend
    key = laptop.engine.backend.identity_key.hex()
    assert outcome(alice)["new_keys"] == [{"device_id": laptop.device_id, "key": key}]
    assert laptop.engine.invitations() == []
    alice.add(group_id, bob.user_id, [key])
    office.pump()
    assert outcome(alice)["members"] == [bob.identity]
    assert alice.codes(group_id)[-2:] == ["added", "new_device"]
    laptop.accept(group_id)
    office.pump()
    assert same_state(group_id, alice, laptop)


def test_an_own_other_device_is_added_in_the_same_way(office: PostOffice) -> None:
    group_id, (alice,) = known(office, "Alice")
    laptop = second_device(office, alice)
    alice.add(group_id, alice.user_id)
    office.pump()
    (unmet,) = outcome(alice)["new_keys"]
    alice.add(group_id, alice.user_id, [unmet["key"]])
    office.pump()
    laptop.accept(group_id)
    office.pump()
    assert same_state(group_id, alice, laptop)


class Swapping(PostOffice):
    """Hands out a key package of its own making for a user."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.lying = True

    def _do_key_packages_claim(self, caller: Any, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, answer = super()._do_key_packages_claim(caller, body)
        for one in answer["key_packages"] if self.lying else []:
            self._swap(one)
        if self.lying:
            answer["key_packages"] *= 3
        return status, answer

    def _swap(self, one: dict[str, Any]) -> None:
        user = str(uuid4()) if self.kind == "another user" else one["user_id"]
        backend = coterie_mls.Backend.create(user)
        backend.bind_device(str(uuid4()) if self.kind == "another device" else one["device_id"])
        one["key_package"] = {
            "junk": "00ff",
            "not hex": "zz",
            "nothing": None,
        }.get(self.kind, backend.create_key_package().bytes.hex())


@pytest.mark.parametrize(
    "kind", ["other keys", "another user", "another device", "junk", "not hex", "nothing"]
)
def test_a_key_package_that_is_not_theirs_adds_nobody_and_is_said(kind: str) -> None:
    office = Swapping(kind)
    group_id, (alice, bob) = known(office, "Alice", "Bob")
    alice.add(group_id, bob.user_id)
    office.pump()
    assert alice.names(group_id) == ["Alice"]
    assert outcome(alice)["added"] == []
    assert len(outcome(alice)["refused"]) == 3
    assert (
        alice.lines(group_id)[-1]["text"] == "Bob was not added: the service gave a key that is not theirs."
    )
    assert bob.engine.invitations() == []
    assert alice.codes(group_id).count("refused_key") == 1
    office.lying = False
    alice.add(group_id, bob.user_id)
    office.pump()
    assert alice.names(group_id) == ["Alice", "Bob"]


def test_keys_are_known_also_from_groups_that_are_over(office: PostOffice) -> None:
    """Of a group that was forgotten the contacts stay, so its people are known under the keys that they had."""
    first, (alice, bob) = friends(office, "Alice", "Bob")
    assert bob.engine.backend
    alice.leave(first)
    office.pump()
    alice.run(alice.engine.forget_group(first, [], office.now))
    alice.crash()
    (person,) = alice.engine.people()
    assert (person["user_id"], person["name"], person["groups"]) == (bob.user_id, "Bob", [])
    group_id = alice.create("Second")
    link = alice.invite(group_id)
    office.pump()
    impostor_of(office, bob).ask(link, "Bob")
    office.pump()
    assert alice.names(group_id) == ["Alice"]
    assert alice.codes(group_id)[-1] == "bad_join"


def impostor_of(office: PostOffice, other: Device) -> Device:
    """Somebody with a device's ids, as a lying service may give them, and keys of their own."""
    impostor = office.device("Bob")
    del office.devices[impostor.device_id]
    impostor.device_id, impostor.user_id = other.device_id, other.user_id
    backend = coterie_mls.Backend.create(other.user_id)
    backend.bind_device(other.device_id)
    impostor.engine.backend = backend
    office.devices["impostor"] = impostor
    return impostor


@pytest.mark.parametrize("first", ["the impostor", "alice"])
def test_a_known_device_with_other_keys_is_said_whoever_let_it_in(office: PostOffice, first: str) -> None:
    _, (alice, bob) = friends(office, "Alice", "Bob")
    group_id, (carol,) = friends(office, "Carol")
    link = carol.invite(group_id)
    bob.online = False
    impostor = impostor_of(office, bob)
    alice.online = impostor.online = False
    for newcomer, name in [(impostor, "Bob"), (alice, "Alice")][:: 1 if first == "the impostor" else -1]:
        newcomer.online = True
        office.pump()
        newcomer.ask(link, name)
        office.pump()
        alice.online = False
    alice.online = True
    office.pump()
    assert alice.codes(group_id).count("key_changed") == 1
    assert "Somebody came as Bob, with other keys" in " ".join(one["text"] for one in alice.lines(group_id))
    assert "key_changed" not in carol.codes(group_id), "who never met Bob cannot tell"


def test_who_was_never_met_is_not_asked_for(office: PostOffice) -> None:
    group_id, (alice, _) = known(office, "Alice", "Bob")
    carol = office.device("Carol")
    with pytest.raises(StateError) as caught:
        alice.add(group_id, carol.user_id)
    assert caught.value.code == "unknown_person"
    assert office.calls("key_packages_claim") == []


def test_people_without_a_key_package_are_said(office: PostOffice) -> None:
    group_id, (alice, bob) = known(office, "Alice", "Bob")
    bob.publishes = False
    enrolled = office.enrolled[bob.device_id]
    enrolled.packages.clear()
    enrolled.last_resort = None
    alice.add(group_id, bob.user_id)
    office.pump()
    assert outcome(alice)["missing"] == 1
    assert outcome(alice)["why"].startswith("Bob has no device")


def test_when_only_the_last_resort_is_left_it_serves_and_is_renewed(office: PostOffice) -> None:
    group_id, (alice, bob) = known(office, "Alice", "Bob")
    enrolled = office.enrolled[bob.device_id]
    enrolled.packages.clear()
    first = enrolled.last_resort
    bob.publishes = False
    alice.add(group_id, bob.user_id)
    office.pump()
    bob.accept(group_id)
    office.pump()
    assert same_state(group_id, alice, bob)
    assert first
    assert enrolled.last_resort
    assert enrolled.last_resort[0].ref != first[0].ref


def test_an_addition_whose_epoch_is_lost_is_done_again(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = known(office, "Alice", "Bob", "Carol")
    alice.add(group_id, bob.user_id)
    office.pump()
    bob.accept(group_id)
    office.pump()
    bob.add(group_id, carol.user_id)
    until_posting(office, bob, "commit")
    bob.online = False
    dan = office.device("Dan")
    link = alice.invite(group_id)
    office.pump()
    dan.ask(link, "Dan")
    office.pump()
    bob.online = True
    office.pump()
    assert len(office.calls("key_packages_claim")) == 2, "the key package is as good as before"
    carol.accept(group_id)
    office.pump()
    assert same_state(group_id, alice, bob, carol, dan)
    assert bob.record(group_id).adding == []


def test_a_link_and_an_addition_at_once_count_one_use(office: PostOffice) -> None:
    group_id, (alice, bob) = known(office, "Alice", "Bob")
    link = alice.invite(group_id, max_uses=2)
    office.pump()
    dan = office.device("Dan")
    dan.ask(link, "Dan")
    office.post(dan)
    group = alice.record(group_id)
    assert bob.engine.backend
    package = next(iter(office.enrolled[bob.device_id].packages.values()))[1]
    adding = [[bob.identity, bob.engine.backend.signature_key, bytes.fromhex(package)]]
    alice.rows["groups"][group.key] = group.with_(adding=adding).encode()
    alice.crash()
    office.pump()
    office.wait(1)
    assert [len(body["added"]) for body in office.calls("invite_complete")[-1:]] == [1]
    assert alice.names(group_id) == ["Alice", "Bob", "Dan"]
    (listed,) = alice.engine.list_invites(group_id, "https://chat.example", office.now)
    assert listed["uses"] == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_step_adds_once_in_the_end(when: str) -> None:
    for number in range(12):
        office = PostOffice()
        group_id, (alice, bob) = known(office, "Alice", "Bob")
        getattr(alice, f"crash_{when}").add(len(alice.writes) + number)
        try:
            alice.add(group_id, bob.user_id)
        except Crash:
            if when == "before":  # nothing was saved: the user asks again
                alice.add(group_id, bob.user_id)
        office.pump()
        office.wait(10)
        assert alice.names(group_id) == ["Alice", "Bob"], number
        bob.accept(group_id)
        office.pump()
        assert same_state(group_id, alice, bob)
        assert len({body["claim_id"] for body in office.calls("key_packages_claim")}) == 1
        if not getattr(alice, f"crash_{when}"):
            continue
        return


def test_a_refused_addition_is_said_and_not_tried_for_ever(office: PostOffice) -> None:
    group_id, (alice, bob) = known(office, "Alice", "Bob")
    office.refusals["send_commit"] = no(422, "wrong_roster")
    alice.add(group_id, bob.user_id)
    office.pump()
    assert len(office.calls("send_commit")) == 1
    assert alice.problems() == ["wrong_roster"]
    assert alice.record(group_id).adding == []
    del office.refusals["send_commit"]
    alice.send(group_id, "goes on")
    office.pump()
    assert alice.states(group_id) == ["sent"]


def test_a_refused_claim_is_told(office: PostOffice) -> None:
    group_id, (alice, bob) = known(office, "Alice", "Bob")
    office.refusals["key_packages_claim"] = no(403, "not_allowed")
    alice.add(group_id, bob.user_id)
    office.pump()
    assert outcome(alice)["why"] == "Refused: not_allowed."
    assert alice.outbox() == []


def test_a_claim_that_waits_holds_up_neither_talk_nor_joins(office: PostOffice) -> None:
    group_id, (alice, bob) = known(office, "Alice", "Bob")
    office.refusals["key_packages_claim"] = no(429, "too_many", retry_after=60)
    alice.add(group_id, bob.user_id)
    alice.send(group_id, "meanwhile")
    office.pump()
    assert alice.states(group_id) == ["sent"]
    del office.refusals["key_packages_claim"]
    office.pump()
    assert alice.names(group_id) == ["Alice", "Bob"]


def test_a_key_package_that_does_not_fit_any_more_is_said(office: PostOffice) -> None:
    group_id, (alice, bob) = known(office, "Alice", "Bob")
    group = alice.record(group_id)
    assert bob.engine.backend
    good = bob.engine.backend.create_key_package().bytes
    bad = good[:-9] + bytes([good[-9] ^ 1]) + good[-8:]  # in its signature
    adding = [[bob.identity, bob.engine.backend.signature_key, bad]]
    alice.rows["groups"][group.key] = group.with_(adding=adding).encode()
    alice.crash()
    alice.tick()
    office.pump()
    assert alice.lines(group_id)[-1]["text"] == "Bob could not be added."
    assert Group.decode(alice.rows["groups"][group.key]).adding == []


def test_the_list_of_people(office: PostOffice) -> None:
    first, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    alice.run(alice.engine.remove_member(first, carol.identity, office.now))
    office.pump()
    people = alice.engine.people()
    assert [(one["name"], one["groups"], one["devices"]) for one in people] == [
        ("Bob", [first], 1),
        ("Carol", [], 1),
    ]
    assert carol.engine.people()[0]["groups"] == []
    assert Device(office, "New").engine.people() == []
