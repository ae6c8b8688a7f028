"""Who missed a message judges nobody: it may have been somebody's word that they leave."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from coterie.core.group import lines
from coterie.core.state import Turn
from coterie_wire import Envelope
from tests.support import mallory
from tests.support.directory import Caller
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice

HIDDEN: dict[str, Callable[[Envelope], Envelope | None]] = {
    "gap": lambda _: None,
    "tampered": lambda envelope: replace(envelope, mls_bytes=b"\xff" + (envelope.mls_bytes or b"")[1:]),
    "expired": lambda envelope: replace(envelope, mls_bytes=None, gone=True),
}


class Hiding(PostOffice):
    """Keeps one message from one device."""

    hidden: tuple[str, int, str] = ("", 0, "")
    """Device, seq, how."""

    def envelopes(self, caller: Caller, group_id: str, after: int) -> list[Envelope]:
        found = super().envelopes(caller, group_id, after)
        device, seq, how = self.hidden
        changed = [HIDDEN[how](one) if (caller.device_id, one.seq) == (device, seq) else one for one in found]
        return [one for one in changed if one]


@pytest.mark.parametrize("how", HIDDEN)
def test_a_leave_that_is_kept_from_the_owner_throws_out_nobody(how: str) -> None:
    office = Hiding()
    group_id, (alice, bob, carol, dan) = friends(office, "Alice", "Bob", "Carol", "Dan")
    alice.online = False
    carol.leave(group_id)
    office.post(carol)
    office.hidden = (alice.device_id, len(office.rooms[group_id].envelopes), how)
    office.pump()
    office.wait(20)
    assert bob.names(group_id) == ["Alice", "Bob", "Dan"], "Bob or Dan did what Carol had asked for"
    alice.online = True
    for _ in range(3):
        office.wait(30)
    assert alice.names(group_id) == ["Alice", "Bob", "Dan"]
    assert "role_breach" not in alice.codes(group_id)
    assert how in alice.codes(group_id)
    assert "taken_out" in alice.codes(group_id), "whether Carol asked is not known, and not said"
    assert same_state(group_id, alice, bob, dan)


@pytest.mark.parametrize("how", HIDDEN)
def test_a_leave_that_is_kept_from_all_who_stay_is_the_owners_to_carry_out(how: str) -> None:
    office = Hiding()
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.leave(group_id)
    office.post(bob)
    office.hidden = (alice.device_id, len(office.rooms[group_id].envelopes), how)
    alice.send(group_id, "after it")
    for _ in range(3):
        office.wait(30)
    assert bob.group(group_id)["state"] == "left"
    assert not office.is_member(bob, group_id)
    assert alice.names(group_id) == ["Alice", "Bob"], "the service's word removes nobody"
    assert how in alice.codes(group_id)
    alice.remove(group_id, bob)
    office.pump()
    assert alice.names(group_id) == ["Alice"]


def test_who_missed_a_message_asks_and_judges_again() -> None:
    office = Hiding()
    group_id, (alice, bob, carol, dan) = friends(office, "Alice", "Bob", "Carol", "Dan")
    for person in (alice, bob, carol, dan):
        person.publish()
    office.pump()
    bob.send(group_id, "not for Alice")
    office.post(bob)
    office.hidden = (alice.device_id, len(office.rooms[group_id].envelopes), "gap")
    dan.send(group_id, "for all")
    office.pump()
    assert alice.record(group_id).in_doubt
    office.wait(10)
    assert not alice.record(group_id).in_doubt
    mallory.commit(office, dan, group_id, remove=[carol])
    office.pump()
    carol.accept(group_id)
    office.pump()
    assert alice.names(group_id) == ["Alice", "Bob", "Carol"]


def test_who_is_in_doubt_leaves_the_answer_to_who_is_not(office: PostOffice) -> None:
    group_id, people = friends(office, "Alice", "Bob", "Carol", "Dan")
    alice, bob, carol, _ = people
    for person in (alice, bob):
        person.run(person.engine._turn(person.now, lambda turn: _doubt(turn, group_id))[0])
    asked = len(office.calls("send_message"))
    for _ in range(20):
        office.wait(1, alice)
        office.wait(1, *people)
    said = [device for device, called, _ in office.log if called == "send_message"][asked:]
    assert bob.device_id in said, "the lowest leaf answers, as it does for a newcomer"
    assert carol.device_id in said, "and the next one, which knows more"
    assert not alice.record(group_id).in_doubt
    assert not bob.record(group_id).in_doubt


def test_what_nobody_could_read_makes_everybody_ask_once(office: PostOffice) -> None:
    group_id, people = friends(office, "Alice", "Bob", "Carol", "Dan", "Mallory")
    mallory.post(office, people[4], group_id, b"what nobody can open", garbled=True)
    office.pump()
    before = len(office.calls("send_message"))
    for _ in range(120):
        office.wait(1)
    assert len(office.calls("send_message")) - before <= 4, "who missed it together does not ask together"


def _doubt(turn: Turn, group_id: str) -> None:
    turn.put(lines.need(turn, group_id).with_(in_doubt=True, handover_by=turn.now))
