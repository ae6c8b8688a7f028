"""What goes wrong in one group, or is made to go wrong by a member, stays in that group."""

from typing import Any
from uuid import uuid4

import pytest

from coterie.core import updating
from coterie.core.group import commits, controls, lines, roles
from coterie.core.records import Group
from coterie.core.state import Turn
from coterie.errors import StorageError
from coterie_wire import CommitData
from tests.support import mallory
from tests.support.device import Device
from tests.support.directory import no
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice

NAMES = ("Alice", "Bob", "Mallory")
LONG = 1_000
"""Characters of a made-up identity."""


def two_groups(office: PostOffice) -> tuple[str, str, list[Device]]:
    """One with Mallory in it, and one of Alice and Bob alone."""
    group_id, people = friends(office, *NAMES)
    alice, bob, _ = people
    elsewhere = alice.create("Elsewhere")
    link = alice.invite(elsewhere)
    office.pump()
    bob.ask(link, "Bob")
    office.pump()
    return group_id, elsewhere, people


def made_up(how_long: int) -> list[str]:
    """As many strangers as a handover may name."""
    return [f"{number}{'x' * how_long}#{uuid4()}" for number in range(1_000)]


def flood(office: PostOffice, device: Device, group_id: str, how_long: int) -> None:
    """Make everybody doubt, and tell them of a thousand people that never were."""
    mallory.post(office, device, group_id, b"not MIMI content")
    body = {"type": "handover", "invites": [], "profiles": {}, "leavers": [], "offenders": []}
    mallory.say(device, group_id, body | {"wronged": made_up(how_long)})
    office.pump()


@pytest.mark.parametrize("told", [True, False])
def test_a_member_cannot_make_devices_deaf_in_their_other_groups(office: PostOffice, *, told: bool) -> None:
    group_id, elsewhere, (alice, bob, mallory_) = two_groups(office)
    if not told:  # a newcomer takes a member's word
        bob.run(bob.engine._turn(bob.now, lambda turn: _untold(turn, group_id))[0])
    flood(office, mallory_, group_id, LONG)
    flood(office, mallory_, group_id, LONG)
    mallory.say(mallory_, group_id, {"type": "ask"})
    office.pump()
    office.wait(30)
    bob.crash()
    alice.send(elsewhere, "still there?")
    office.pump()
    office.wait(30)
    assert bob.texts(elsewhere) == ["still there?"]
    assert len(bob.rows["groups"][bob.record(group_id).key]) < 10_000


def _untold(turn: Turn, group_id: str) -> None:
    """As somebody who has just come in."""
    turn.put(lines.need(turn, group_id).with_(told=False, astray=[], mend_at=0, offenders=[]))


def test_of_people_who_were_thrown_out_so_many_are_kept_and_no_more(office: PostOffice) -> None:
    group_id, _, (_, bob, mallory_) = two_groups(office)
    for _ in range(3):
        bob.run(bob.engine._turn(bob.now, lambda turn: _untold(turn, group_id))[0])
        flood(office, mallory_, group_id, 1)
    assert len(bob.record(group_id).wronged) == roles.MOST_TOLD


def test_who_lets_somebody_in_is_not_stopped_by_it_either(office: PostOffice) -> None:
    group_id, elsewhere, (alice, bob, mallory_) = two_groups(office)
    flood(office, mallory_, group_id, LONG)
    flood(office, mallory_, group_id, LONG)
    dan, link = office.device("Dan"), alice.invite(group_id)
    office.pump()
    dan.ask(link, "Dan")
    office.pump()
    bob.send(elsewhere, "hello")
    office.pump()
    assert same_state(group_id, alice, bob, dan)
    assert alice.texts(elsewhere) == ["hello"]


