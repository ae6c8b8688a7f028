"""A device stops anywhere in any flow: nothing is lost, nothing is doubled, no message key serves twice.

Each flow is run once to count its steps, then again with a crash at each of them: before the step is saved, and after
the save but before its effects.
"""

import contextlib
from collections.abc import Callable
from uuid import UUID

import pytest

from coterie.core import causes
from tests.support import mallory
from tests.support.device import Crash, Device
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice

Flow = Callable[[PostOffice], tuple[str, list[Device]]]


def attempt(device: Device, work: Callable[[], object]) -> None:
    """What a person does; when the device stops before it was saved, they do it again."""
    steps = len(device.writes)
    try:
        work()
    except Crash:
        if len(device.writes) == steps:
            work()


def talk(office: PostOffice) -> tuple[str, list[Device]]:
    """Two lines each."""
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    yield_to_crashes(alice, bob)
    for number in range(2):
        for person in (alice, bob):
            attempt(person, lambda person=person, number=number: person.send(group_id, f"line {number}"))
        office.pump()
    return group_id, [alice, bob]


def yield_to_crashes(*people: Device) -> None:
    """The flow begins here: the steps that are counted."""
    for person in people:
        person.__dict__["begins"] = len(person.writes)


def meet(office: PostOffice) -> tuple[str, list[Device]]:
    """Create, invite, join, complete, and a line each way."""
    alice, bob = office.device("Alice"), office.device("Bob")
    yield_to_crashes(alice, bob)
    attempt(alice, alice.create)
    group_id = next(iter(alice.engine.cursors()))
    links: list[str] = []
    attempt(alice, lambda: links.append(alice.invite(group_id)))
    office.pump()
    if not links:  # the device stopped after the save: the page asks for the list
        links = [
            invite["link"] for invite in alice.engine.list_invites(group_id, "https://x.example", alice.now)
        ]
    attempt(bob, lambda: bob.ask(links[0], "Bob"))
    office.pump()
    office.wait(60)
    for person in (alice, bob):
        attempt(person, lambda person=person: person.send(group_id, "hello"))
        office.pump()
    return group_id, [alice, bob]


def remove(office: PostOffice) -> tuple[str, list[Device]]:
    """The owner removes one of three; the others go on."""
    group_id, (alice, bob, mallory) = friends(office, "Alice", "Bob", "Mallory")
    yield_to_crashes(alice, bob, mallory)
    attempt(alice, lambda: alice.remove(group_id, mallory))
    attempt(bob, lambda: bob.send(group_id, "while it happens"))
    office.pump()
    attempt(alice, lambda: alice.send(group_id, "after"))
    office.pump()
    assert mallory.group(group_id)["state"] == "removed"
    assert "after" not in mallory.texts(group_id)
    return group_id, [alice, bob]


def leave(office: PostOffice) -> tuple[str, list[Device]]:
    """One of three leaves; the others commit it."""
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    yield_to_crashes(alice, bob, carol)
    attempt(carol, lambda: carol.leave(group_id))
    office.pump()
    office.wait(5)
    office.wait(5)
    attempt(bob, lambda: bob.send(group_id, "after"))
    office.pump()
    assert carol.group(group_id)["state"] in ("left", "removed")
    assert alice.group(group_id)["members"] == 2
    assert alice.codes(group_id).count("left") == 1
    return group_id, [alice, bob]


def cross(office: PostOffice) -> tuple[str, list[Device]]:
    """A message of the old epoch is refused as stale, and goes in the new one."""
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    yield_to_crashes(alice, bob, carol)
    bob.online = False
    attempt(bob, lambda: bob.send(group_id, "old epoch"))
    attempt(alice, lambda: alice.remove(group_id, carol))
    office.pump()
    bob.online = True
    office.pump()
    attempt(bob, lambda: bob.send(group_id, "new epoch"))
    office.pump()
    return group_id, [alice, bob]


def steps_of(flow: Flow) -> list[tuple[int, int]]:
    """(person, step) of every step of a flow."""
    office = PostOffice()
    flow(office)
    people = list(office.devices.values())
    return [
        (number, step)
        for number, person in enumerate(people)
        for step in range(person.__dict__["begins"], len(person.writes))
    ]


BAD = {*causes.UNREADABLE, "fork", "bad_join", "wrong_roster", "not_sent"}


@pytest.mark.parametrize("flow", [talk, meet, remove, leave, cross])
@pytest.mark.parametrize("when", ["crash_before", "crash_after"])
def test_a_crash_at_any_step_loses_and_doubles_nothing(
    flow: Flow, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = PostOffice()
    group_id, people = flow(honest)
    expected = [person.texts(group_id) for person in people]
    for person, step in steps_of(flow):
        office = PostOffice()
        made = office.device

        def device(name: str, person: int = person, step: int = step) -> Device:
            one = made(name)  # noqa: B023
            if len(office.devices) == person + 1:  # noqa: B023
                getattr(one, when).add(step)
            return one

        monkeypatch.setattr(office, "device", device)
        group_id, people = flow(office)
        context = f"{flow.__name__}, {when} step {step} of person {person}"
        assert [sorted(one.texts(group_id)) for one in people] == [sorted(texts) for texts in expected], (
            context
        )
        assert same_state(group_id, *people), context
        for one in people:
            assert not BAD & set(one.codes(group_id)), f"{context}: {one.codes(group_id)}"
            assert one.group(group_id)["can_send"], context
            assert one.rows["outbox"] == {} == one.rows["sent"], context


def test_no_message_key_serves_twice_whatever_stops(office: PostOffice) -> None:
    """A witness opens every ciphertext that was ever posted, each once."""
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    witness = mallory.twin(bob)
    office.log.clear()
    for number in range(24):
        steps = len(alice.writes)
        (alice.crash_before if number % 3 else alice.crash_after).add(steps + number % 2)
        office.lost = {"send_message"} if number % 4 == 0 else set()
        attempt(alice, lambda number=number: alice.send(group_id, f"{number}"))
        with contextlib.suppress(Crash):
            office.post(alice)
        alice.crash()
    office.lost = set()
    alice.crash_before.clear()
    alice.crash_after.clear()
    office.pump()
    posted = {body["mls_bytes"] for body in office.calls("send_message")}
    for mls_hex in posted:
        place = witness.record(group_id).cursor + 1
        data = bytes.fromhex(mls_hex)
        envelope = office.envelope(group_id, place, 1, "application", str(UUID(int=place)), alice, data)
        witness.run(witness.engine.receive(envelope, office.now))
    assert sorted(witness.texts(group_id), key=int) == [f"{number}" for number in range(24)]
    assert witness.codes(group_id) == ["joined_self"]
    assert bob.texts(group_id) == alice.texts(group_id) == [f"{number}" for number in range(24)]
