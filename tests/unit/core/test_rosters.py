"""A committer who tells the service something else than the group: named, and mended by the next commit."""

from coterie.core.group import roster
from coterie_wire import CommitData
from tests.support import mallory
from tests.support.device import Device
from tests.support.directory import no
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice

NAMES = ("Alice", "Bob", "Carol", "Mallory")


def cut_off(office: PostOffice, group_id: str, liar: Device, victim: Device) -> None:
    """A commit that changes no member, and tells the service that somebody is gone."""
    assert mallory.commit(office, liar, group_id, data=CommitData(removed=(victim.device_id,)))[0] == 200
    assert not office.is_member(victim, group_id)


def mends(office: PostOffice, device: Device) -> list[list[str]]:
    """What the commits of a device listed anew, without a Welcome."""
    posted = [
        body for caller, called, body in office.log if (caller, called) == (device.device_id, "send_commit")
    ]
    return [body["added"] for body in posted if body["added"] and not body["welcomes"]]


def test_who_was_cut_off_gets_what_they_missed(office: PostOffice) -> None:
    group_id, (alice, bob, carol, liar) = friends(office, *NAMES)
    cut_off(office, group_id, liar, carol)
    alice.online = bob.online = False
    office.pump()
    alice.online = bob.online = True
    bob.send(group_id, "one")
    office.pump(bob, carol)
    assert carol.texts(group_id) == []
    office.pump()
    office.wait(1)
    assert mends(office, alice) == [[carol.device_id]]
    assert office.is_member(carol, group_id)
    assert carol.texts(group_id) == ["one"]
    office.wait(120)
    assert same_state(group_id, alice, bob, carol)
    for person in (alice, bob, carol):
        assert person.codes(group_id).count("wrong_roster") == 1
        named = [line["text"] for line in person.lines(group_id) if line["code"] == "wrong_roster"]
        assert named[0].startswith("Mallory told the service")
        assert person.record(group_id).astray == []
    assert mends(office, bob) == mends(office, carol) == []


def test_any_next_commit_mends_it(office: PostOffice) -> None:
    group_id, (alice, bob, carol, liar) = friends(office, *NAMES)
    dan, link = office.device("Dan"), alice.invite(group_id)
    office.pump()
    cut_off(office, group_id, liar, carol)
    alice.online = liar.online = False
    office.pump()
    dan.ask(link, "Dan")
    office.pump()  # Bob is not the first in line; letting somebody in is his affair all the same
    assert office.is_member(carol, group_id)
    assert office.calls("invite_complete")[-1]["added"] == sorted([carol.device_id, dan.device_id])
    assert [one["device_id"] for one in office.calls("invite_complete")[-1]["welcomes"]] == [dan.device_id]
    assert same_state(group_id, bob, carol, dan)


def test_the_next_leaf_mends_it_when_the_lowest_is_away(office: PostOffice) -> None:
    group_id, (alice, bob, carol, liar) = friends(office, *NAMES)
    cut_off(office, group_id, liar, carol)
    alice.online = False
    office.pump()
    office.wait(2)
    assert mends(office, bob) == []
    office.wait(2)
    assert mends(office, bob) == [[carol.device_id]]


def test_who_is_listed_and_no_member_is_taken_off(office: PostOffice) -> None:
    group_id, (alice, bob, gone, liar) = friends(office, "Alice", "Bob", "Gone", "Mallory")
    alice.remove(group_id, gone)
    office.pump()
    assert mallory.commit(office, liar, group_id, data=CommitData(added=(gone.device_id,)))[0] == 200
    assert office.is_member(gone, group_id)
    office.pump()
    office.wait(1)
    assert not office.is_member(gone, group_id)
    assert same_state(group_id, alice, bob)
    assert alice.codes(group_id).count("wrong_roster") == 1


def test_a_newcomer_who_does_not_know_of_the_lie_is_not_named_for_it(office: PostOffice) -> None:
    group_id, (alice, bob, carol, liar) = friends(office, *NAMES)
    dan = office.device("Dan")
    dan.publish()
    _, package = next(iter(office.enrolled[dan.device_id].packages.values()))
    lie = CommitData(added=(dan.device_id,), removed=(carol.device_id,))
    assert mallory.commit(office, liar, group_id, add=[bytes.fromhex(package)], data=lie)[0] == 200
    alice.online = bob.online = liar.online = False
    office.pump()
    dan.accept(group_id)
    office.pump()
    office.wait(60)  # Dan renews his leaf
    assert office.rooms[group_id].envelopes[-1].sender_device == dan.device_id
    assert dan.record(group_id).astray == []
    alice.online = bob.online = True
    office.pump()
    office.wait(5)
    named = [line["text"] for line in alice.lines(group_id) if line["code"] == "wrong_roster"]
    assert [text.partition(" ")[0] for text in named] == ["Mallory"]
    assert same_state(group_id, alice, bob, carol)


def test_a_belief_that_the_service_refuses_blocks_nothing(office: PostOffice) -> None:
    group_id, (alice, bob, carol, liar) = friends(office, *NAMES)
    dan, link = office.device("Dan"), bob.invite(group_id)
    office.pump()
    cut_off(office, group_id, liar, carol)
    alice.online = False
    office.pump()
    del office.rooms[group_id].members[carol.device_id]  # the service lost it: it cannot be listed
    dan.ask(link, "Dan")
    office.pump()
    office.wait(15)
    assert bob.record(group_id).astray == []
    assert bob.names(group_id) == ["Alice", "Bob", "Carol", "Dan", "Mallory"]


def test_a_refused_mend_is_not_tried_for_ever(office: PostOffice) -> None:
    group_id, (alice, _, carol, liar) = friends(office, *NAMES)
    cut_off(office, group_id, liar, carol)
    office.refusals["send_commit"] = no(422, "wrong_roster")
    office.pump(alice)
    for _ in range(5):
        office.wait(61, alice)
    assert mends(office, alice) == [[carol.device_id]]


def test_a_restart_forgets_no_lie(office: PostOffice) -> None:
    group_id, (alice, _, carol, liar) = friends(office, *NAMES)
    cut_off(office, group_id, liar, carol)
    office.deliver(alice)
    alice.crash()
    assert alice.record(group_id).astray == [[carol.device_id, roster.CUT_OFF]]
    office.wait(1)
    assert office.is_member(carol, group_id)
