"""Who does what only the owner may is named, and what they did is undone: by one device, and by the owner first."""

import pytest

from coterie.core.device import group_data, group_owner
from coterie.core.group import roles
from coterie.core.mls import Member
from coterie.core.records import group_key
from coterie_wire import CommitData
from tests.support import mallory
from tests.support.device import Device
from tests.support.directory import no
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice

NAMES = ("Alice", "Bob", "Carol", "Mallory")


def people_of(office: PostOffice, *names: str) -> tuple[str, list[Device]]:
    """A group whose members have key packages at the service."""
    group_id, people = friends(office, *(names or NAMES))
    for person in people:
        person.publish()
    office.pump()
    return group_id, people


def put_out(office: PostOffice, device: Device, other: Device) -> int:
    """How many commits a device posted that remove another."""
    posted = (
        body for caller, called, body in office.log if (caller, called) == (device.device_id, "send_commit")
    )
    return sum(other.device_id in body["removed"] for body in posted)


def test_a_removal_without_right_is_undone_by_the_owner_and_the_victim_asked_back(office: PostOffice) -> None:
    group_id, (alice, bob, carol, mallory_) = people_of(office)
    assert mallory.commit(office, mallory_, group_id, remove=[carol])[0] == 200
    office.pump()
    assert not office.is_member(mallory_, group_id)
    assert [one["group_id"] for one in carol.engine.invitations()] == [group_id]
    carol.accept(group_id)
    office.pump()
    office.wait(60)
    assert same_state(group_id, alice, bob)
    assert alice.names(group_id) == bob.names(group_id) == carol.names(group_id) == ["Alice", "Bob", "Carol"]
    assert (put_out(office, alice, mallory_), put_out(office, bob, mallory_)) == (1, 0)
    for person in (alice, bob):
        assert [person.codes(group_id).count(code) for code in ("role_breach", "wrong_roster")] == [1, 0]
        texts = [line["text"] for line in person.lines(group_id)]
        assert "Mallory removed Carol without being allowed to." in texts
    carol.send(group_id, "I am back")
    office.pump()
    assert alice.texts(group_id) == bob.texts(group_id) == ["I am back"]
    assert (
        alice.record(group_id).offenders
        == alice.record(group_id).wronged
        == alice.record(group_id).astray
        == []
    )


def test_a_message_that_its_sender_made_unreadable_excuses_nothing(office: PostOffice) -> None:
    group_id, (alice, bob, carol, mallory_) = people_of(office)
    mallory.post(office, mallory_, group_id, b"not MIMI content")
    office.pump()
    assert "bad_content" in alice.codes(group_id)
    kept = CommitData(removed=(carol.device_id,))  # as if Carol had asked to leave
    mallory.commit(office, mallory_, group_id, remove=[carol], data=kept)
    office.pump()
    carol.accept(group_id)
    office.pump()
    assert not office.is_member(mallory_, group_id)
    assert alice.names(group_id) == bob.names(group_id) == ["Alice", "Bob", "Carol"]
    assert "role_breach" in alice.codes(group_id)


@pytest.mark.parametrize("victim", ["Alice", "Carol"])
def test_a_removal_in_doubt_is_told_with_who_did_it(office: PostOffice, victim: str) -> None:
    group_id, people = people_of(office)
    gone, mallory_ = people[NAMES.index(victim)], people[3]
    mallory.post(office, mallory_, group_id, b"what nobody can open", garbled=True)
    office.pump()
    kept = CommitData(removed=(gone.device_id,))
    mallory.commit(office, mallory_, group_id, remove=[gone], data=kept)
    office.pump()
    for person in people[:3]:
        assert "forged" in person.codes(group_id)
        assert person.codes(group_id)[-1] == ("thrown_out" if person is gone else "taken_out")
        assert "left" not in person.codes(group_id)


