"""A service that was put back from a backup: what was taken and is gone, and who comes in afterwards."""

from __future__ import annotations

import pytest

from tests.support.device import Device
from tests.support.friends import friends
from tests.support.post_office import PostOffice
from tests.support.returning import PACE, change, kept, lose, notice, start


def fail_over(office: PostOffice, group_id: str, taker: Device) -> None:
    """The service takes what a device posts, and loses it before it is handed to anybody."""
    backup = kept(office, group_id)
    assert office.post(taker)
    assert len(office.rooms[group_id].envelopes) == len(backup.envelopes) + 1
    lose(office, group_id, backup)


# -- coming in afterwards --


def come_again(office: PostOffice, group_id: str, alice: Device, dan: Device) -> None:
    """Dan, who was removed or has left, comes in by a link."""
    link = alice.invite(group_id)
    office.pump()
    dan.ask(link, "Dan")
    office.pump()
    assert dan.group(group_id)["state"] == "active"


def ten_lines(office: PostOffice, group_id: str, dan: Device, *others: Device) -> list[str]:
    """What Dan reads of the ten lines that others write while he is away, and of one when he is back."""
    dan.online = False
    for number in range(10):
        others[number % len(others)].send(group_id, f"line {number}")
        office.pump()
    dan.online = True
    start(dan)
    office.pump()
    others[0].send(group_id, "and now")
    office.pump()
    return dan.texts(group_id)


def test_who_left_what_the_service_has_lost_and_comes_again_reads_every_line(office: PostOffice) -> None:
    group_id, (alice, bob, dan) = friends(office, "Alice", "Bob", "Dan")
    backup = kept(office, group_id)
    alice.online = bob.online = False
    for number in range(20):
        dan.send(group_id, f"lost {number}")
    dan.leave(group_id)
    office.pump()
    assert dan.group(group_id)["state"] == "left"
    lose(office, group_id, backup)
    alice.online = bob.online = True
    alice.remove(group_id, dan)
    office.pump()
    come_again(office, group_id, alice, dan)
    assert len(office.rooms[group_id].envelopes) + 10 < dan.record(group_id).cursor
    read = ten_lines(office, group_id, dan, alice, bob)
    assert read == [*(f"lost {n}" for n in range(20)), *(f"line {n}" for n in range(10)), "and now"]
    assert "service_behind" not in dan.codes(group_id), "he has seen nothing that was lost since he is back"
    assert office.rooms[group_id].acked[dan.device_id] == len(office.rooms[group_id].envelopes)


def all_see_a_loss(office: PostOffice, group_id: str, speaker: Device, *others: Device) -> None:
    """The service loses thirty lines that all have read, and all notice it."""
    backup = kept(office, group_id)
    for number in range(30):
        speaker.send(group_id, f"lost {number}")
    office.pump()
    lose(office, group_id, backup)
    notice(office, group_id, speaker, *others)
    office.pump()


def test_who_saw_the_loss_and_is_let_in_again_soon_reads_every_line(office: PostOffice) -> None:
    group_id, (alice, bob, dan) = friends(office, "Alice", "Bob", "Dan")
    all_see_a_loss(office, group_id, bob, alice, dan)
    assert dan.record(group_id).went_back == 30
    alice.remove(group_id, dan)
    office.pump()
    come_again(office, group_id, alice, dan)
    assert ten_lines(office, group_id, dan, alice, bob)[30:] == [*(f"line {n}" for n in range(10)), "and now"]


def test_who_saw_the_loss_and_is_added_anew_is_asked(office: PostOffice) -> None:
    """The service gives seqs anew, so its `from_seq` says nothing of the places here."""
    group_id, (alice, bob, dan) = friends(office, "Alice", "Bob", "Dan")
    dan.publish()
    link = alice.invite(alice.create("Other"))  # the service knows that they know each other
    office.pump()
    dan.ask(link, "Dan")
    office.pump()
    all_see_a_loss(office, group_id, bob, alice, dan)
    dan.online = False
    alice.remove(group_id, dan)
    office.pump()
    alice.add(group_id, dan.user_id)
    office.pump()
    dan.online = True
    office.tell_directory(dan)
    assert dan.codes(group_id)[-1] == "added_anew"
    assert [one["group_id"] for one in dan.engine.invitations()] == [group_id]
    dan.accept(group_id)
    office.pump()
    assert ten_lines(office, group_id, dan, alice, bob)[30:] == [*(f"line {n}" for n in range(10)), "and now"]


# -- a commit that was taken and is gone --


