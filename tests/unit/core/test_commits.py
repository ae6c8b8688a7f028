"""Commits: merged only when they come back, one an epoch; who loses begins again; who lies is named."""

from dataclasses import replace

import pytest

from coterie.core.device import group_data
from coterie.core.records import group_key
from coterie_wire import CommitData
from tests.support import mallory
from tests.support.device import Device
from tests.support.directory import no
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice


def post_commit(office: PostOffice, device: Device) -> None:
    """Post the head of the lane, which is a commit."""
    assert device.outbox()[0].kind == "commit"
    office.post(device)


# -- merged when it comes back --


def test_a_commit_is_merged_by_its_envelope_and_not_by_its_answer(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    before = alice.record(group_id)
    alice.remove(group_id, bob)
    post_commit(office, alice)
    assert alice.record(group_id).epoch == before.epoch
    assert alice.outbox()[0].accepted_seq == len(office.rooms[group_id].envelopes)
    assert alice.engine.next_post(group_key(group_id)) is None
    alice.crash()
    assert alice.engine.next_post(group_key(group_id)) is None
    office.deliver(alice)
    assert alice.record(group_id).epoch == before.epoch + 1
    assert alice.outbox() == []


def test_a_commit_whose_answer_is_lost_is_merged_all_the_same(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    office.lost.add("send_commit")
    alice.remove(group_id, carol)
    post_commit(office, alice)
    post_commit(office, alice)  # the same bytes again
    first, second = office.calls("send_commit")
    assert first == second
    office.deliver(alice)
    office.lost.clear()
    office.pump()
    assert same_state(group_id, alice, bob)
    assert alice.codes(group_id).count("removed") == 1


def test_lines_wait_behind_a_commit_and_go_in_the_next_epoch(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    alice.remove(group_id, carol)
    alice.send(group_id, "framed before the commit came back")
    office.pump()
    assert alice.texts(group_id) == bob.texts(group_id) == ["framed before the commit came back"]
    assert carol.texts(group_id) == []
    assert same_state(group_id, alice, bob)


# -- two at once --


def test_of_two_commits_at_once_one_wins_and_both_intents_are_carried_out(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    dan, link = office.device("Dan"), alice.invite(group_id)
    office.pump()
    dan.ask(link, "Dan")
    office.pump(dan)
    alice.remove(group_id, carol)  # built, not posted
    for _ in range(3):
        office.round(bob)  # verifies, claims, completes
    assert office.rooms[group_id].epoch == 3
    office.pump()
    assert office.rooms[group_id].epoch == 4
    assert same_state(group_id, alice, bob)
    assert carol.group(group_id)["state"] == "removed"
    for person in (alice, bob):
        assert [person.codes(group_id).count(code) for code in ("removed", "wrong_roster")] == [1, 0]
        assert person.group(group_id)["members"] == 3
    assert dan.group(group_id)["state"] == "active"


def test_a_removal_that_wins_ends_the_join_that_lost(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    dan, link = office.device("Dan"), alice.invite(group_id)
    office.pump()
    dan.ask(link, "Dan")
    office.pump(dan)
    office.tell_joins(bob)
    office.carry_out(bob)  # Bob's commit is built, not posted
    assert bob.outbox()[0].function == "invite_complete"
    alice.remove(group_id, carol)
    office.post(alice)
    office.pump()
    assert dan.joins()[0]["state"] == "expired"
    assert bob.outbox() == []
    assert alice.group(group_id)["members"] == bob.group(group_id)["members"] == 2
    assert same_state(group_id, alice, bob)


def test_two_who_complete_the_same_join_let_it_in_once(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    dan, link = office.device("Dan"), alice.invite(group_id)
    office.pump()
    dan.ask(link, "Dan")
    office.pump(dan)
    for person in (alice, bob):
        office.tell_joins(person)
        office.carry_out(person)
        office.now += 11_000  # the first claim lapses
    assert {alice.outbox()[0].function, bob.outbox()[0].function} == {"invite_complete"}
    office.pump()
    assert same_state(group_id, alice, bob, dan)
    for person in (alice, bob):
        assert person.codes(group_id).count("joined") == (2 if person is alice else 1)
        assert person.group(group_id)["members"] == 3


@pytest.mark.parametrize("person", ["winner", "loser"])
def test_a_crash_in_a_race_changes_nothing(office: PostOffice, person: str) -> None:
    group_id, (alice, bob, carol, dan) = friends(office, "Alice", "Bob", "Carol", "Dan")
    carol.leave(group_id)
    office.pump()
    office.now += 60_000
    alice.remove(group_id, dan)
    bob.tick()
    office.post(alice)
    (alice if person == "winner" else bob).crash()
    office.pump()
    office.wait(10)
    assert same_state(group_id, alice, bob)
    assert [alice.codes(group_id).count(code) for code in ("left", "removed", "role_breach")] == [1, 1, 0]


# -- refused --


def test_a_refused_removal_is_told_and_forgotten(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.refusals["send_commit"] = no(422, "wrong_roster")
    alice.remove(group_id, bob)
    office.post(alice)
    assert alice.problems() == ["wrong_roster"]
    assert (alice.outbox(), alice.record(group_id).removals) == ([], [])
    del office.refusals["send_commit"]
    alice.send(group_id, "goes on")
    office.pump()
    assert same_state(group_id, alice, bob)
    alice.remove(group_id, bob)
    office.pump()
    assert bob.group(group_id)["state"] == "removed"


class TwoFaced(PostOffice):
    """Refuses commits for good, and keeps them to deliver later."""

    kept: bytes = b""

    def _do_send_commit(self, caller: object, body: dict[str, str]) -> tuple[int, dict[str, object]]:
        self.kept = bytes.fromhex(body["commit"])
        return no(400, "bad_request")


def test_a_commit_that_was_refused_and_is_delivered_breaks_the_group() -> None:
    office = TwoFaced()
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    alice.remove(group_id, carol)
    office.post(alice)
    room = office.rooms[group_id]
    seq = len(room.envelopes) + 1
    room.envelopes.append(
        office.envelope(
            group_id, seq, 2, "commit", "00000000-0000-4000-8000-000000000001", alice, office.kept
        )
    )
    office.deliver(alice)
    assert alice.codes(group_id)[-1] == "refused_commit"
    assert alice.group(group_id)["state"] == "broken"
    assert "broken" in alice.group(group_id)["why"]


def test_the_hash_of_a_refused_commit_is_kept_until_its_epoch_has_passed(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    office.refusals["send_commit"] = no(400, "bad_request")
    alice.remove(group_id, carol)
    office.post(alice)
    del office.refusals["send_commit"]
    alice.crash()
    assert len(alice.record(group_id).dropped) == 1
    alice.remove(group_id, carol)
    office.pump()
    assert alice.record(group_id).dropped == []


def test_a_commit_with_own_keys_that_is_not_ours_breaks_the_group(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    assert mallory.commit(office, mallory.twin(alice), group_id, remove=[carol])[0] == 200
    office.deliver(alice)
    assert alice.codes(group_id)[-1] == "unknown_own_commit"
    assert alice.group(group_id)["state"] == "broken"
    lines = alice.lines(group_id)
    bob.send(group_id, "unreadable for Alice")
    office.pump(bob)
    office.pump()
    assert alice.lines(group_id) == lines
    assert not alice.group(group_id)["can_send"]


def test_a_garbage_commit_breaks_the_group_and_names_the_device(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    assert mallory.commit(office, bob, group_id, remove=[carol])[0] == 200
    envelope = office.rooms[group_id].envelopes[-1]
    assert envelope.mls_bytes
    raw = bytearray(envelope.mls_bytes)
    raw[-1] ^= 1
    bad = office.envelope(group_id, envelope.seq, 2, "commit", envelope.message_id, bob, bytes(raw))
    before = alice.record(group_id)
    alice.run(alice.engine.receive(bad, office.now))
    line = alice.lines(group_id)[-1]
    assert line["text"] == "This group is broken: Bob made a change that cannot be accepted."
    assert alice.group(group_id)["state"] == "broken"
    assert alice.record(group_id).epoch == before.epoch
    alice.crash()
    assert alice.group(group_id)["state"] == "broken"


def test_a_replayed_own_commit_is_no_commit(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    alice.remove(group_id, carol)
    office.pump()
    envelope = [e for e in office.rooms[group_id].envelopes if e.kind == "commit"][-1]
    again = replace(envelope, seq=alice.record(group_id).cursor + 1)
    alice.run(alice.engine.receive(again, office.now))
    assert alice.codes(group_id)[-1] == "replayed"
    assert alice.group(group_id)["can_send"]


# -- who lies --


def test_a_wrong_roster_is_a_line_that_names_the_committer(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    assert mallory.commit(office, bob, group_id, remove=[carol], data=CommitData())[0] == 200
    office.pump(alice)
    texts = [
        line["text"] for line in alice.lines(group_id) if line["code"] in ("wrong_roster", "role_breach")
    ]
    assert texts == [
        "Bob removed Carol without being allowed to.",
        "Bob told the service something else than the group about who is a member.",
    ]
    assert alice.group(group_id)["can_send"]


def test_a_removal_by_somebody_who_may_not_is_a_breach(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    mallory.commit(office, bob, group_id, remove=[carol])
    office.pump(alice, carol)
    assert "role_breach" in alice.codes(group_id)
    assert carol.lines(group_id)[-1]["text"] == "Bob removed you without being allowed to."


@pytest.mark.parametrize("kind", ["himself", "nothing", "junk"])
def test_nobody_becomes_the_owner_by_saying_so(office: PostOffice, kind: str) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    data = {"himself": group_data(group_key(group_id), bob.identity), "nothing": b"", "junk": b"\xff junk"}[
        kind
    ]
    assert mallory.commit(office, bob, group_id, group_data=data)[0] == 200
    office.pump(alice, carol)
    for person in (alice, carol):
        assert "roles_changed" in person.codes(group_id)
        members = person.engine.open_group(group_id, [], newest=True)["members"]
        assert [member["name"] for member in members if member["owner"]] == ["Alice"]
        assert person.group(group_id)["can_send"]


def test_a_commit_with_junk_for_authenticated_data_is_a_wrong_roster(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    backend, group = bob.engine.backend, bob.record(group_id)
    assert backend
    for junk in (b"junk", b'{"v":1}', b"\xff" * 100):
        built = backend.commit(group.mls_id, authenticated_data=junk)
        backend.discard_pending(group.mls_id)
        cursor = alice.record(group_id).cursor
        envelope = office.envelope(
            group_id,
            cursor + 1,
            group.epoch,
            "commit",
            "00000000-0000-4000-8000-000000000001",
            bob,
            built.commit,
        )
        fresh = mallory.twin(alice)
        fresh.run(fresh.engine.receive(envelope, office.now))
        assert fresh.codes(group_id)[-1] == "wrong_roster"
        assert fresh.record(group_id).epoch == group.epoch + 1


def test_many_who_commit_at_once_end_in_one_state(office: PostOffice) -> None:
    names = ["Alice", "Bob", "Carol", "Dan", "Eve", "Frank"]
    group_id, people = friends(office, *names)
    leavers, stay = people[4:], people[:4]
    for person in leavers:
        person.leave(group_id)
    office.pump()
    office.now += 600_000
    for person in stay:
        person.tick()  # everybody's turn has come
    assert all(person.outbox()[0].kind == "commit" for person in stay)
    office.pump()
    assert same_state(group_id, *stay)
    assert all(person.codes(group_id).count("left") == 2 for person in stay)
