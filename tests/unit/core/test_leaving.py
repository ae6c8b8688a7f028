"""Leaving and removing: an encrypted message, then a commit by whoever is first in line."""

import pytest

from coterie.core.records import group_key
from coterie.errors import StateError
from tests.support import mallory
from tests.support.directory import no
from tests.support.friends import friends, same_state, until_posting
from tests.support.post_office import PostOffice


def test_somebody_leaves_and_the_lowest_leaf_removes_them(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    bob.leave(group_id)
    assert not bob.group(group_id)["can_send"]
    office.pump()
    assert bob.group(group_id)["state"] == "left"
    office.wait(1)
    assert [function for _, function, _ in office.log if function == "send_commit"] == ["send_commit"]
    assert office.rooms[group_id].envelopes[-1].sender_device == alice.device_id
    for person in (alice, carol):
        assert person.lines(group_id)[-1]["text"] == "Bob left."
        assert person.names(group_id) == ["Alice", "Carol"]
    assert bob.lines(group_id)[-1]["text"] == "You left the group."
    assert same_state(group_id, alice, carol)
    assert not any(invite["ended"] for invite in office.invites.values())


def test_the_next_leaf_takes_over_when_the_lowest_is_away(office: PostOffice) -> None:
    group_id, (alice, bob, carol, dan) = friends(office, "Alice", "Bob", "Carol", "Dan")
    alice.online = False
    dan.leave(group_id)
    office.pump()
    office.now += 2_999
    for person in (bob, carol):
        person.tick()
        assert person.outbox() == []
    office.wait(1)
    assert office.rooms[group_id].envelopes[-1].sender_device == bob.device_id
    alice.online = True
    office.pump()
    office.wait(5)
    assert same_state(group_id, alice, bob, carol)
    assert office.roster_changes(group_id) == 4, "three came, one went"


def test_a_restart_in_the_middle_of_leaving_leaves_all_the_same(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.leave(group_id)
    bob.crash()
    office.post(bob)  # the message
    bob.crash()
    alice.crash()
    office.pump()
    alice.crash()
    office.wait(5)
    bob.crash()
    office.pump()
    assert bob.group(group_id)["state"] == "left"
    assert alice.names(group_id) == ["Alice"]
    with pytest.raises(StateError) as caught:
        bob.send(group_id, "still here?")
    assert caught.value.code == "left_self"


def test_a_removal_that_overtakes_the_call_still_reads_as_left(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.leave(group_id)
    office.post(bob)  # the message; the call waits
    office.pump(alice)
    office.wait(5, alice)
    office.deliver(bob)
    assert bob.group(group_id)["state"] == "left"
    assert bob.lines(group_id)[-1]["text"] == "You left the group."
    assert bob.outbox() == []
    assert bob.codes(group_id).count("left_self") == 1


def test_the_word_of_the_service_that_somebody_left_changes_nothing(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office._do_group_leave(bob, {"group_id": group_id})
    office.wait(60)
    assert alice.names(group_id) == ["Alice", "Bob"]
    assert office.roster_changes(group_id) == 1


def test_the_owner_leaves_and_the_others_go_on(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    alice.leave(group_id)
    office.pump()
    office.wait(10)
    bob.send(group_id, "without her")
    office.pump()
    assert same_state(group_id, bob, carol)
    assert bob.names(group_id) == ["Bob", "Carol"]
    assert alice.texts(group_id) == []


def test_only_the_owner_removes_and_never_themselves(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    with pytest.raises(StateError) as caught:
        bob.remove(group_id, carol)
    assert caught.value.code == "not_owner"
    for identity in (alice.identity, "nobody#here", ""):
        with pytest.raises(StateError) as no_member:
            alice.engine.remove_member(group_id, identity, office.now)
        assert no_member.value.code == "no_member"
    assert alice.outbox() == bob.outbox() == []


def test_a_removed_member_reads_nothing_that_follows(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    keys = {table: dict(rows) for table, rows in carol.rows.items()}
    alice.remove(group_id, carol)
    office.pump()
    alice.send(group_id, "secret")
    office.pump()
    assert carol.group(group_id)["state"] == "removed"
    assert carol.lines(group_id)[-1]["text"] == "You were removed by Alice."
    room = office.rooms[group_id]
    room.members[carol.device_id] = (room.members[carol.device_id][0], None)  # the service goes on delivering
    office.pump(carol)
    carol.rows = keys  # and she kept the keys from before
    carol.crash()
    for envelope in room.envelopes[-1:]:
        carol.run(carol.engine.receive(envelope, office.now, paged=True))
    assert "secret" not in carol.texts(group_id)
    assert alice.texts(group_id) == bob.texts(group_id) == ["secret"]


def test_what_waited_at_a_removed_member_is_said_not_to_have_gone(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.online = False
    bob.send(group_id, "too late")
    alice.remove(group_id, bob)
    office.pump()
    office.deliver(bob)
    line = next(line for line in bob.lines(group_id) if line["kind"] == "text")
    assert (line["state"], line["why"]) == ("failed", "Not sent: you are not a member any more.")
    assert bob.outbox() == []


def test_a_removal_outlives_a_restart_and_a_busy_outbox(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    carol.leave(group_id)
    office.pump()
    office.now += 60_000
    alice.tick()
    until_posting(office, alice, "commit")
    alice.remove(group_id, bob)  # while the commit that carries out the leave is pending
    alice.crash()
    assert alice.record(group_id).removals == [bob.identity]
    office.pump()
    assert alice.names(group_id) == ["Alice"]
    assert bob.group(group_id)["state"] == "removed"


def test_a_leave_counts_for_the_leaf_that_sent_it(office: PostOffice) -> None:
    """Whoever left and came back is not removed by the old message."""
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    link = alice.invite(group_id)
    office.pump()
    bob.leave(group_id)
    office.pump()
    bob.ask(link, "Bob")
    office.pump()
    office.wait(60)
    office.wait(60)
    assert bob.group(group_id)["state"] == "active"
    assert alice.names(group_id) == ["Alice", "Bob"]
    assert same_state(group_id, alice, bob)


def test_removing_somebody_who_came_back_after_leaving_ends_the_invites(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    link = alice.invite(group_id)
    office.pump()
    bob.leave(group_id)
    office.pump()
    bob.ask(link, "Bob")
    office.pump()
    alice.remove(group_id, bob)
    office.pump()
    assert all(invite["ended"] for invite in office.invites.values())


def test_a_refused_removal_of_a_leaver_is_tried_again_after_a_minute(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.leave(group_id)
    office.pump()
    office.refusals["send_commit"] = no(422, "wrong_roster")
    for _ in range(10):
        office.wait(5)
    assert len(office.calls("send_commit")) == 1
    del office.refusals["send_commit"]
    office.wait(60)
    assert alice.names(group_id) == ["Alice"]


def test_a_group_that_is_over_can_be_forgotten_and_others_cannot(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "history")
    office.pump()
    with pytest.raises(StateError) as caught:
        bob.engine.forget_group(group_id, [], office.now)
    assert caught.value.code == "still_member"
    bob.leave(group_id)
    office.pump()
    keys = [key for key in bob.rows["messages"] if key.startswith(group_key(group_id))]
    bob.run(bob.engine.forget_group(group_id, keys, office.now))
    assert bob.engine.snapshot("online")["groups"] == []
    left = {
        table: rows for table, rows in bob.rows.items() if rows and table not in ("mls", "device", "chats")
    }
    assert list(left) == ["contacts"]
    assert list(left["contacts"]) == [alice.identity.encode()], "who was there is remembered, with their keys"
    bob.crash()
    assert bob.engine.backend
    assert bob.engine.backend.groups() == []


def test_another_copy_that_takes_over_is_said(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    twin = mallory.twin(bob)
    assert twin.engine.backend
    built = twin.engine.backend.rejoin(office.rooms[group_id].group_info)
    room = office.rooms[group_id]
    envelope = office.envelope(
        group_id,
        len(room.envelopes) + 1,
        room.epoch,
        "commit",
        "00000000-0000-4000-8000-000000000001",
        bob,
        built.commit,
    )
    for person in (alice, bob):
        person.run(person.engine.receive(envelope, office.now))
    assert alice.lines(group_id)[-1]["text"] == "Bob came back after losing their place."
    assert bob.lines(group_id)[-1]["text"] == "Another copy of this device took over your place here."
    assert (bob.group(group_id)["state"], bob.group(group_id)["can_forget"]) == ("broken", True)
    assert alice.names(group_id) == ["Alice", "Bob"]


def test_a_group_that_is_stuck_can_be_deleted_and_entered_again(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.send(group_id, "behind")
    key, _, _ = bob.engine.next_post(group_key(group_id)) or (b"", "", {})
    bob.run(bob.engine.posted(key, 409, {"code": "state_behind", "message": "behind"}, office.now))
    assert bob.group(group_id)["can_forget"]
    bob.run(bob.engine.forget_group(group_id, [], office.now))
    office.pump()
    assert bob.engine.snapshot("online")["groups"] == []
    link = alice.invite(group_id)
    office.pump()
    bob.ask(link, "Bob")
    office.pump()
    bob.send(group_id, "again")
    office.pump()
    assert alice.texts(group_id) == ["again"]
    assert len(alice.engine.open_group(group_id, [], newest=True)["members"]) == 2
