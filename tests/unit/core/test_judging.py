"""Who missed a message judges nobody: it may have been somebody's word that they leave."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from coterie_wire import Envelope
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
    assert same_state(group_id, alice, bob, dan)
