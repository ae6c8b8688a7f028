"""What SECURITY.md says that somebody can and cannot do, tried with real engines and real MLS.

Only what no other suite shows: SECURITY.md names those.
"""

import pytest

import coterie_mls
from coterie.core import completing, joining
from coterie.core.group import outbox
from coterie.core.state import Turn
from coterie.errors import InviteError
from tests.support.device import Device
from tests.support.friends import friends
from tests.support.post_office import PostOffice


@pytest.fixture
def office() -> PostOffice:
    return PostOffice()


def asked(office: PostOffice) -> tuple[str, Device, Device, str]:
    """Ann's group, and Bob, whose request lies at the service: group, Ann, Bob, join."""
    group_id, (ann,) = friends(office, "Ann")
    link = ann.invite(group_id)
    office.pump()
    bob = office.device("Bob")
    join_id = bob.ask(link, "Bob")
    office.post(bob)
    return group_id, ann, bob, join_id


def test_a_service_that_swaps_the_key_package_lets_nobody_in(office: PostOffice) -> None:
    group_id, ann, _, join_id = asked(office)
    mallory = office.device("Mallory")
    assert mallory.engine.backend
    office.joins[join_id]["kp_hex"] = mallory.engine.backend.create_key_package().bytes.hex()
    with pytest.raises(InviteError) as refused:  # the first of several checks that it fails
        ann.engine._look(lambda turn: completing.verify(turn, office.joins[join_id]), ann.now)
    assert refused.value.code == "bad_tag"
    office.pump()
    assert office.joins[join_id]["status"] == "waiting"
    assert ann.names(group_id) == ["Ann"]
    assert ann.codes(group_id) == ["created", "bad_join"]


def test_a_service_without_the_link_has_no_group_to_hand_over(office: PostOffice) -> None:
    _, _, bob, join_id = asked(office)
    mallory = coterie_mls.Backend.create("mallory")
    mallory.bind_device("device")
    group = mallory.create_group(b"")
    added = mallory.commit(group, add=[bytes.fromhex(office.joins[join_id]["kp_hex"])])
    assert added.welcome
    answer = {"join_id": join_id, "status": "welcomed", "from_seq": 1}
    answer |= {"welcome_hex": added.welcome.hex(), "welcome_tag": bytes(32).hex()}
    with pytest.raises(InviteError) as refused:  # before the Welcome is opened
        bob.engine._look(lambda turn: joining.polled(turn, answer), bob.now)
    assert refused.value.code == "bad_welcome"
    bob.run(bob.engine.polled(answer, bob.now))
    assert [join["state"] for join in bob.joins()] == ["failed"]
    assert bob.engine.snapshot("online")["groups"] == []


def test_a_leave_that_only_the_service_tells_removes_nobody(office: PostOffice) -> None:
    group_id, (ann, bob) = friends(office, "Ann", "Bob")
    office.handle(bob, "group_leave", {"group_id": group_id})
    office.wait(120, ann)
    assert ann.names(group_id) == ["Ann", "Bob"]


def test_a_leave_that_the_member_tells_is_carried_out(office: PostOffice) -> None:
    group_id, (ann, bob) = friends(office, "Ann", "Bob")
    bob.leave(group_id)
    office.pump()
    office.wait(5)
    assert ann.names(group_id) == ["Ann"]
    assert ann.codes(group_id)[-1] == "left"


def test_who_was_removed_reads_nothing_and_their_link_is_dead_at_the_members_too(office: PostOffice) -> None:
    group_id, (ann, bob) = friends(office, "Ann", "Bob")
    link = ann.invite(group_id)
    office.pump()
    ann.remove(group_id, bob)
    office.pump()
    ann.send(group_id, "without Bob")
    office.pump()
    assert bob.texts(group_id) == []
    for invite in office.invites.values():
        invite["ended"] = False  # a service that is on Bob's side
    join_id = bob.ask(link, "Bob")
    office.pump()
    assert office.joins[join_id]["status"] == "waiting"
    assert ann.names(group_id) == ["Ann"]


def test_who_left_can_come_back_by_a_link_that_is_alive(office: PostOffice) -> None:
    group_id, (ann, bob) = friends(office, "Ann", "Bob")
    link = ann.invite(group_id)
    office.pump()
    bob.leave(group_id)
    office.pump()
    office.wait(5)
    bob.ask(link, "Bob")
    office.pump()
    assert ann.names(group_id) == ["Ann", "Bob"]


def test_what_others_say_about_a_name_yields_to_its_bearer(office: PostOffice) -> None:
    group_id, (ann, bob, carol) = friends(office, "Ann", "Bob", "Carol")

    def lie(turn: Turn) -> None:
        body = {"type": "handover", "name": "", "invites": [], "profiles": {bob.identity: "Mallory"}}
        outbox.send_control(turn, ann.record(group_id), body)

    bob.op(bob.engine.set_name("Robert", bob.now))
    office.pump()
    ann.run(ann.engine._turn(ann.now, lie)[0])
    office.pump()
    assert carol.names(group_id) == ["Ann", "Carol", "Robert"]


def test_a_newcomer_cannot_open_what_was_before(office: PostOffice) -> None:
    group_id, (ann, bob) = friends(office, "Ann", "Bob")
    ann.send(group_id, "before Carol")
    office.pump()
    before = office.rooms[group_id].envelopes[-1]
    link = ann.invite(group_id)
    office.pump()
    carol = office.device("Carol")
    carol.ask(link, "Carol")
    office.pump()
    assert bob.texts(group_id) == ["before Carol"]
    assert carol.texts(group_id) == []
    assert carol.engine.backend
    assert before.mls_bytes
    with pytest.raises(coterie_mls.Stale):
        carol.engine.backend.process(carol.record(group_id).mls_id, before.mls_bytes)
