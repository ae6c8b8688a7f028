"""Profiles and services that are put back, changes that were missed, a log that has run out: what a rejoin is for."""

from __future__ import annotations

import copy
from dataclasses import replace

from coterie.core.group import commits, lines
from tests.support.device import Device
from tests.support.post_office import PostOffice, Room

PACE = 61_000
"""After so many milliseconds the service takes the next commit that changes no member, from whomever."""
Rows = dict[str, dict[bytes, bytes]]


def copied(device: Device) -> Rows:
    """The files of a profile, as a backup program copies them."""
    return {table: dict(rows) for table, rows in device.rows.items()}


def start(device: Device) -> None:
    """What the driver does first: have the service's record held against the state."""
    device.engine.await_record()
    device.tick()


def put_back(device: Device, rows: Rows) -> None:
    """The profile as it was; the program starts."""
    device.rows = {table: dict(held) for table, held in rows.items()}
    device.crash()
    start(device)


def change(device: Device, group_id: str) -> None:
    """A commit that changes no member, in the outbox, when the service takes it."""
    device.office.now += PACE
    turn = device.engine._turn(device.now, lambda turn: commits.renew_leaf(turn, lines.need(turn, group_id)))
    device.run(turn[0])


def expire(office: PostOffice, group_id: str) -> None:
    """Retention: the bytes of all that was sent are gone, the envelopes stay."""
    room = office.rooms[group_id]
    room.envelopes = [replace(one, mls_bytes=None) for one in room.envelopes]


def miss_a_change(office: PostOffice, group_id: str, by: Device, *away: Device) -> None:
    """A commit and a line of which the service keeps nothing, while others were away, who are online again then."""
    for device in away:
        device.online = False
    change(by, group_id)
    office.pump()
    by.send(group_id, "lost")
    office.pump()
    expire(office, group_id)
    office.now += PACE
    for device in away:
        device.online = True


def kept(office: PostOffice, group_id: str) -> Room:
    """A backup of what the service has of a group."""
    return copy.deepcopy(office.rooms[group_id])


def lose(office: PostOffice, group_id: str, backup: Room) -> None:
    """The service starts again from the backup; its sockets were closed."""
    office.rooms[group_id] = copy.deepcopy(backup)
    office.framed.clear()


def notice(office: PostOffice, group_id: str, *people: Device) -> None:
    """What the sync tells after a `caught_up` with a seq before the one in `hello`; then it closes the socket."""
    for person in people:
        person.run(person.engine.went_back(group_id, len(office.rooms[group_id].envelopes), office.now))
        person.engine.connection_lost()


def asks(office: PostOffice) -> int:
    """How often anybody asked for a GroupInfo."""
    return len(office.calls("group_info_get"))
