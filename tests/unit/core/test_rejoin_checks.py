"""A GroupInfo that the service made up, or chose, never moves a device: each check, with the lie that it is for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import coterie_mls
from coterie.core import device as devices
from coterie.core.records import group_key
from coterie_wire import CommitData
from tests.support import mallory
from tests.support.device import Device
from tests.support.friends import friends
from tests.support.post_office import PostOffice
from tests.support.returning import PACE, asks, change, start

HOURS = 3 * 3_600


class Trap:
    """Bob is behind and asks for the group's state; what he is given is a lie."""

    def __init__(self, office: PostOffice) -> None:
        self.office = office
        self.group_id, (self.alice, self.bob, self.mallory) = friends(office, "Alice", "Bob", "Mallory")

    @property
    def info(self) -> bytes:
        """What an honest service would give."""
        return self.office.rooms[self.group_id].group_info

    def away(self) -> None:
        """Bob hears nothing from now on."""
        self.bob.online = False

    def again(self, device: Device) -> tuple[bytes, bytes]:
        """That device's group with other keys: MLS id and GroupInfo of a group with the same UUID, Bob in it."""
        backend = device.engine.backend
        assert backend
        made = backend.create_group(devices.group_data(group_key(self.group_id), device.identity))
        package = self.bob.engine.backend.create_key_package().bytes
        backend.commit(made, add=[package])
        backend.merge_pending(made)
        return made, backend.group_info(made)


def another_mls_group(trap: Trap) -> bytes:
    """A group of the same UUID, made anew by a member who helps the service."""
    return trap.again(trap.mallory)[1]


def another_group_of_the_same_people(trap: Trap) -> bytes:
    """Another of Bob's groups, as it is at the service."""
    group_id = trap.alice.create()
    trap.office.pump()
    link = trap.alice.invite(group_id)
    trap.office.pump()
    trap.bob.ask(link, "Bob")
    trap.office.pump()
    return trap.office.rooms[group_id].group_info


def another_uuid(trap: Trap) -> bytes:
    """The same MLS group, whose data a member changed to another UUID."""
    trap.away()
    data = devices.group_data(bytes(16), trap.alice.identity)
    trap.office.now += PACE
    mallory.commit(trap.office, trap.mallory, trap.group_id, group_data=data)
    return trap.info


def a_past_epoch(trap: Trap) -> bytes:
    """What was true before Bob's last saved epoch."""
    old = trap.info
    change(trap.alice, trap.group_id)
    trap.office.pump()
    return old


def an_unknown_signer(trap: Trap) -> bytes:
    """Somebody who came after Bob's last saved epoch, and signs what is there now."""
    trap.away()
    link = trap.alice.invite(trap.group_id)
    trap.office.pump()
    carol = trap.office.device("Carol")
    carol.ask(link, "Carol")
    trap.office.pump()
    change(carol, trap.group_id)
    trap.office.pump()
    return trap.info


def impostor(trap: Trap) -> tuple[Device, bytes]:
    """Mallory takes Alice out and puts in a device of her own under Alice's name; a key package of that one."""
    fake = trap.office.device("Fake")
    backend = coterie_mls.Backend.create(trap.alice.user_id)
    backend.bind_device(trap.alice.device_id)
    fake.engine.backend = backend
    return fake, backend.create_key_package().bytes


def known_name_with_another_key(trap: Trap) -> bytes:
    """Signed by a member whom Bob knew; in it, Alice has another signature key."""
    trap.away()
    fake, package = impostor(trap)
    data = CommitData(added=(trap.alice.device_id,), removed=(trap.alice.device_id,))
    mallory.commit(trap.office, trap.mallory, trap.group_id, add=[package], remove=[trap.alice], data=data)
    assert fake
    return trap.info


def signer_with_another_key(trap: Trap) -> bytes:
    """Signed under Alice's name by a key that was never hers."""
    trap.away()
    fake, package = impostor(trap)
    backend, room = trap.mallory.engine.backend, trap.office.rooms[trap.group_id]
    assert backend
    assert fake.engine.backend
    mls_id = trap.mallory.record(trap.group_id).mls_id
    alice = next(leaf.index for leaf in backend.members(mls_id) if leaf.identity == trap.alice.identity)
    built = backend.commit(mls_id, add=[package], remove=[alice])
    fake.engine.backend.join(built.welcome)  # type: ignore[arg-type]
    assert room
    return fake.engine.backend.group_info(mls_id)


def without_bob(trap: Trap) -> bytes:
    """Bob was taken out: there is no leaf to replace."""
    trap.away()
    members = trap.office.rooms[trap.group_id].members
    there = members[trap.bob.device_id]
    mallory.commit(trap.office, trap.alice, trap.group_id, remove=[trap.bob])
    members[trap.bob.device_id] = there
    return trap.info