@pytest.mark.parametrize(
    ("lie", "code"), [("offenders", "role_breach"), ("leavers", "taken_out"), ("nothing", "role_breach")]
)
def test_who_is_in_doubt_takes_no_offender_on_hearsay(office: PostOffice, lie: str, code: str) -> None:
    group_id, (alice, bob, carol, mallory_) = people_of(office)
    mallory.post(office, mallory_, group_id, b"what nobody can open", garbled=True)
    office.pump()
    leaf = next(one for one in members(alice, group_id) if one.identity == carol.identity)
    said: dict[str, list[object]] = {"leavers": [], "offenders": [], "wronged": []}
    if lie == "offenders":
        said["offenders"] = [carol.identity]
    if lie == "leavers":
        said["leavers"] = [[leaf.identity, leaf.index, leaf.encryption_key]]
    mallory.say(mallory_, group_id, {"type": "handover", "invites": [], "profiles": {}, **said})
    office.pump()
    mallory.commit(office, mallory_, group_id, remove=[carol])
    office.pump()
    for person in (alice, bob):
        assert code in person.codes(group_id)
        assert "left" not in person.codes(group_id)
    assert office.is_member(mallory_, group_id) == (code == "taken_out")


def members(device: Device, group_id: str) -> list[Member]:
    assert device.engine.backend
    return list(device.engine.backend.members(device.record(group_id).mls_id))


def test_the_links_that_the_offender_knew_end(office: PostOffice) -> None:
    group_id, (_, _, carol, mallory_) = people_of(office)
    data = CommitData(removed=(carol.device_id,))  # the offender keeps them alive
    mallory.commit(office, mallory_, group_id, remove=[carol], data=data)
    assert not all(invite["ended"] for invite in office.invites.values())
    office.pump()
    assert all(invite["ended"] for invite in office.invites.values())


def test_the_lowest_leaf_undoes_it_when_the_owner_was_thrown_out(office: PostOffice) -> None:
    group_id, (alice, bob, carol, mallory_) = people_of(office)
    assert mallory.commit(office, mallory_, group_id, remove=[alice])[0] == 200
    office.pump()
    alice.accept(group_id)
    office.pump()
    office.wait(60)
    assert not office.is_member(mallory_, group_id)
    assert same_state(group_id, bob, carol)
    assert alice.names(group_id) == bob.names(group_id) == ["Alice", "Bob", "Carol"]
    assert (put_out(office, bob, mallory_), put_out(office, carol, mallory_)) == (1, 0)
    members = bob.engine.open_group(group_id, [], newest=True)["members"]
    assert [member["name"] for member in members if member["owner"]] == ["Alice"]


def test_the_next_one_undoes_it_when_the_owner_is_away(office: PostOffice) -> None:
    group_id, (alice, bob, carol, mallory_) = people_of(office)
    alice.online = False
    mallory.commit(office, mallory_, group_id, remove=[carol])
    office.pump()
    office.wait(roles.OWNER_FIRST / 1000 - 1)
    assert office.is_member(mallory_, group_id)
    office.wait(1)
    office.wait(5)
    assert not office.is_member(mallory_, group_id)
    assert put_out(office, bob, mallory_) == 1
    carol.accept(group_id)
    alice.online = True
    office.pump()
    office.wait(60)
    assert same_state(group_id, alice, bob)
    assert alice.codes(group_id).count("role_breach") == 1  # Bob broke no rule by undoing it


@pytest.mark.parametrize("kind", ["himself", "nothing"])
def test_changed_roles_are_put_right_and_whoever_did_it_is_out(office: PostOffice, kind: str) -> None:
    group_id, (alice, bob, carol, mallory_) = people_of(office)
    changed = group_data(group_key(group_id), mallory_.identity) if kind == "himself" else b""
    assert mallory.commit(office, mallory_, group_id, group_data=changed)[0] == 200
    office.pump()
    office.wait(60)
    assert not office.is_member(mallory_, group_id)
    assert same_state(group_id, alice, bob, carol)
    for person in (alice, bob, carol):
        assert person.engine.backend
        data = person.engine.backend.group_data(person.record(group_id).mls_id)
        assert group_owner(data) == alice.identity
        assert person.codes(group_id).count("roles_changed") == 1


def test_who_is_let_in_after_changed_roles_knows_the_right_owner(office: PostOffice) -> None:
    group_id, (alice, bob, *_, mallory_) = people_of(office)
    dan, link = office.device("Dan"), alice.invite(group_id)
    office.pump()
    changed = group_data(group_key(group_id), mallory_.identity)
    mallory.commit(office, mallory_, group_id, group_data=changed)
    alice.online = mallory_.online = False
    office.pump()
    dan.ask(link, "Dan")
    office.pump()  # Bob lets Dan in, and puts the data right with the same commit
    assert dan.record(group_id).owner == alice.identity == bob.record(group_id).owner


