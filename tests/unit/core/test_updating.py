"""Renewal of leaves: after joining, 7 days, 100 messages, a removal; one at a time, and never on old news."""

import random

import pytest

from coterie.core.group import lines, pace, roster
from coterie.core.state import Turn
from coterie.core.updating import AT_LATEST, DEVICE_GAP, MESSAGES, NEWCOMER_STEP, REMOVAL_STEP
from tests.support.device import Device
from tests.support.directory import no
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice

MINUTE = 60


def leaf(device: Device, group_id: str) -> bytes:
    """The device's own encryption key in the group."""
    assert device.engine.backend
    return bytes(device.engine.backend.own_leaf(device.record(group_id).mls_id).encryption_key)


def renewals(office: PostOffice, group_id: str, *devices: Device) -> int:
    """How many commits that change no member the service took, of these devices or of all."""
    return sum(
        1
        for device_id, function, body in office.log
        if function == "send_commit"
        and not (body["added"] or body["removed"])
        and body["message_id"] in office.rooms[group_id].answers
        and (not devices or device_id in {device.device_id for device in devices})
    )


def _astray(turn: Turn, group_id: str, ghost: list[str]) -> None:
    turn.put(lines.need(turn, group_id).with_(astray=[ghost]))


def settled(office: PostOffice, *names: str) -> tuple[str, list[Device]]:
    """Friends all of whom have renewed the leaf that they came in with."""
    group_id, people = friends(office, *names)
    for _ in range(40):
        office.wait(10)
    assert renewals(office, group_id) == len(names) - 1
    return group_id, people


# -- when --