def altered(trap: Trap) -> bytes:
    return trap.info[:-1] + bytes([trap.info[-1] ^ 1])


def truncated(trap: Trap) -> bytes:
    return trap.info[:-1]


def lengthened(trap: Trap) -> bytes:
    return trap.info + b"\0"


def nothing(_: Trap) -> bytes:
    return b""


LIES: dict[Callable[[Trap], bytes], str] = {
    another_mls_group: "rejoin_other_group",
    another_group_of_the_same_people: "rejoin_other_group",
    another_uuid: "rejoin_other_group",
    a_past_epoch: "rejoin_old_epoch",
    an_unknown_signer: "rejoin_unknown_signer",
    known_name_with_another_key: "rejoin_changed_leaf",
    signer_with_another_key: "rejoin_unknown_signer",
    without_bob: "rejoin_no_leaf",
    altered: "rejoin_unreadable",
    truncated: "rejoin_unreadable",
    lengthened: "rejoin_unreadable",
    nothing: "rejoin_unreadable",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_group_info_that_is_a_lie_moves_nobody(office: PostOffice, lie: Callable[[Trap], bytes]) -> None:
    trap = Trap(office)
    given = lie(trap)
    bob = trap.bob
    office.now += PACE
    office.refusals["group_info_get"] = 200, {"epoch": 9, "group_info": given.hex()}
    office.refusals["get_messages"] = 503, {}
    office.rooms[trap.group_id].acked[bob.device_id] = 10_000
    bob.online = False  # only what follows from the answer happens
    start(bob)
    before = dict(bob.rows["mls"])
    for _ in range(3):
        office.carry_out(bob)
    assert bob.codes(trap.group_id)[-1] == LIES[lie]
    assert [row.kind for row in bob.outbox() if row.kind == "rejoin"] == []
    assert bob.rows["mls"] == before
    assert bob.group(trap.group_id)["why"].startswith("This device's state is older")
    count = asks(office)
    for _ in range(3):
        office.now += HOURS * 1000
        bob.tick()
        office.carry_out(bob)
    assert asks(office) == count == 1, "nothing more happens by itself"
    assert bob.group(trap.group_id)["can_rejoin"]


@pytest.mark.parametrize("answer", [{}, {"group_info": 7}, {"group_info": "xy"}, {"group_info": "ABCD"}])
def test_an_answer_that_is_none_is_told(office: PostOffice, answer: dict[str, object]) -> None:
    group_id, (_, bob) = friends(office, "Alice", "Bob")
    office.refusals["group_info_get"] = 200, answer
    office.rooms[group_id].acked[bob.device_id] = 10_000
    start(bob)
    office.pump()
    assert bob.codes(group_id)[-1] == "rejoin_unreadable"


def test_an_answer_that_nobody_waits_for_changes_nothing(office: PostOffice) -> None:
    group_id, (_, bob) = friends(office, "Alice", "Bob")
    rows = {table: dict(held) for table, held in bob.rows.items()}
    info = {"epoch": 1, "group_info": office.rooms[group_id].group_info.hex()}
    bob.run(bob.engine.answered("group_info_get", {"group_id": group_id}, 200, info, office.now))
    assert bob.rows == rows


def test_the_truth_brings_bob_back_after_a_lie(office: PostOffice) -> None:
    trap = Trap(office)
    office.refusals["group_info_get"] = 200, {"epoch": 1, "group_info": another_mls_group(trap).hex()}
    office.rooms[trap.group_id].acked[trap.bob.device_id] = 10_000
    start(trap.bob)
    office.pump()
    assert trap.bob.codes(trap.group_id)[-1] == "rejoin_other_group"
    office.refusals.clear()
    trap.bob.run(trap.bob.engine.rejoin(trap.group_id, office.now))
    office.pump()
    assert trap.bob.codes(trap.group_id)[-1] == "back_in"


def test_a_newcomer_who_changed_nothing_does_not_stand_in_the_way(office: PostOffice) -> None:
    trap = Trap(office)
    trap.away()
    link = trap.alice.invite(trap.group_id)
    office.pump()
    carol = office.device("Carol")
    carol.ask(link, "Carol")
    office.pump()
    trap.bob.online = True
    office.rooms[trap.group_id].acked[trap.bob.device_id] = 10_000
    start(trap.bob)
    office.pump()
    assert trap.bob.codes(trap.group_id)[-1] == "back_in"
    assert trap.bob.group(trap.group_id)["members"] == 4