def test_a_commit_that_was_taken_and_lost_is_posted_again(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    change(alice, group_id)
    fail_over(office, group_id, alice)
    alice.send(group_id, "behind the commit")
    alice.crash()
    start(alice)
    office.pump()
    assert bob.texts(group_id) == ["behind the commit"]
    assert alice.outbox() == []
    assert alice.record(group_id).epoch == bob.record(group_id).epoch == office.rooms[group_id].epoch


def test_a_commit_that_was_lost_with_what_lay_before_it_is_posted_again(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    backup = kept(office, group_id)
    for number in range(3):
        bob.send(group_id, f"lost {number}")
    office.pump()
    change(alice, group_id)
    assert office.post(alice)
    lose(office, group_id, backup)
    notice(office, group_id, alice, bob)
    office.pump()
    alice.send(group_id, "behind the commit")
    office.pump()
    assert bob.texts(group_id)[-1] == "behind the commit"
    assert alice.outbox() == []


def test_a_commit_in_whose_place_something_else_came_is_posted_again(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.wait(2 * PACE // 1000)  # Bob's leaf is renewed: no other commit frees Alice's
    change(alice, group_id)
    fail_over(office, group_id, alice)
    bob.send(group_id, "in its place")
    assert [row.kind for row in bob.outbox()] == ["message"]
    office.post(bob)
    alice.send(group_id, "behind the commit")
    office.pump()
    assert alice.texts(group_id) == bob.texts(group_id) == ["in its place", "behind the commit"]
    assert alice.outbox() == []


def test_one_that_is_only_on_its_way_is_posted_once(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.send(group_id, "before it")
    office.post(bob)
    change(alice, group_id)
    assert office.post(alice)
    posts = len(office.calls("send_commit"))
    office.pump()
    assert len(office.calls("send_commit")) == posts


def test_a_rejoin_that_was_taken_and_lost_is_posted_again(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.now += PACE
    behind = 409, {"code": "state_behind", "message": "Behind."}
    bob.send(group_id, "waits")
    office.refusals["send_message"] = behind
    office.post(bob)
    office.refusals.clear()
    office.carry_out(bob)
    assert bob.outbox()[-1].kind == "rejoin"
    fail_over(office, group_id, bob)
    assert bob.outbox()[-1].accepted_seq
    bob.crash()
    start(bob)
    office.pump()
    assert bob.codes(group_id)[-1] == "back_in"
    assert alice.texts(group_id) == ["waits"]


# -- a log that has grown past the cursor again --


def ahead(office: PostOffice) -> tuple[str, Device, Device]:
    """Bob has read a commit of Carol's that is lost; Alice had not, and writes until the log is longer than Bob's."""
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    backup = kept(office, group_id)
    alice.online = False
    change(carol, group_id)
    office.pump()
    lose(office, group_id, backup)
    bob.online = carol.online = False
    alice.online = True
    for number in range(5):
        alice.send(group_id, f"after {number}")
    office.pump()
    assert len(office.rooms[group_id].envelopes) > bob.record(group_id).cursor
    assert bob.record(group_id).epoch > alice.record(group_id).epoch
    bob.online = True
    return group_id, alice, bob


def finds_out(office: PostOffice, group_id: str, bob: Device, *, at_the_start: bool) -> None:
    """By the service's record when his program starts, or by its answer to a line."""
    if at_the_start:
        bob.crash()
        start(bob)
    else:
        bob.send(group_id, "stays here")
    office.pump()


@pytest.mark.parametrize("at_the_start", [True, False])
def test_who_is_ahead_of_a_service_that_has_caught_up_is_told(
    office: PostOffice, *, at_the_start: bool
) -> None:
    group_id, _, bob = ahead(office)
    epoch = bob.record(group_id).epoch
    finds_out(office, group_id, bob, at_the_start=at_the_start)
    assert bob.record(group_id).epoch == epoch
    assert {"service_behind", "epoch_lost"} <= set(bob.codes(group_id))
    assert not bob.group(group_id)["can_send"]
    assert bob.group(group_id)["again"] is not None


def test_who_was_ahead_comes_back_when_the_others_have_moved_on(office: PostOffice) -> None:
    group_id, alice, bob = ahead(office)
    finds_out(office, group_id, bob, at_the_start=False)
    for _ in range(2):
        change(alice, group_id)
        office.pump()
    assert bob.group(group_id)["state"] == "active", (
        "nobody is to blame for a commit of the state that others have"
    )
    office.now += PACE
    bob.run(bob.engine.rejoin(group_id, office.now))
    office.pump()
    assert "back_in" in bob.codes(group_id)
    assert bob.group(group_id)["again"] is None
    assert alice.texts(group_id)[-1] == "stays here"