@pytest.mark.parametrize("where", ["ask", "commit", "renew"])
def test_a_task_that_fails_is_told_in_its_group_and_the_others_go_on(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    group_id, elsewhere, (alice, bob, mallory_) = two_groups(office)

    def refuse(turn: Turn, group: Group, *_: Any) -> Any:
        if group.group_id == group_id:
            raise turn.mls.MlsError("no")
        return original(turn, group, *_)

    module, name = {
        "ask": (controls, "hand_over"),
        "commit": (commits, "_commit_what_fits"),
        "renew": (commits, "_commit"),
    }[where]
    original = getattr(module, name)
    monkeypatch.setattr(module, name, refuse)
    mallory.say(mallory_, group_id, {"type": "ask"})
    office.pump()
    office.wait(updating.AT_LATEST / 1000)
    assert "task_failed" in bob.codes(group_id)
    counted = bob.codes(group_id).count("task_failed")
    for _ in range(5):
        office.wait(6)
    assert bob.codes(group_id).count("task_failed") == counted, "said once an hour"
    assert bob.record(elsewhere).epoch > 1, "the leaf was renewed there"
    bob.crash()
    alice.send(elsewhere, "still there?")
    alice.send(group_id, "and here?")
    office.pump()
    assert bob.texts(elsewhere) == ["still there?"]
    assert bob.texts(group_id) == ["and here?"]


def test_keys_that_do_not_read_back_are_no_matter_of_a_task(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id, _, (_, bob, mallory_) = two_groups(office)

    def corrupt(turn: Turn, group: Group) -> Group:
        error = turn.mls.MlsError("the row is damaged")
        error.code = "corrupt"  # type: ignore[attr-defined]
        raise error

    monkeypatch.setattr(controls, "hand_over", corrupt)
    mallory.say(mallory_, group_id, {"type": "ask"})
    office.pump()
    office.now += 30_000
    with pytest.raises(StorageError):
        bob.tick()


def test_a_leave_of_a_device_without_a_uuid_that_is_refused_waits_for_its_next_time(
    office: PostOffice,
) -> None:
    """The service takes no commits from who is not on its roster: the same one would be built at once, for ever."""
    group_id, (bob, mallory_) = friends(office, "Bob", "Mallory")
    backend = office.mls.Backend.create(str(uuid4()))
    backend.bind_device("no UUID")
    package = backend.create_key_package().bytes
    assert mallory.commit(office, mallory_, group_id, add=[package], data=CommitData())[0] == 200
    office.deliver(bob)
    members = bob.engine.backend.members(bob.record(group_id).mls_id) if bob.engine.backend else []
    ghost = next(leaf for leaf in members if leaf.device_id == "no UUID")
    leaver = [ghost.identity, ghost.index, ghost.encryption_key, 0]
    record = bob.record(group_id).with_(leavers=[leaver])
    bob.rows["groups"][record.key] = record.encode()
    bob.crash()
    office.refusals["send_commit"] = no(403, "not_a_member")
    for _ in range(5):
        office.round(bob)
    assert bob.record(group_id).leavers[0][3] > bob.now
    assert len(bob.record(group_id).dropped) == 1


def test_a_device_without_a_uuid_can_be_put_out_by_who_came_later(office: PostOffice) -> None:
    group_id, (alice, bob, mallory_) = friends(office, *NAMES)
    backend = office.mls.Backend.create(str(uuid4()))
    backend.bind_device("no UUID")
    package = backend.create_key_package().bytes
    alice.online = False
    assert mallory.commit(office, mallory_, group_id, add=[package], data=CommitData())[0] == 200
    office.pump()
    ghost = f"{backend.user_id}#no UUID"
    alice.run(alice.engine._turn(alice.now, lambda turn: _untold(turn, group_id))[0])
    alice.online = True
    office.pump()
    alice.run(alice.engine._turn(alice.now, lambda turn: _untold(turn, group_id))[0])
    alice.run(alice.engine.remove_member(group_id, ghost, alice.now))
    office.pump()
    assert alice.names(group_id) == bob.names(group_id)
    assert ghost not in str(alice.engine.open_group(group_id, [], newest=True)["members"])
    assert not {"task_failed", "wrong_roster"} & set(alice.codes(group_id)[-2:])
