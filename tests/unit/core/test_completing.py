"""The members' side of a join: who lets whom in, and which key packages are refused."""

from collections.abc import Sequence
from typing import Any

import pytest

import coterie_mls
from coterie.core import invite as invites
from coterie.core.invite import Link
from coterie.core.records import Invite, group_key
from tests.support import mallory
from tests.support.device import Device
from tests.support.directory import no
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice


def waiting(office: PostOffice, *names: str, **options: Any) -> tuple[str, list[Device], Device, str, str]:
    """A group, a device that asks to join, its link and join; the members have not looked yet."""
    group_id, people = friends(office, *names)
    link = people[0].invite(group_id, **options)
    office.pump()
    newcomer = office.device("Newcomer")
    join_id = newcomer.ask(link, "Newcomer")
    office.post(newcomer)
    return group_id, people, newcomer, link, join_id


def test_another_member_completes_while_the_inviter_is_away(office: PostOffice) -> None:
    group_id, (alice, bob), carol, _, _ = waiting(office, "Alice", "Bob")
    alice.online = False
    office.pump()
    assert same_state(group_id, bob, carol)
    carol.send(group_id, "hello")
    office.pump()
    alice.online = True
    office.pump()
    assert alice.texts(group_id) == ["hello"]
    assert alice.lines(group_id)[-2]["text"] == "Newcomer joined, added by Bob."
    assert same_state(group_id, alice, bob, carol)


def test_waiting_joins_are_completed_together(office: PostOffice) -> None:
    group_id, (alice,), _, link, _ = waiting(office, "Alice")
    for name in ("Carol", "Dan"):
        one = office.device(name)
        one.ask(link, name)
        office.post(one)
    office.pump()
    assert office.rooms[group_id].epoch == 1
    assert len(office.calls("invite_complete")[0]["joins"]) == 3
    assert alice.group(group_id)["members"] == 4


def test_a_swapped_key_package_is_refused_with_words_and_the_real_one_can_still_join(
    office: PostOffice,
) -> None:
    group_id, (alice, bob), carol, _, join_id = waiting(office, "Alice", "Bob")
    service = office.device("service")
    assert service.engine.backend
    real = office.joins[join_id]["kp_hex"]
    office.joins[join_id]["kp_hex"] = service.engine.backend.create_key_package().bytes.hex()
    office.pump()
    office.wait(10)
    assert office.roster_changes(group_id) == 1
    for person in (alice, bob):
        assert person.codes(group_id).count("bad_join") == 1
        assert "They were not let in." in person.lines(group_id)[-1]["text"]
        person.crash()
    office.pump()
    assert alice.codes(group_id).count("bad_join") == 1  # said once, whatever restarts
    office.joins[join_id]["kp_hex"] = real
    alice.told.clear()
    office.pump()
    assert carol.joins() == []
    assert same_state(group_id, alice, bob, carol)


CHANGES: dict[str, dict[str, Any]] = {
    "tag": {"tag": "00" * 32},
    "short tag": {"tag": "00"},
    "hello": {"hello": "00" * 40},
    "device": {"device_id": "00000000-0000-4000-8000-000000000000"},
    "user": {"user_id": "00000000-0000-4000-8000-000000000000"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_join_of_which_something_was_changed_is_refused_with_words(office: PostOffice, name: str) -> None:
    group_id, (alice,), carol, _, join_id = waiting(office, "Alice")
    step = alice.engine.joins_waiting([office.joins[join_id] | CHANGES[name]], office.now)
    alice.run(step)
    assert alice.codes(group_id)[-1] == "bad_join"
    assert alice.calls == []
    office.pump()
    assert same_state(group_id, alice, carol)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        7,
        {},
        {"join_id": "x"},
        {"join_id": None},
        {"join_id": "00000000-0000-4000-8000-000000000000"},
        [],
    ],
)
def test_what_is_no_join_changes_nothing(office: PostOffice, raw: object) -> None:
    group_id, (alice,) = friends(office, "Alice")
    step = alice.engine.joins_waiting([raw], office.now)
    assert (step.changes, step.effects) == ({}, ())


