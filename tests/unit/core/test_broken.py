"""Groups that are broken: what breaks one, who is named, and starting again without them."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

import pytest

import coterie_mls
from coterie.errors import StateError
from coterie_wire import parse_header
from tests.support import mallory
from tests.support.device import Device
from tests.support.directory import no
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice

FORWARD = 2_000
"""So many generations ahead a message may be (docs/protocol.md)."""
NAMES = ("Alice", "Bob", "Carol", "Mallory")


def spoil(office: PostOffice, device: Device, group_id: str, *, remove: Sequence[Device] = ()) -> None:
    """A commit that the service takes, and no member can accept. Its GroupInfo is of an epoch of its maker's own."""
    assert mallory.commit(office, device, group_id, remove=remove)[0] == 200
    room = office.rooms[group_id]
    last = room.envelopes[-1]
    assert last.mls_bytes
    raw = bytearray(last.mls_bytes)
    raw[-1] ^= 1
    room.envelopes[-1] = office.envelope(
        group_id, last.seq, last.epoch, "commit", last.message_id, device, bytes(raw)
    )


def broken(office: PostOffice, *names: str) -> tuple[str, list[Device]]:
    """A group that its last member broke; everybody has key packages at the service."""
    group_id, people = friends(office, *(names or NAMES))
    for person in people:
        person.publish()
    office.pump()
    spoil(office, people[-1], group_id)
    office.pump()
    return group_id, people


def again(device: Device, group_id: str) -> str:
    """Start again; the new group's id."""
    return str(device.op(device.engine.start_again(group_id, device.now))["group_id"])


# -- what breaks a group --


def test_a_commit_that_cannot_be_accepted_names_the_device(office: PostOffice) -> None:
    group_id, (alice, bob, carol, liar) = broken(office)
    for person in (alice, bob, carol):
        assert person.group(group_id)["state"] == "broken"
        assert person.group(group_id)["why"].startswith("This group is broken: Mallory made a change")
        assert person.group(group_id)["again"] == {"without": ["Mallory"], "people": 2}
        assert person.record(group_id).suspect == liar.identity


def test_a_commit_under_another_groups_id_breaks_the_group(office: PostOffice) -> None:
    """The service does not know MLS ids: it took the commit, and this epoch is over."""
    group_id, (alice, liar) = friends(office, "Alice", "Mallory")
    other = liar.record(liar.create("Other")).mls_id
    backend, epoch = liar.engine.backend, alice.record(group_id).epoch
    assert backend
    for _ in range(epoch):  # the same epoch there
        backend.commit(other)
        backend.merge_pending(other)
    built = backend.commit(other).commit
    assert parse_header(built).epoch == epoch
    seq = alice.record(group_id).cursor + 1
    stray = office.envelope(group_id, seq, epoch, "commit", str(uuid4()), liar, built)
    alice.run(alice.engine.receive(stray, office.now))
    assert alice.codes(group_id)[-1] == "bad_commit"
    assert alice.record(group_id).suspect == liar.identity


@pytest.mark.parametrize("way_back", ["wanted", "built", "taken"])
def test_whoever_broke_a_group_leads_nobody_into_a_state_of_their_own(
    office: PostOffice, way_back: str
) -> None:
    """What cannot be read has Bob ask for the GroupInfo, which is Mallory's when the answer comes."""
    group_id, (alice, bob, liar) = friends(office, "Alice", "Bob", "Mallory")
    assert mallory.post(office, liar, group_id, b"", garbled=True)[0] == 200
    office.deliver(bob)
    assert bob.record(group_id).rejoin_due
    epoch = bob.record(group_id).epoch
    spoil(office, liar, group_id, remove=[alice])
    liar.online = False
    if way_back != "wanted":
        office.carry_out(bob)
    if way_back == "taken":
        office.post(bob)
        assert office.rooms[group_id].epoch == epoch + 2
    for _ in range(3):
        office.wait(3600)
    assert "back_in" not in bob.codes(group_id)
    assert bob.codes(group_id)[-1] == "bad_commit"
    assert bob.group(group_id)["state"] == "broken"
    assert bob.record(group_id).epoch == epoch
    assert "rejoin" not in [row.kind for row in bob.outbox()]


def test_a_commit_of_a_generation_too_far_ahead_breaks_the_group(office: PostOffice) -> None:
    """The service does not see generations: it took the commit, and this epoch is over."""
    group_id, (alice, bob, liar) = friends(office, "Alice", "Bob", "Mallory")
    backend, mls_id = liar.engine.backend, liar.record(group_id).mls_id
    assert backend
    for _ in range(FORWARD + 1):
        backend.commit(mls_id)
        backend.discard_pending(mls_id)
    backend.take_changes()
    assert mallory.commit(office, liar, group_id, remove=[alice])[0] == 200
    liar.online = False
    for _ in range(3):
        office.wait(3600)
    for person in (alice, bob):
        assert person.codes(group_id)[-1] == "bad_commit"
        assert person.record(group_id).suspect == liar.identity


