"""Contention: who loses an epoch begins again by itself, waits longer each time, then asks for a pause."""

from coterie.core.group import lines, pace
from coterie.core.state import Turn
from tests.support.device import Device
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice


def win(office: PostOffice, device: Device, group_id: str) -> None:
    """This device renews its leaf and is the first of its epoch."""
    pacing = office.rooms[group_id].pacing
    pacing.last = 0
    pacing.last_of.clear()

    def due(turn: Turn) -> None:
        turn.put(lines.need(turn, group_id).with_(renew_at=office.now, renewed_at=0))

    device.run(device.engine._turn(office.now, due)[0])
    device.tick()
    assert [row.kind for row in device.outbox()] == ["commit"]
    office.post(device)
    office.deliver(device)
    assert device.outbox() == []


def lose(office: PostOffice, loser: Device, winner: Device, group_id: str) -> int:
    """The loser's commit meets one that won; the milliseconds that it waits."""
    assert [row.kind for row in loser.outbox()] == ["commit"]
    win(office, winner, group_id)
    office.post(loser)
    before = office.now
    office.deliver(loser)
    assert loser.outbox() == [], "nothing is built at once: all who lost would meet again"
    return loser.record(group_id).commit_at - before


def wake(office: PostOffice, device: Device, group_id: str) -> None:
    """The time comes for which it waited."""
    assert device.look_again_at == device.record(group_id).commit_at
    office.now, device.look_again_at = max(office.now, device.look_again_at), 0
    device.tick()


def test_who_loses_three_times_asks_for_a_pause_and_gets_through(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    alice.remove(group_id, carol)
    for losses in (1, 2, 3):
        waits = lose(office, alice, bob, group_id)
        assert 0 <= waits < pace.FIRST_WAIT << losses - 1
        assert [call.function for call in alice.calls] == ["commit_pause"] * (losses == pace.ASKS_AFTER)
        if losses < pace.ASKS_AFTER:
            wake(office, alice, group_id)
    office.carry_out(alice)
    assert [row.kind for row in alice.outbox()] == ["commit"], "now, while the others are held up"
    bob.send(group_id, "lines are not held up")
    office.pump()
    assert alice.names(group_id) == ["Alice", "Bob"]
    assert alice.codes(group_id).count("removed") == 1
    assert [alice.problems(), bob.problems()] == [[], []]
    assert alice.record(group_id).losses == 0
    assert same_state(group_id, alice, bob)


def test_a_pause_that_is_not_granted_is_no_reason_to_stop(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    office.rooms[group_id].pacing.last_pause_of[alice.device_id] = office.now + 600_000
    alice.remove(group_id, carol)
    for _ in range(4):
        lose(office, alice, bob, group_id)
        office.carry_out(alice)
        wake(office, alice, group_id)
    office.pump()
    assert alice.names(group_id) == ["Alice", "Bob"]
    assert alice.problems() == []


def test_the_wait_grows_and_ends_and_old_losses_are_forgiven(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    alice.remove(group_id, carol)
    row = alice.outbox()[0]

    def lost(turn: Turn) -> None:
        turn.put(pace.lost(turn, lines.need(turn, group_id), row))

    longest = 0
    for losses in range(1, 60):
        alice.run(alice.engine._turn(office.now, lost)[0])
        assert alice.record(group_id).losses == losses
        longest = max(longest, alice.record(group_id).commit_at - office.now)
    assert pace.LONGEST_WAIT / 2 < longest <= pace.LONGEST_WAIT
    office.now = alice.record(group_id).commit_at + pace.FORGIVEN
    alice.run(alice.engine._turn(office.now, lost)[0])
    assert alice.record(group_id).losses == 1
    assert bob.problems() == carol.problems() == []


def test_a_line_that_was_overtaken_three_times_asks_for_a_pause(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "slow")
    for times in (1, 2, 3):
        win(office, bob, group_id)
        office.post(alice)
        assert [call.function for call in alice.calls] == ["commit_pause"] * (times == pace.ASKS_AFTER)
        office.deliver(alice)
    office.pump()
    assert bob.texts(group_id) == ["slow"]
    assert alice.problems() == []


def test_a_pause_holds_up_the_others_commits_only(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    status, _ = office.handle(bob, "commit_pause", {"group_id": group_id})
    assert status == 200
    alice.remove(group_id, carol)
    office.post(alice)
    assert [row.kind for row in alice.outbox()] == ["commit"], "the same bytes are posted again"
    assert alice.names(group_id) == ["Alice", "Bob", "Carol"]
    office.now += 500
    office.pump()
    assert alice.names(group_id) == ["Alice", "Bob"]
    assert alice.problems() == []