@pytest.mark.parametrize(
    "field", ["group_id", "invite_id", "kp_hex", "tag", "hello", "user_id", "device_id", "join_id"]
)
@pytest.mark.parametrize("value", [None, 7, "zz", "", ["00"]])
def test_a_join_with_a_field_of_another_form_lets_nobody_in(
    office: PostOffice, field: str, value: object
) -> None:
    group_id, (alice,), _, _, join_id = waiting(office, "Alice")
    alice.run(alice.engine.joins_waiting([office.joins[join_id] | {field: value}], office.now))
    assert alice.calls == []
    assert alice.outbox() == []


def test_an_invite_that_this_device_does_not_know_is_none_of_its_business(office: PostOffice) -> None:
    group_id, (alice, bob), _, link, join_id = waiting(office, "Alice", "Bob")
    bob.rows["invites"].pop(Link.parse(link).invite_id)
    bob.crash()
    bob.run(bob.engine.joins_waiting([office.joins[join_id]], office.now))
    assert bob.calls == []
    assert "bad_join" not in bob.codes(group_id)


def test_an_invite_that_is_over_by_the_own_clock_or_count_lets_nobody_in(office: PostOffice) -> None:
    """The service's limits are only an early refusal."""
    group_id, (alice,), carol, link, join_id = waiting(office, "Alice", max_uses=1, lifetime=60)
    join = dict(office.joins[join_id])
    office.now += 60_000
    alice.run(alice.engine.joins_waiting([join], office.now))
    assert alice.calls == []
    office.now -= 60_000
    office.pump()
    assert carol.joins() == []
    dan = office.device("Dan")
    office.invites[Link.parse(link).invite_id.hex()]["uses"] = 0  # the service forgets the use
    dan.ask(link, "Dan")
    office.pump()
    assert dan.joins()[0]["state"] == "waiting"
    assert alice.group(group_id)["members"] == 2


def test_no_more_are_let_in_at_once_than_the_invite_has_uses(office: PostOffice) -> None:
    group_id, (alice,), _, link, _ = waiting(office, "Alice", max_uses=2)
    for name in ("Carol", "Dan"):
        one = office.device(name)
        one.ask(link, name)
        office.post(one)
    office.pump()
    assert alice.group(group_id)["members"] == 3


def test_the_count_of_uses_is_the_same_at_all_members(office: PostOffice) -> None:
    group_id, (alice, bob), carol, link, _ = waiting(office, "Alice", "Bob")
    office.pump()
    invite_id = Link.parse(link).invite_id
    assert [Invite.decode(one.rows["invites"][invite_id]).uses for one in (alice, bob, carol)] == [1, 1, 1]


# -- nobody takes a member's place --


def impostor(office: PostOffice, link: str, victim: Device) -> dict[str, Any]:
    """A join under the victim's identity with keys of its own, by someone who has the link; the service helps."""
    thief = Device(office, "thief")

    backend = coterie_mls.Backend.create(victim.user_id)
    backend.bind_device(victim.device_id)
    del office.devices[thief.device_id]
    parsed = Link.parse(link)
    keys = invites.Keys.derive(coterie_mls, parsed.invite_id, parsed.secret)
    package = backend.create_key_package().bytes
    hello = invites.seal_hello(coterie_mls, keys.preview, parsed.invite_id, package, "Bob")
    join_id = "11111111-1111-4111-8111-111111111111"
    office.joins[join_id] = {
        "join_id": join_id,
        "invite_id": parsed.invite_id.hex(),
        "kp_hex": package.hex(),
        "tag": invites.join_tag(keys.tag, parsed.invite_id, package, hello).hex(),
        "hello": hello.hex(),
        "group_id": office.invites[parsed.invite_id.hex()]["group_id"],
        "device_id": victim.device_id,
        "user_id": victim.user_id,
        "status": "waiting",
    }
    return office.joins[join_id]


