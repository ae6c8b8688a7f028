"""A device whose state does not hold any more comes back by itself, and loses and doubles nothing by it."""

import pytest

from coterie.core.group.lines import HOUR
from coterie.core.rejoining import MOST_TRIES
from coterie.errors import StateError
from tests.support.device import Device
from tests.support.directory import no
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice


def copied(device: Device) -> dict[str, dict[bytes, bytes]]:
    """The files of a profile, as a backup program copies them."""
    return {table: dict(rows) for table, rows in device.rows.items()}


def restored(device: Device, rows: dict[str, dict[bytes, bytes]]) -> None:
    """The profile as it was; the program starts."""
    device.rows = {table: dict(held) for table, held in rows.items()}
    device.crash()
    start(device)


def start(device: Device) -> None:
    """What the driver does first: have the service's record held against the state."""
    device.engine.await_record()
    device.tick()


def forget(office: PostOffice, group_id: str, *, after: int = 0) -> None:
    """Retention: the bytes of what was sent are gone, the envelopes stay."""
    from dataclasses import replace

    room = office.rooms[group_id]
    room.envelopes = [
        replace(one, mls_bytes=None) if one.seq > after else one for one in room.envelopes
    ]


def test_a_restored_profile_comes_back_and_what_waited_goes_out_once(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "one")
    office.pump()
    old = copied(alice)
    for text in ("two", "three"):
        alice.send(group_id, text)
    office.pump()
    restored(alice, old)
    alice.send(group_id, "four")
    assert alice.engine.next_post(alice.record(group_id).key) is None, "nothing goes out before the answer"
    bob.send(group_id, "hello")
    office.pump()
    assert bob.texts(group_id) == ["one", "two", "three", "hello", "four"]
    assert alice.texts(group_id) == ["one", "hello", "four"]
    assert alice.codes(group_id)[-4:] == ["state_behind", "own_unknown", "own_unknown", "back_in"]
    assert bob.codes(group_id)[-1] == "rejoined"
    assert alice.group(group_id)["can_send"]
    alice.send(group_id, "five")
    bob.send(group_id, "six")
    office.pump()
    assert bob.texts(group_id)[-2:] == alice.texts(group_id)[-2:] == ["five", "six"]
    assert alice.record(group_id).epoch_authenticator == bob.record(group_id).epoch_authenticator