def test_a_newcomer_renews_its_leaf_soon_and_once(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    before = leaf(alice, group_id), leaf(bob, group_id)
    office.wait(2 * NEWCOMER_STEP / 1000)
    assert leaf(bob, group_id) != before[1], "its key package lay at the service"
    assert leaf(alice, group_id) == before[0], "her own commit, which let Bob in, has renewed hers"
    office.wait(MINUTE)
    office.wait(24 * 60 * MINUTE)
    assert renewals(office, group_id) == 1
    assert same_state(group_id, alice, bob)
    assert "wrong_roster" not in alice.codes(group_id)


def test_alone_in_a_group_nothing_is_renewed(office: PostOffice) -> None:
    alice = office.device("Alice")
    group_id = alice.create()
    office.pump()
    office.wait(30 * 24 * 60 * MINUTE)
    assert renewals(office, group_id) == 0


def test_at_the_latest_after_seven_days(office: PostOffice) -> None:
    group_id, people = settled(office, "Alice", "Bob", "Carol")
    keys = [leaf(one, group_id) for one in people]
    for _ in range(30):
        office.wait(AT_LATEST / 1000 / 30)
    assert all(leaf(one, group_id) != key for one, key in zip(people, keys, strict=True))
    assert renewals(office, group_id) == 2 + 3
    assert same_state(group_id, *people)


def test_after_a_hundred_messages(office: PostOffice) -> None:
    group_id, (alice, bob) = settled(office, "Alice", "Bob")
    already = alice.record(group_id).framed
    for number in range(MESSAGES - already - 1):
        alice.send(group_id, f"{number}")
    office.pump()
    assert renewals(office, group_id, alice) == 0
    before = leaf(alice, group_id)
    alice.send(group_id, "the hundredth")
    alice.send(group_id, "right behind it")
    office.pump()
    assert renewals(office, group_id, alice) == 1
    assert leaf(alice, group_id) != before
    assert alice.record(group_id).framed < MESSAGES
    assert bob.texts(group_id)[-2:] == ["the hundredth", "right behind it"]
    assert same_state(group_id, alice, bob)


def test_not_twice_in_a_minute_however_much_is_said(office: PostOffice) -> None:
    group_id, (alice, _) = settled(office, "Alice", "Bob")
    for number in range(3 * MESSAGES):
        alice.send(group_id, f"{number}")
        office.pump()
    assert renewals(office, group_id, alice) == 1
    office.wait(DEVICE_GAP / 1000)
    assert renewals(office, group_id, alice) == 2
    assert not [1 for status in refusals(office, alice) if status == "too_soon"]


def refusals(office: PostOffice, device: Device) -> list[str]:
    """Problems that the user was told."""
    return device.problems() + ([] if device.device_id in office.devices else ["gone"])


def test_after_a_removal_all_renew_one_after_the_other(office: PostOffice) -> None:
    group_id, people = settled(office, "Alice", "Bob", "Carol", "Dan", "Eve")
    alice, *others = people[:-1]
    alice.remove(group_id, people[-1])
    office.pump()
    keys = {one: leaf(one, group_id) for one in (alice, *others)}
    done = []
    for _ in range(12):
        office.wait(REMOVAL_STEP / 1000 / 2)
        done += [one for one in others if leaf(one, group_id) != keys[one] and one not in done]
    assert done == others, "the lowest leaf first"
    assert leaf(alice, group_id) == keys[alice], "the removal has renewed hers"
    assert renewals(office, group_id) == 4 + 3
    assert same_state(group_id, alice, *others)


# -- never on old news, never in others' way --


def test_nothing_is_committed_before_the_group_is_caught_up_with(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = settled(office, "Alice", "Bob", "Carol")
    bob.online = False
    alice.remove(group_id, carol)
    office.pump()
    for _ in range(10):
        alice.send(group_id, "so much to say")
        office.pump()
    office.now += AT_LATEST
    bob.crash()
    bob.engine.connection_lost()
    for envelope in office.envelopes(bob, group_id, bob.record(group_id).cursor):
        bob.tick()
        bob.run(bob.engine.receive(envelope, office.now))
        assert [row.kind for row in bob.outbox()] == []
    bob.tick()
    assert bob.outbox() == []
    bob.run(bob.engine.caught_up(group_id, bob.record(group_id).cursor, office.now))
    assert [row.kind for row in bob.outbox()] == ["commit"]


def test_word_that_more_follows_is_not_being_caught_up(office: PostOffice) -> None:
    group_id, (_, bob) = settled(office, "Alice", "Bob")
    office.now += AT_LATEST
    bob.crash()
    bob.run(bob.engine.caught_up(group_id, bob.record(group_id).cursor + 1, office.now))
    bob.tick()
    assert bob.outbox() == []


def test_what_comes_too_soon_holds_up_no_line_and_is_done_later(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.refusals["send_commit"] = no(429, "too_soon", retry_after=40)
    before = leaf(bob, group_id)
    office.wait(6)
    bob.send(group_id, "I have just come in")
    office.pump()
    assert office.calls("send_commit")
    assert alice.texts(group_id) == ["I have just come in"]
    del office.refusals["send_commit"]
    office.wait(39)
    assert leaf(bob, group_id) == before, "the service asked for 40 s"
    for _ in range(6):
        office.wait(5)
    assert leaf(bob, group_id) != before
    assert bob.problems() == []
    assert same_state(group_id, alice, bob)


def test_a_removal_asked_for_while_a_renewal_is_refused_is_not_forgotten(office: PostOffice) -> None:
    group_id, (alice, bob) = settled(office, "Alice", "Bob")
    office.now += AT_LATEST
    alice.tick()
    assert [row.kind for row in alice.outbox()] == ["commit"]
    alice.remove(group_id, bob)
    office.refusals["send_commit"] = no(429, "too_soon", retry_after=40)
    office.post(alice)
    del office.refusals["send_commit"]
    office.pump()
    assert alice.names(group_id) == ["Alice"]


def test_a_renewal_that_comes_too_soon_puts_nothing_else_in_doubt(office: PostOffice) -> None:
    group_id, (alice, _) = settled(office, "Alice", "Bob")
    ghost = [office.new_id(), roster.UNKNOWN]
    alice.run(alice.engine._turn(office.now, lambda turn: _astray(turn, group_id, ghost))[0])
    office.now += AT_LATEST
    office.refusals["send_commit"] = no(429, "too_soon", retry_after=40)
    alice.tick()
    office.pump(alice)
    assert office.calls("send_commit")[-1]["removed"] == []
    assert alice.record(group_id).astray == [ghost]


def test_a_renewal_that_is_refused_for_good_is_tried_again_in_an_hour(office: PostOffice) -> None:
    group_id, (_, bob) = friends(office, "Alice", "Bob")
    office.refusals["send_commit"] = no(403, "not_a_member")
    for _ in range(20):
        office.wait(10)
    assert len(office.calls("send_commit")) == 1
    assert len(bob.record(group_id).dropped) == 1
    del office.refusals["send_commit"]
    office.wait(60 * MINUTE + pace.LONGEST_RENEWAL_WAIT / 1000)
    assert renewals(office, group_id, bob) == 1


@pytest.mark.parametrize("silly", [None, "soon", float("nan"), float("inf"), -1, 1e300])
def test_a_silly_wait_is_taken_within_bounds(silly: object) -> None:
    assert pace.GROUP_GAP <= pace.retry_after({"retry_after": silly}) <= pace.LONGEST_RENEWAL_WAIT


# -- many at once --


def test_twenty_who_join_at_once_renew_without_a_storm(office: PostOffice) -> None:
    names = ["Alice", *(f"Member {number}" for number in range(20))]
    people = [office.device(name) for name in names]
    alice, *newcomers = people
    group_id = alice.create()
    link = alice.invite(group_id, max_uses=100)
    office.pump()
    for one in newcomers:
        one.ask(link, "Member")
        office.post(one)
    office.pump()
    keys = {one: leaf(one, group_id) for one in newcomers}
    phases = random.Random(50)  # noqa: S311 - a schedule, no secret
    ticks = {one: office.now + phases.randrange(5_000) for one in people}
    began, seconds = office.now, 0.0
    while any(leaf(one, group_id) == key for one, key in keys.items()):
        one = min(ticks, key=lambda device: ticks[device])
        office.now, ticks[one] = ticks[one], ticks[one] + 5_000
        writes = len(one.writes)
        one.tick()
        if len(one.writes) > writes and one.outbox():
            office.pump()
        seconds = (office.now - began) / 1000
        assert seconds < 20 * MINUTE, "somebody never gets through"
    posted = sum(1 for _, function, body in office.log if function == "send_commit" and not body["added"])
    assert renewals(office, group_id) == 20
    assert posted <= 24, "nearly all are taken at the first try"
    assert seconds < 4 * MINUTE
    assert same_state(group_id, *people)