def test_a_members_identity_with_other_keys_is_refused(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    link = alice.invite(group_id)
    office.pump()
    impostor(office, link, bob)
    office.pump()
    office.wait(20)
    assert office.roster_changes(group_id) == 2
    for person in (alice, bob, carol):
        assert person.codes(group_id)[-1] == "bad_join"
        assert person.group(group_id)["members"] == 3


def test_a_join_that_is_through_shown_again_replaces_nobody(office: PostOffice) -> None:
    group_id, (alice, bob), carol, _, join_id = waiting(office, "Alice", "Bob")
    office.pump()
    old = alice.names(group_id)
    claims = len(office.calls("invite_claim"))
    office.joins[join_id]["status"] = "waiting"  # the service shows it again
    for person in (alice, bob, carol):
        person.crash()
    office.pump()
    office.wait(20)
    assert office.roster_changes(group_id) == 2
    assert len(office.calls("invite_claim")) == claims
    assert alice.names(group_id) == old
    assert not {"bad_join", "removed"} & set(alice.codes(group_id))


def test_two_requests_of_one_device_let_it_in_once_and_hold_up_nobody(office: PostOffice) -> None:
    group_id, (alice,), carol, _, join_id = waiting(office, "Alice")
    link = alice.invite(group_id)
    office.post(alice)
    office.post(alice)
    before = {table: dict(rows) for table, rows in carol.rows.items()}
    carol.rows["joins"].clear()
    carol.crash()
    second = carol.ask(link, "Carol")
    office.post(carol)
    carol.rows = before
    carol.crash()
    dan = office.device("Dan")
    dan.ask(link, "Dan")
    office.post(dan)
    assert {join["status"] for join in office.joins.values()} == {"waiting"}
    assert second != join_id
    office.pump()
    office.wait(20)
    assert alice.group(group_id)["members"] == 3
    assert "Dan" in alice.names(group_id)
    assert same_state(group_id, alice, dan)


class Picky:
    """The binding, refusing one key package in a commit that passed all checks before."""

    def __init__(self, backend: Any, refused: bytes) -> None:
        self.backend = backend
        self.refused = refused

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def commit(self, group_id: bytes, *, add: Sequence[bytes] = (), **rest: Any) -> Any:
        if self.refused in add:
            raise coterie_mls.Unacceptable("not this one")
        return self.backend.commit(group_id, add=add, **rest)


def test_a_newcomer_that_does_not_fit_holds_up_neither_others_nor_a_removal(office: PostOffice) -> None:
    group_id, (alice, bob), carol, link, join_id = waiting(office, "Alice", "Bob")
    dan = office.device("Dan")
    dan.ask(link, "Dan")
    office.post(dan)
    bob.online = False
    alice.engine.backend = Picky(alice.engine.backend, bytes.fromhex(office.joins[join_id]["kp_hex"]))
    office.pump()
    assert same_state(group_id, alice, dan)
    office.wait(5)  # looked at again, and again it does not fit
    assert carol.joins()[0]["state"] == "waiting"
    alice.remove(group_id, bob)
    office.pump()
    assert alice.names(group_id) == ["Alice", "Dan"]
    assert alice.problems() == []


# -- claims --


def test_a_claim_of_another_is_respected_and_taken_over_when_it_lapses(office: PostOffice) -> None:
    group_id, (alice, bob), carol, _, join_id = waiting(office, "Alice", "Bob")
    office.tell_joins(bob)
    office._do_invite_claim(bob, {"join_id": join_id})
    bob.calls.clear()
    bob.online = False
    office.pump()
    assert carol.joins()[0]["state"] == "waiting"
    office.wait(5)
    assert carol.joins()[0]["state"] == "waiting"
    office.wait(6)
    assert same_state(group_id, alice, carol)


def test_another_join_that_is_told_does_not_make_a_claimed_one_forgotten(office: PostOffice) -> None:
    group_id, (alice, bob), carol, _, join_id = waiting(office, "Alice", "Bob")
    office._do_invite_claim(bob, {"join_id": join_id})
    bob.online = False
    office.pump()
    assert alice.engine.completing.elsewhere == {join_id}
    other = office.joins[join_id] | {
        "join_id": "11111111-1111-4111-8111-111111111111",
        "invite_id": "00" * 16,
    }
    alice.run(alice.engine.joins_waiting([other], office.now))
    office.wait(11)
    assert carol.joins() == []
    assert same_state(group_id, alice, carol)


def test_a_claim_that_got_no_answer_is_asked_again(office: PostOffice) -> None:
    group_id, (alice,), carol, _, _ = waiting(office, "Alice")
    office.tell_joins(alice)
    office.down = True
    office.carry_out(alice)
    office.down = False
    office.wait(5)
    assert same_state(group_id, alice, carol)


def test_a_restart_between_claim_and_commit_loses_no_join(office: PostOffice) -> None:
    group_id, (alice,), carol, _, _ = waiting(office, "Alice")
    office.tell_joins(alice)
    office.carry_out(alice)
    assert alice.outbox()[0].function == "invite_complete"
    alice.crash()
    office.pump()
    assert same_state(group_id, alice, carol)


def test_a_completion_that_was_refused_for_good_is_not_tried_in_a_circle(office: PostOffice) -> None:
    group_id, (alice,), carol, _, _ = waiting(office, "Alice")
    office.refusals["invite_complete"] = no(422, "wrong_roster")
    office.pump()
    tries = len(office.calls("invite_complete"))
    office.pump()
    assert len(office.calls("invite_complete")) == tries == 1
    del office.refusals["invite_complete"]
    office.wait(5)
    assert same_state(group_id, alice, carol)


def test_a_removal_survives_the_refusal_of_a_join_in_the_same_commit(office: PostOffice) -> None:
    group_id, (alice, bob), carol, _, join_id = waiting(office, "Alice", "Bob")
    office.tell_joins(alice)
    claim, alice.calls = alice.calls[0], []
    alice.send(group_id, "holds the lane")
    alice.run(alice.engine.answered(claim.function, claim.body, 200, {}, office.now))
    assert alice.outbox()[-1].function == "invite_complete"
    alice.remove(group_id, bob)  # waits for the pending commit
    office.joins[join_id]["status"] = "cancelled"
    office.pump()
    assert bob.group(group_id)["state"] == "removed"
    assert alice.record(group_id).removals == []
    assert alice.group(group_id)["members"] == 1


def test_a_member_who_knows_the_link_cannot_tell_lies_about_it(office: PostOffice) -> None:
    """Control messages with wrong types change nothing; an ended invite stays ended."""
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    invite_id = next(iter(alice.rows["invites"]))
    known = dict(alice.rows["invites"])
    body = {
        "id": invite_id,
        "keys": [bytes(32)] * 3,
        "created": 0,
        "expires": 2**52,
        "uses": 0,
        "max": 2**52,
    }
    fresh = bytes(16)
    bad: list[dict[str, Any]] = [
        {"type": "invite", "invite": body},
        {"type": "invite", "invite": body | {"id": fresh, "keys": [bytes(31)] * 3}},
        {"type": "invite", "invite": body | {"id": fresh, "uses": -1}},
        {"type": "invite", "invite": body | {"id": fresh, "expires": 2**60}},
        {"type": "invite", "invite": body | {"id": fresh, "max": True}},
        {"type": "invite", "invite": body | {"id": fresh, "max": "50"}},
        {"type": "invite", "invite": body | {"id": b"short"}},
        {"type": "invite", "invite": []},
        {"type": "invite_end", "id": b"short"},
        {"type": "invite_end", "id": 7},
        {"type": "handover", "invites": [7, None, {}, "x"], "profiles": {}},
        {"type": "handover", "invites": {}, "profiles": []},
        {"type": "profile", "name": 7},
        {"type": "profile", "name": "a\u202eb"},
        {"type": "profile"},
        {"type": "from the future", "x": 1},
    ]
    alice.online = False
    for control in bad:
        mallory.say(bob, group_id, control)
    office.pump(bob)
    office.deliver(alice)
    assert alice.rows["invites"] == known
    assert alice.names(group_id) == ["Alice", "Bob"]
    assert alice.codes(group_id) == ["created", "joined"]
    assert group_key(group_id) in alice.rows["groups"]