def test_a_commit_under_ones_own_name_that_another_device_posted_names_that_one(office: PostOffice) -> None:
    """Whose leaf a commit says it is from is read before anything is authenticated: any member can write that."""
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    assert mallory.commit(office, mallory.twin(alice), group_id, remove=[carol])[0] == 200
    room = office.rooms[group_id]
    room.envelopes[-1] = replace(room.envelopes[-1], sender_device=bob.device_id)
    office.deliver(alice)
    assert alice.codes(group_id)[-1] == "bad_commit"
    assert alice.record(group_id).suspect == bob.identity


def test_an_own_commit_that_was_refused_and_delivered_names_this_device(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    office.refusals["send_commit"] = no(400, "bad_request")
    alice.remove(group_id, carol)
    row = alice.outbox()[0]
    office.post(alice)
    del office.refusals["send_commit"]
    seq = alice.record(group_id).cursor + 1
    late = office.envelope(group_id, seq, row.epoch, "commit", str(uuid4()), alice, row.mls_bytes)
    alice.run(alice.engine.receive(late, office.now))
    assert alice.codes(group_id)[-1] == "refused_commit"
    assert alice.record(group_id).suspect == alice.identity
    assert alice.group(group_id)["again"] == {"without": [], "people": 2}  # nobody else is to blame
    for person in (alice, bob, carol):
        person.publish()
    office.pump()
    new = again(alice, group_id)
    office.pump()
    for person in (bob, carol):
        person.accept(new)
    office.pump()
    assert alice.names(new) == ["Alice", "Bob", "Carol"]


# -- starting again --


def test_everybody_but_the_one_who_broke_it_goes_on_in_a_new_group(office: PostOffice) -> None:
    group_id, (alice, bob, carol, liar) = broken(office)
    new = again(alice, group_id)
    office.pump()
    for person in (bob, carol):
        assert [one["group_id"] for one in person.engine.invitations()] == [new]
        person.accept(new)
    office.pump()
    office.wait(60)
    assert same_state(new, alice, bob, carol)
    assert alice.names(new) == bob.names(new) == ["Alice", "Bob", "Carol"]
    assert not liar.engine.invitations()
    bob.send(new, "we go on")
    office.pump()
    assert alice.texts(new) == carol.texts(new) == ["we go on"]
    old, fresh = alice.record(group_id), alice.record(new)
    assert old.mls_id != fresh.mls_id
    assert old.group_id != fresh.group_id
    assert alice.group(new)["name"] == bob.group(new)["name"] == "Friends"
    assert "left_out" in alice.codes(new)


def test_the_history_stays_and_each_group_names_the_other(office: PostOffice) -> None:
    group_id, (alice, bob, carol, liar) = friends(office, *NAMES)
    bob.send(group_id, "before")
    for person in (alice, bob, carol):
        person.publish()
    office.pump()
    spoil(office, liar, group_id)
    alice.send(group_id, "never went out")
    office.pump()
    new = again(alice, group_id)
    office.pump()
    bob.accept(new)
    office.pump()
    for person in (alice, bob):
        assert person.texts(group_id)[0] == "before"
        assert person.group(group_id)["goes_on_in"] == new
        assert person.group(new)["after"] == group_id
        assert person.group(group_id)["again"] is None
        assert "started_again" in person.codes(new)
        assert person.lines(group_id)[-1]["code"] == "goes_on"
    assert bob.lines(group_id)[-1]["text"].startswith("Alice started this group again")
    assert alice.states(group_id) == ["failed"]
    assert alice.outbox() == []
    alice.run(alice.engine.forget_group(group_id, [], office.now))
    assert alice.group(new)["after"] is None


def test_all_devices_of_the_user_who_broke_it_are_left_out(office: PostOffice) -> None:
    group_id, (alice, bob, liar) = friends(office, "Alice", "Bob", "Mallory")
    second = Device(office, "Mallory", user_id=liar.user_id)
    link = alice.invite(group_id)
    office.pump()
    second.ask(link, "Mallory")
    office.pump()
    for person in (alice, bob, second):
        person.publish()
    office.pump()
    spoil(office, liar, group_id)
    office.pump()
    assert alice.group(group_id)["again"] == {"without": ["Mallory"], "people": 1}
    new = again(alice, group_id)
    office.pump()
    assert not second.engine.invitations()
    assert [one["group_id"] for one in bob.engine.invitations()] == [new]


@pytest.mark.parametrize("kind", ["of the same device", "of a further device"])
def test_keys_that_are_not_of_the_last_good_roster_are_not_added(office: PostOffice, kind: str) -> None:
    group_id, (alice, bob, *_) = broken(office)
    fake = coterie_mls.Backend.create(bob.user_id)
    fake.bind_device(bob.device_id if kind == "of the same device" else str(uuid4()))
    about = {"device_id": fake.device_id, "user_id": bob.user_id, "last_resort": False}
    given = [about | {"key_package": fake.create_key_package().bytes.hex()}]
    office.refusals["key_packages_claim"] = 200, {"key_packages": given, "missing": []}
    new = again(alice, group_id)
    office.pump(alice)
    assert alice.names(new) == ["Alice"]
    refused = kind == "of the same device"
    assert [alice.codes(new).count(code) for code in ("refused_key", "not_reached")] == [refused, 2 - refused]


def test_who_has_no_key_package_is_named(office: PostOffice) -> None:
    group_id, people = friends(office, *NAMES)
    alice, bob, carol, liar = people
    for person in (alice, bob):
        person.publish()
    office.pump()
    spoil(office, liar, group_id)
    office.pump()
    new = again(alice, group_id)
    office.pump()
    assert [line["text"] for line in alice.lines(new) if line["code"] == "not_reached"] == [
        "Carol could not be asked to come: the service has no key of theirs for you."
    ]
    link = alice.invite(new)
    office.pump()
    carol.ask(link, "Carol")
    office.pump()
    assert alice.names(new) == ["Alice", "Bob", "Carol"]


def test_a_crash_in_the_middle_loses_nobody(office: PostOffice) -> None:
    group_id, (alice, bob, carol, _) = broken(office)
    new = again(alice, group_id)
    for _ in range(10):
        alice.crash()
        office.round(alice)
    office.pump()
    for person in (bob, carol):
        person.accept(new)
    office.pump()
    assert alice.names(new) == ["Alice", "Bob", "Carol"]
    assert len(alice.rows["groups"]) == 2


def test_it_is_offered_for_a_broken_group_alone_and_once(office: PostOffice) -> None:
    group_id, (alice, *_) = broken(office)
    fine = alice.create("Fine")
    office.pump()
    for what, code in ((fine, "not_broken"), (str(uuid4()), "no_group")):
        with pytest.raises(StateError) as caught:
            again(alice, what)
        assert caught.value.code == code
    assert alice.group(fine)["again"] is None
    again(alice, group_id)
    with pytest.raises(StateError) as caught:
        again(alice, group_id)
    assert caught.value.code == "started_again"


def test_whoever_broke_a_group_cannot_say_that_it_goes_on_in_theirs(office: PostOffice) -> None:
    """Neither in a group that they share anyway nor in a new one; the honest way stays open."""
    group_id, (alice, bob, carol, liar) = broken(office)
    shared = bob.create("Shared")
    link = bob.invite(shared)
    trap = liar.create("Trap")
    office.pump()
    liar.ask(link, "Mallory")
    bait = liar.invite(trap)
    office.pump()
    lie = {"type": "handover", "invites": [], "profiles": {}, "after": group_id}
    mallory.say(liar, shared, lie)
    set_in = liar.record(trap).with_(after=group_id)
    liar.rows["groups"][set_in.key] = set_in.encode()
    liar.crash()
    bob.ask(bait, "Bob")
    office.pump()
    assert bob.group(trap)["state"] == "active"
    assert [bob.group(one)["after"] for one in (shared, trap)] == [None, None]
    assert bob.group(group_id)["goes_on_in"] is None
    assert bob.group(group_id)["again"]["without"] == ["Mallory"]
    new = again(alice, group_id)
    office.pump()
    carol.accept(new)
    office.pump()
    assert carol.group(group_id)["goes_on_in"] == new


def test_a_group_whose_next_one_was_deleted_can_be_started_again(office: PostOffice) -> None:
    group_id, (alice, bob, *_) = broken(office)
    new = again(alice, group_id)
    office.pump()
    bob.accept(new)
    office.pump()
    bob.leave(new)
    office.pump()
    assert bob.group(group_id)["again"] is None
    bob.run(bob.engine.forget_group(new, [], bob.now))
    assert bob.group(group_id)["again"] is not None
    other = again(bob, group_id)
    assert bob.group(group_id)["goes_on_in"] == other


def test_a_stranger_cannot_say_that_a_group_goes_on_in_theirs(office: PostOffice) -> None:
    group_id, (alice, bob, carol, _) = broken(office)
    stranger = office.device("Stranger")
    other = stranger.create("Trap")
    office.pump()
    link = stranger.invite(other)
    office.pump()
    lie = stranger.record(other).with_(after=group_id)
    stranger.rows["groups"][lie.key] = lie.encode()
    stranger.crash()
    bob.ask(link, "Bob")
    office.pump()
    assert bob.group(other)["state"] == "active"
    assert bob.group(other)["after"] is None
    assert bob.group(group_id)["goes_on_in"] is None
    assert bob.group(group_id)["again"] is not None
