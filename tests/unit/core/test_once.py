"""What comes twice is shown once, and remembering it takes no more place the longer people talk."""

import pytest

from coterie.core.content import encode_control
from coterie.core.group import once
from coterie.core.records import SEGMENTS, Recent, group_key
from coterie.core.state import Turn
from tests.support import mallory
from tests.support.device import Device
from tests.support.friends import friends
from tests.support.post_office import PostOffice

KNOWN = 112
"""So many of a sender's last contents are known, wherever a segment began (docs/limitations.md)."""


def new(device: Device, group_id: str, sender: str, number: int) -> bool:
    """Whether this content is new to the device."""
    engine = device.engine
    turn = Turn(engine.state, engine.mls, engine.backend, 0)
    found = once.is_new(turn, engine.state.tables["groups"][group_key(group_id)], sender, b"%d" % number)  # type: ignore[arg-type]
    device.run(turn.finish())
    return found


@pytest.mark.parametrize("before", [0, 1, once.SIZE - 1, once.SIZE, once.SIZE * SEGMENTS])
def test_the_last_contents_of_a_sender_are_known_and_older_ones_are_not(
    office: PostOffice, before: int
) -> None:
    group_id, (alice, _) = friends(office, "Alice", "Bob")
    for number in range(before + 1 + KNOWN):
        assert new(alice, group_id, "bob", number)
    alice.crash()
    for number in range(before, before + 1 + KNOWN):
        assert not new(alice, group_id, "bob", number), number
    assert new(alice, group_id, "carol", before), "of another sender it is another content"
    for number in range(1000, 1000 + once.SIZE):
        assert new(alice, group_id, "bob", number)
    assert new(alice, group_id, "bob", before), "nobody can tell after that"


def test_a_long_conversation_takes_no_more_rows_than_a_short_one(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")

    def rows() -> int:
        return sum(len(rows) for table, rows in bob.rows.items() if table not in ("messages", "mls"))

    for number in range(once.SIZE * SEGMENTS + 1):
        alice.send(group_id, f"{number}")
        office.pump()
        if number == 0:
            few = rows()
    assert rows() == few + SEGMENTS - 1
    assert len([key for key in bob.rows[Recent.TABLE] if key.startswith(group_key(group_id))]) == SEGMENTS


def test_a_control_message_that_comes_again_is_carried_out_again(office: PostOffice) -> None:
    """Else whoever missed the first acts otherwise than the others."""
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    old, new_name = (
        encode_control({"type": "profile", "name": name}, salt=bytes(16), epoch=0, authenticator=bytes(16))
        for name in ("Bobby", "Robert")
    )
    for content in (old, new_name, old):
        assert mallory.post(office, bob, group_id, content)[0] == 200
        office.pump()
    assert "Bobby" in alice.names(group_id)
    assert not alice.codes(group_id)[1:].count("fork")
