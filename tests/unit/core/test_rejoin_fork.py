"""A service that was put back from a backup, and one that shows its members two different states."""

from __future__ import annotations

import pytest

from coterie.core.group.lines import HOUR
from coterie_wire import Envelope
from tests.support.device import Device
from tests.support.directory import Caller
from tests.support.friends import friends
from tests.support.post_office import PostOffice
from tests.support.returning import PACE, asks, change, kept, lose, notice, start


def test_a_service_that_lost_messages_goes_on_and_nothing_that_was_read_is_overwritten(
    office: PostOffice,
) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "kept")
    office.pump()
    backup = kept(office, group_id)
    for text in ("lost 1", "lost 2"):
        alice.send(group_id, text)
        office.pump()
    lose(office, group_id, backup)
    notice(office, group_id, alice, bob)
    assert not bob.group(group_id)["can_send"], "until it is sure that the group can go on"
    office.pump()
    assert bob.codes(group_id)[-1] == "service_behind"
    assert bob.lines(group_id)[-1]["text"].startswith("The service has lost 2 messages")
    for number in range(4):
        (alice if number % 2 else bob).send(group_id, f"after {number}")
        office.pump()
    after = [f"after {number}" for number in range(4)]
    for person in (alice, bob):
        assert person.texts(group_id) == ["kept", "lost 1", "lost 2", *after]
        assert "back_in" not in person.codes(group_id), "the state held, so nothing was replaced"
    assert "replayed" not in bob.codes(group_id)
    assert office.rooms[group_id].acked[bob.device_id] == len(office.rooms[group_id].envelopes)


def test_it_is_noticed_at_the_start_too(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    backup = kept(office, group_id)
    alice.send(group_id, "lost")
    office.pump()
    lose(office, group_id, backup)
    for person in (alice, bob):
        person.crash()
        start(person)
    office.pump()
    bob.send(group_id, "after")
    office.pump()
    assert alice.texts(group_id) == bob.texts(group_id) == ["lost", "after"]


def test_others_who_have_moved_on_are_followed_by_a_rejoin(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    backup = kept(office, group_id)
    for number in range(3):
        bob.send(group_id, f"lost {number}")
        office.post(bob)
    office.pump(bob)  # Alice has heard none of it
    lose(office, group_id, backup)
    bob.online = False
    change(alice, group_id)
    office.pump()
    office.now += PACE
    bob.online = True
    start(bob)
    office.pump()
    bob.send(group_id, "here again")
    office.pump()
    assert bob.codes(group_id)[-1] in ("service_behind", "back_in")
    assert alice.texts(group_id) == ["here again"]
    assert alice.record(group_id).epoch_authenticator == bob.record(group_id).epoch_authenticator


def test_an_epoch_that_is_lost_is_told_and_nobody_goes_back(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    backup = kept(office, group_id)
    change(alice, group_id)
    office.pump()
    lose(office, group_id, backup)
    epoch = bob.record(group_id).epoch
    notice(office, group_id, alice, bob)
    office.pump()
    for person in (alice, bob):
        assert person.codes(group_id)[-2:] == ["service_behind", "epoch_lost"]
        assert not person.group(group_id)["can_send"]
        assert person.record(group_id).epoch == epoch
    office.wait(3 * HOUR // 1000)
    assert asks(office) == 2
    assert all(row.epoch != epoch - 1 for row in bob.outbox())


def test_where_an_epoch_is_lost_the_group_is_started_again(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    for person in (alice, bob):
        person.publish()
    backup = kept(office, group_id)
    change(alice, group_id)
    alice.send(group_id, "kept by both")
    office.pump()
    lose(office, group_id, backup)
    notice(office, group_id, alice, bob)
    alice.online = False
    office.pump()
    assert bob.group(group_id)["again"] == {"without": [], "people": 1}
    assert bob.group(group_id)["why"].startswith("The service has lost a change of this group")
    new = bob.op(bob.engine.start_again(group_id, office.now))["group_id"]
    alice.online = True
    office.pump()
    alice.accept(new)
    office.pump()
    alice.send(new, "here again")
    office.pump()
    assert bob.texts(new) == ["here again"]
    for person in (alice, bob):
        assert person.texts(group_id) == ["kept by both"]
        assert person.group(group_id)["goes_on_in"] == new
        assert person.group(group_id)["again"] is None
        assert person.group(group_id)["state"] == "broken"


@pytest.mark.parametrize("last_seq", [3, 4, 99])
def test_a_service_that_has_all_lost_nothing(office: PostOffice, last_seq: int) -> None:
    group_id, (_, bob) = friends(office, "Alice", "Bob")
    cursor = bob.record(group_id).cursor
    bob.run(bob.engine.went_back(group_id, max(cursor, last_seq), office.now))
    assert bob.group(group_id)["can_send"]
    assert bob.record(group_id).went_back == 0


class Forking(PostOffice):
    """Shows one device a state of its own: it keeps a commit from it, and gives it another in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.instead: dict[tuple[str, int], Envelope] = {}

    def envelopes(self, caller: Caller, group_id: str, after: int) -> list[Envelope]:
        found = super().envelopes(caller, group_id, after)
        return [self.instead.get((caller.device_id, one.seq), one) for one in found]


def fork(office: Forking, group_id: str, alice: Device, bob: Device, carol: Device) -> None:
    """Alice and Carol both commit in one epoch; Bob is shown Alice's, everybody else Carol's."""
    change(alice, group_id)
    change(carol, group_id)
    room = office.rooms[group_id]
    post = alice.engine.next_post(alice.record(group_id).key)
    assert post
    data = bytes.fromhex(post[2]["commit"])
    office.post(carol)
    real = room.envelopes[-1]
    office.instead[bob.device_id, real.seq] = office.envelope(
        group_id, real.seq, real.epoch, "commit", post[2]["message_id"], alice, data
    )


def test_a_fork_is_found_by_what_cannot_be_read_and_mended_by_a_rejoin() -> None:
    office = Forking()
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    fork(office, group_id, alice, bob, carol)
    office.pump()
    assert bob.record(group_id).epoch == carol.record(group_id).epoch
    assert bob.record(group_id).epoch_authenticator != carol.record(group_id).epoch_authenticator
    office.now += PACE
    carol.send(group_id, "Bob can't read this")
    office.pump()
    office.wait(PACE // 1000)
    assert bob.codes(group_id)[-1] == "back_in"
    assert {"forged", "unreadable"} & set(bob.codes(group_id))
    bob.send(group_id, "but this")
    carol.send(group_id, "and this")
    office.pump()
    assert sorted(alice.texts(group_id)) == ["Bob can't read this", "and this", "but this"]
    assert sorted(bob.texts(group_id)) == ["and this", "but this"]
    assert len({one.record(group_id).epoch_authenticator for one in (alice, bob, carol)}) == 1


def test_junk_makes_nobody_come_back(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "fine")
    room = office.rooms[group_id]
    good = alice.outbox()[0].mls_bytes
    for _ in range(5):
        junk = good[:-1] + bytes([good[-1] ^ 1])
        place = len(room.envelopes) + 1
        room.envelopes.append(
            office.envelope(
                group_id, place, 1, "application", f"{place:08d}-0000-4000-8000-000000000000", alice, junk
            )
        )
    office.pump()
    assert asks(office) == 1, "it is looked once whether others see another state"
    assert bob.codes(group_id).count("forged") == 5
    assert "back_in" not in bob.codes(group_id) + alice.codes(group_id)
    bob.send(group_id, "still here")
    office.pump()
    assert alice.texts(group_id)[-1] == "still here"
