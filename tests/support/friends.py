"""Groups to begin with."""

from __future__ import annotations

from tests.support.device import Device
from tests.support.post_office import PostOffice


def friends(office: PostOffice, *names: str) -> tuple[str, list[Device]]:
    """A group of the first, joined by the others through one link; all is delivered."""
    people = [office.device(name) for name in names]
    group_id = people[0].create()
    office.pump()
    if people[1:]:
        link = people[0].invite(group_id)
        office.pump()
        for person, name in zip(people[1:], names[1:], strict=True):
            person.ask(link, name)
            office.pump()
    return group_id, people


def same_state(group_id: str, *people: Device) -> bool:
    """Whether all stand in one epoch, by its authenticator, and see the same texts in the same order."""
    states = {
        (person.record(group_id).epoch, person.record(group_id).epoch_authenticator, *person.texts(group_id))
        for person in people
    }
    return len(states) == 1


def until_posting(office: PostOffice, device: Device, kind: str) -> None:
    """Until a row of that kind waits in a device's outbox, not posted."""
    for _ in range(20):
        if any(row.kind == kind for row in device.outbox()):
            return
        office.round(device)
    raise AssertionError(f"{device} has no {kind} to post")