def test_who_is_added_without_the_service_knowing_is_put_out_again(office: PostOffice) -> None:
    group_id, (alice, bob, carol, mallory_) = people_of(office)
    ghost = office.device("Ghost")
    assert ghost.engine.backend
    package = ghost.engine.backend.create_key_package().bytes
    reply = mallory.commit(office, mallory_, group_id, add=[package], data=CommitData())
    assert reply[0] == 200
    office.pump()
    office.wait(60)
    assert same_state(group_id, alice, bob, carol)
    assert alice.names(group_id) == ["Alice", "Bob", "Carol"]
    assert not office.is_member(mallory_, group_id)
    assert alice.codes(group_id).count("wrong_roster") == 1
    assert "role_breach" not in bob.codes(group_id)


def test_a_leave_that_a_newcomer_did_not_see_is_no_breach(office: PostOffice) -> None:
    group_id, (alice, bob, carol, _) = people_of(office)
    dan, link = office.device("Dan"), alice.invite(group_id)
    office.pump()
    office.refusals["send_commit"] = no(422, "wrong_roster")  # the removal waits a minute
    carol.leave(group_id)
    office.pump()
    del office.refusals["send_commit"]
    dan.ask(link, "Dan")
    office.pump()
    office.wait(61)
    office.wait(61)
    assert same_state(group_id, alice, bob, dan)
    assert dan.names(group_id) == ["Alice", "Bob", "Dan", "Mallory"]
    assert "role_breach" not in dan.codes(group_id)


@pytest.mark.parametrize("breach", ["removal", "roles"])
def test_a_newcomer_whom_nobody_told_anything_judges_nobody(office: PostOffice, breach: str) -> None:
    group_id, (alice, bob, carol, mallory_) = people_of(office)
    dan, link = office.device("Dan"), alice.invite(group_id)
    office.pump()
    office.refusals["send_message"] = no(400, "bad_request")  # the handover never comes
    dan.ask(link, "Dan")
    office.pump()
    alice.online = bob.online = carol.online = False
    if breach == "removal":
        mallory.commit(office, mallory_, group_id, remove=[carol])
    else:
        mallory.commit(office, mallory_, group_id, group_data=b"")
    office.pump()
    office.wait(120)
    assert office.is_member(mallory_, group_id)
    assert not put_out(office, dan, mallory_)
    assert ("removed" if breach == "removal" else "roles_changed") in dan.codes(group_id)


def test_a_restart_in_the_middle_undoes_it_all_the_same(office: PostOffice) -> None:
    group_id, (alice, bob, carol, mallory_) = people_of(office)
    mallory.commit(office, mallory_, group_id, remove=[carol])
    for _ in range(8):
        office.round(alice)
        alice.crash()
    office.pump()
    carol.accept(group_id)
    office.pump()
    assert alice.names(group_id) == bob.names(group_id) == ["Alice", "Bob", "Carol"]


def test_a_service_that_refuses_the_undoing_is_asked_a_few_times_only(office: PostOffice) -> None:
    group_id, (alice, _, carol, mallory_) = people_of(office)
    mallory.commit(office, mallory_, group_id, remove=[carol])
    office.refusals["send_commit"] = no(422, "wrong_roster")
    for _ in range(10):
        office.wait(61, alice)
    assert put_out(office, alice, mallory_) == roles.TRIES
    alice.send(group_id, "goes on")
    office.pump(alice)
    assert alice.texts(group_id) == ["goes on"]


def test_someone_who_cannot_be_reached_is_named(office: PostOffice) -> None:
    group_id, (alice, bob, carol, mallory_) = friends(office, *NAMES)  # no key packages
    mallory.commit(office, mallory_, group_id, remove=[carol])
    office.pump()
    assert alice.codes(group_id)[-1] == "not_reached"
    assert "Carol could not be asked to come" in alice.lines(group_id)[-1]["text"]
    assert carol.codes(group_id)[-1] == "thrown_out"
    office.wait(700)
    assert office.is_member(bob, group_id)
    bob_left = bob.group(group_id)["can_send"]
    assert bob_left
    alice.remove(group_id, bob)  # any next commit
    office.pump()
    assert not office.is_member(carol, group_id)  # not listed for ever
