"""A device stops at any step of coming back: it still comes back, once, and nothing is lost or doubled."""

from collections.abc import Callable

import pytest

from tests.support.device import Crash, Device
from tests.support.friends import friends
from tests.support.post_office import PostOffice
from tests.support.returning import copied, miss_a_change, put_back

Flow = Callable[[PostOffice], tuple[str, Device, Device]]


def missed(office: PostOffice) -> tuple[str, Device, Device]:
    """A change that the service no longer keeps, while a line waits."""
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.online = False
    bob.send(group_id, "waits")
    miss_a_change(office, group_id, alice, bob)
    return group_id, alice, bob


def restored(office: PostOffice) -> tuple[str, Device, Device]:
    """A profile that was put back, while a line waits."""
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.send(group_id, "waits")
    old = copied(bob)
    bob.send(group_id, "lost")
    office.pump()
    put_back(bob, old)
    return group_id, alice, bob


def restarts(device: Device) -> None:
    """After a crash the program starts as the driver starts it."""
    crash = device.crash

    def crash_and_start() -> None:
        crash()
        device.engine.await_record()

    device.crash = crash_and_start  # type: ignore[method-assign]


def finish(office: PostOffice, group_id: str, alice: Device, bob: Device) -> None:
    """All goes on for some minutes; then a line each way."""
    for _ in range(4):
        office.pump()
        office.wait(61)
    for person, text in ((alice, "to Bob"), (bob, "to Alice")):
        person.send(group_id, text)
        office.pump()


def hold(group_id: str, alice: Device, bob: Device, context: str) -> None:
    """What has to be so in the end."""
    assert alice.record(group_id).epoch_authenticator == bob.record(group_id).epoch_authenticator, context
    assert sorted(alice.texts(group_id)) == ["lost", "to Alice", "to Bob", "waits"], context
    assert [text for text in bob.texts(group_id) if text != "lost"] == ["waits", "to Bob", "to Alice"], (
        context
    )
    assert bob.codes(group_id).count("back_in") == 1, context
    assert alice.codes(group_id).count("rejoined") == 1, context
    assert bob.rows["outbox"] == {} == bob.rows["sent"], context
    assert not {"unreadable", "too_early", "not_sent", "replaced_self"} & set(bob.codes(group_id)), context


@pytest.mark.parametrize("flow", [missed, restored])
@pytest.mark.parametrize("when", ["crash_before", "crash_after"])
def test_a_crash_at_any_step_of_a_rejoin(flow: Flow, when: str) -> None:
    office = PostOffice()
    group_id, alice, bob = flow(office)
    begins = len(bob.writes)
    finish(office, group_id, alice, bob)
    hold(group_id, alice, bob, "without a crash")
    steps = len(bob.writes)
    assert steps - begins > 5
    for step in range(begins, steps):
        office = PostOffice()
        group_id, alice, bob = flow(office)
        restarts(bob)
        getattr(bob, when).add(step)
        try:
            finish(office, group_id, alice, bob)
        except Crash:  # while the user wrote their last line
            if "to Alice" not in bob.texts(group_id):
                bob.send(group_id, "to Alice")
        office.wait(5)
        hold(group_id, alice, bob, f"{flow.__name__}, {when} step {step}")
