"""A clock that once ran ahead: what it made a device wait for is not waited for when it is right again."""

from coterie.core.group import lines, pace
from coterie.core.group.lines import HOUR
from coterie.core.records import Group
from coterie.core.updating import AT_LATEST, DEVICE_GAP
from tests.support.device import Device
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice
from tests.support.returning import change, miss_a_change

YEAR = 365 * 86_400_000


def put(device: Device, group_id: str, **fields: int) -> Group:
    """The group's row as a wrong clock left it."""
    work = lambda turn: turn.put(lines.need(turn, group_id).with_(**fields))  # noqa: E731
    device.run(device.engine._turn(device.now, work)[0])
    return device.record(group_id)


def test_a_commit_that_lost_in_a_year_to_come_does_not_hold_up_the_next(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    office.wait(60)
    right = office.now
    alice.remove(group_id, carol)
    office.now += YEAR
    change(bob, group_id)
    for device in (bob, alice):
        office.post(device)
        office.deliver(device)
    assert alice.outbox() == []
    office.now = right
    alice.crash()
    assert alice.record(group_id).commit_at >= right + YEAR
    office.wait(10)
    assert alice.names(group_id) == ["Alice", "Bob"]
    assert same_state(group_id, alice, bob)


def test_a_wait_of_this_day_is_kept(office: PostOffice) -> None:
    group_id, (alice, _, carol) = friends(office, "Alice", "Bob", "Carol")
    office.wait(60)
    put(alice, group_id, commit_at=office.now + pace.LONGEST_WAIT)
    alice.remove(group_id, carol)
    office.pump()
    assert alice.outbox() == []
    office.wait(pace.LONGEST_WAIT / 1000)
    assert alice.names(group_id) == ["Alice", "Bob"]


def test_a_leaf_that_was_renewed_in_a_year_to_come_is_renewed_now(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.wait(60)
    put(alice, group_id, renewed_at=office.now + YEAR, renew_at=office.now + YEAR + AT_LATEST)
    before = alice.record(group_id).epoch
    office.wait(2 * DEVICE_GAP / 1000)
    assert alice.record(group_id).epoch == before + 1
    assert alice.record(group_id).renew_at <= office.now + AT_LATEST
    assert same_state(group_id, alice, bob)


def test_a_device_that_came_back_in_a_year_to_come_comes_back_now(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.wait(60)
    put(bob, group_id, rejoin_at=office.now + YEAR)
    miss_a_change(office, group_id, alice, bob)
    office.pump()
    assert bob.record(group_id).rejoin_due <= office.now + HOUR
    office.wait(HOUR / 1000)
    assert "back_in" in bob.codes(group_id)
    assert bob.record(group_id).epoch == alice.record(group_id).epoch


def test_a_rejoin_that_was_due_in_a_year_to_come_is_due_now(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.wait(60)
    office.refusals["group_info_get"] = (503, {})
    miss_a_change(office, group_id, alice, bob)
    office.pump()
    put(bob, group_id, rejoin_due=office.now + YEAR)
    office.refusals.clear()
    office.wait(1)
    assert "back_in" in bob.codes(group_id)
