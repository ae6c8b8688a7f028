"""What SECURITY.md says that somebody can and cannot do, tried with real engines and real MLS.

Only what no other suite shows: SECURITY.md names those.
"""

import pytest

import coterie_mls
from coterie.core.group import outbox
from coterie.core.state import Turn
from tests.support.friends import friends
from tests.support.post_office import PostOffice


@pytest.fixture
def office() -> PostOffice:
    return PostOffice()


def test_a_leave_that_only_the_service_tells_removes_nobody(office: PostOffice) -> None:
    group_id, (ann, bob) = friends(office, "Ann", "Bob")
    office.handle(bob, "group_leave", {"group_id": group_id})
    office.wait(120, ann)
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
