"""The joiner's side: from a link to a group, over waiting, lies of the service, cancelling and coming back."""

from collections.abc import Callable
from typing import Any

import pytest

import coterie_mls
from coterie.core import invite as invites
from coterie.core import joining
from coterie.core.device import group_data
from coterie.core.effects import DEVICE_LANE, Call
from coterie.core.invite import Link
from coterie.core.records import group_key
from coterie.errors import InviteError, LocalError, StateError
from tests.support.device import Device
from tests.support.directory import no
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice


def invited(office: PostOffice) -> tuple[str, Device, str]:
    """A group of Alice alone, and a link that works."""
    group_id, (alice,) = friends(office, "Alice")
    link = alice.invite(group_id)
    office.pump()
    return group_id, alice, link


def welcome_for(device: Device, link: str, join_id: str, welcome: bytes) -> dict[str, Any]:
    """An answer of `invite_poll` by someone who knows the link's keys."""
    parsed = Link.parse(link)
    keys = invites.Keys.derive(coterie_mls, parsed.invite_id, parsed.secret)
    package = bytes.fromhex(device.office.joins[join_id]["kp_hex"])
    tag = invites.welcome_tag(keys.welcome, join_id, package, welcome)
    return {
        "join_id": join_id,
        "status": "welcomed",
        "group_id": device.office.joins[join_id]["group_id"],
        "welcome_hex": welcome.hex(),
        "welcome_tag": tag.hex(),
        "from_seq": 2,
    }


# -- the way in --


def test_a_preview_says_where_the_link_leads_and_asks_for_nothing(office: PostOffice) -> None:
    group_id, alice, link = invited(office)
    bob = office.device("Bob")
    assert bob.look(link) == {
        "kind": "preview",
        "group_name": "Friends",
        "inviter_name": "Alice",
        "expires_at": office.now + 3_600_000,
    }
    assert bob.rows["joins"] == {} == bob.rows["outbox"]
    assert alice.look(link) == {"kind": "member", "group_id": group_id}


def test_a_joiner_waits_while_nobody_is_online_and_may_close_the_page(office: PostOffice) -> None:
    group_id, alice, link = invited(office)
    alice.online = False
    bob = office.device("Bob")
    join_id = bob.ask(link, "Bob")
    assert [join["state"] for join in bob.joins()] == ["waiting"]
    office.pump()
    bob.crash()
    office.wait(86_400 * 0.01)
    assert [join["state"] for join in bob.joins()] == ["waiting"]
    assert bob.look(link) == {"kind": "waiting", "join_id": join_id}
    alice.crash()
    alice.online = True
    office.pump()  # Alice touches nothing
    assert bob.joins() == []
    assert same_state(group_id, alice, bob)
    assert bob.events_of("join")[-1]["join"]["state"] == "joined"


def test_a_link_opened_twice_is_one_request(office: PostOffice) -> None:
    group_id, alice, link = invited(office)
    bob = office.device("Bob")
    assert bob.ask(link, "Bob") == bob.op(bob.engine.join(Link.parse(link), "Bob", office.now))["join_id"]
    other = alice.invite(group_id)
    office.pump(alice)
    assert bob.look(other)["kind"] == "waiting"
    assert len(bob.rows["joins"]) == 1
    office.pump()
    assert len(office.calls("invite_join")) == 1
    assert same_state(group_id, alice, bob)
    assert bob.look(link) == bob.look(other) == {"kind": "member", "group_id": group_id}
    with pytest.raises(StateError) as caught:
        bob.engine.join(Link.parse(other), "Bob", office.now)
    assert caught.value.code == "already_member"


def test_a_link_that_waits_is_asked_again_after_a_restart(office: PostOffice) -> None:
    group_id, alice, link = invited(office)
    alice.online = False
    bob = office.device("Bob")
    join_id = bob.ask(link, "Bob")
    bob.crash()
    assert bob.op(bob.engine.join(Link.parse(link), "Bob", office.now))["join_id"] == join_id
    with pytest.raises(StateError) as caught:
        alice.engine.join(Link.parse(link), "Alice", office.now)
    assert caught.value.code == "already_member"


def test_a_join_needs_a_look_and_a_name(office: PostOffice) -> None:
    _, _, link = invited(office)
    bob = office.device("Bob")
    with pytest.raises(StateError) as caught:
        bob.engine.join(Link.parse(link), "Bob", office.now)
    assert caught.value.code == "no_preview"
    bob.look(link)
    rows = {table: dict(held) for table, held in bob.rows.items()}
    for name in ("", "a\u202eb", "x" * 65):
        with pytest.raises(LocalError) as refused:
            bob.engine.join(Link.parse(link), name, office.now)
        assert refused.value.code == "bad_name"
    assert bob.engine.backend
    assert bob.engine.backend.take_changes() == {}
    assert bob.rows == rows


def test_joining_under_another_name_tells_the_other_groups(office: PostOffice) -> None:
    here, (carol, bob) = friends(office, "Carol", "Bob")
    _, _, link = invited(office)
    bob.ask(link, "Robert")
    office.pump()
    assert carol.names(here) == ["Carol", "Robert"]


# -- invites that do not work --


@pytest.mark.parametrize("why", ["expired", "revoked", "used up", "unknown"])
def test_an_invite_that_is_over_is_one_answer(office: PostOffice, why: str) -> None:
    group_id, (alice, carol) = friends(office, "Alice", "Carol")
    link = alice.invite(group_id, lifetime=60, max_uses=1)
    office.pump()
    dan, bob = office.device("Dan"), office.device("Bob")
    bob.look(link)
    if why == "expired":
        office.now += 60_000
    elif why == "revoked":
        alice.run(alice.engine.revoke_invite(Link.parse(link).invite_id.hex(), office.now))
        office.pump()
    elif why == "used up":
        dan.ask(link, "Dan")
        office.pump()
    else:
        office.invites.clear()
    bob.op(bob.engine.join(Link.parse(link), "Bob", office.now))
    office.pump()
    join = bob.joins()[0]
    assert (join["state"], join["why"]) == (
        "failed",
        "This invite link does not work any more. Ask for a new one.",
    )
    assert bob.engine.backend
    bob.run(bob.engine.dismiss_join(join["join_id"], office.now))
    assert bob.joins() == []
    assert bob.rows["outbox"] == {}


def test_a_preview_that_was_changed_is_refused(office: PostOffice) -> None:
    _, _, link = invited(office)
    bob, parsed = office.device("Bob"), Link.parse(link)
    sealed = bytes.fromhex(office.invites[parsed.invite_id.hex()]["preview"])
    for bad in ("", "zz", sealed[:-1].hex(), (sealed[:-1] + bytes([sealed[-1] ^ 1])).hex(), None, 7):
        with pytest.raises(InviteError) as caught:
            bob.engine.previewed(parsed, {"preview": bad})
        assert caught.value.code == "bad_preview"
    assert bob.engine.previews == {}


def test_a_preview_of_another_link_is_refused(office: PostOffice) -> None:
    _, _, link = invited(office)
    _, _, other = invited(office)
    bob = office.device("Bob")
    with pytest.raises(InviteError):
        bob.engine.previewed(Link.parse(link), office.invites[Link.parse(other).invite_id.hex()])


# -- lies of the service --


def test_a_group_of_the_services_own_is_refused_with_words(office: PostOffice) -> None:
    """The service cannot make the tag: it does not know the link's keys."""
    group_id, alice, link = invited(office)
    alice.online = False
    bob, service = office.device("Bob"), office.device("service")
    join_id = bob.ask(link, "Bob")
    office.pump()
    assert service.engine.backend
    assert alice.engine.backend
    mls_id = service.engine.backend.create_group(group_data(group_key(group_id), alice.identity))
    built = service.engine.backend.commit(
        mls_id,
        add=[
            bytes.fromhex(office.joins[join_id]["kp_hex"]),
            alice.engine.backend.create_key_package().bytes,  # the inviter's real key package
        ],
    )
    kept = [table for table in bob.rows if table not in ("joins", "outbox")]
    rows = {table: dict(bob.rows[table]) for table in kept}
    forged = {
        "join_id": join_id,
        "status": "welcomed",
        "welcome_hex": (built.welcome or b"").hex(),
        "welcome_tag": bytes(32).hex(),
        "from_seq": 1,
    }
    bob.run(bob.engine.polled(forged, office.now))
    join = bob.joins()[0]
    assert join["state"] == "failed"
    assert "does not come from this link" in join["why"]
    assert {table: bob.rows[table] for table in kept} == rows
    assert bob.engine.snapshot("online")["groups"] == []


def test_a_welcome_that_the_service_has_no_more_ends_the_join_and_accuses_nobody(office: PostOffice) -> None:
    """It keeps one for a time, and not when a later one took its place or this device was removed."""
    _, alice, link = invited(office)
    alice.online = False
    bob = office.device("Bob")
    join_id = bob.ask(link, "Bob")
    office.pump()
    gone = {"group_id": None, "welcome_hex": None, "welcome_tag": None, "from_seq": None}
    bob.run(bob.engine.polled({"join_id": join_id, "status": "welcomed", **gone}, office.now))
    (join,) = bob.joins()
    assert (join["state"], join["why"]) == ("failed", joining.GONE)


def test_another_group_under_the_links_own_tag_is_refused(office: PostOffice) -> None:
    """Somebody with the link helps the service: UUID and MLS id must still be the preview's."""
    group_id, alice, link = invited(office)
    alice.online = False
    bob, helper = office.device("Bob"), office.device("helper")
    join_id = bob.ask(link, "Bob")
    office.pump()
    assert helper.engine.backend
    mls_id = helper.engine.backend.create_group(group_data(group_key(group_id), alice.identity))
    built = helper.engine.backend.commit(mls_id, add=[bytes.fromhex(office.joins[join_id]["kp_hex"])])
    bob.run(bob.engine.polled(welcome_for(bob, link, join_id, built.welcome or b""), office.now))
    assert bob.joins()[0]["state"] == "failed"
    assert bob.engine.backend
    assert bob.engine.backend.groups() == []
    assert bob.rows["groups"] == {} == bob.rows["messages"]


def let_in_by_a_link_with_another_id(
    office: PostOffice, liar: Device, bob: Device, group_id: str, mls_id: bytes
) -> None:
    """Mallory's link is for `group_id`, and leads into the MLS group `mls_id` of hers under that name."""
    kept = liar.rows["groups"][group_key(group_id)]
    liar.rows["groups"][group_key(group_id)] = liar.record(group_id).with_(mls_id=mls_id).encode()
    liar.crash()
    link = liar.invite(group_id)
    office.post(liar)
    join_id = bob.ask(link, "Bob")
    for _ in range(2):  # one who had the group leaves it first
        office.post(bob)
    backend = liar.engine.backend
    assert backend
    backend.commit(mls_id, group_data=group_data(group_key(group_id), liar.identity))
    backend.merge_pending(mls_id)
    built = backend.commit(mls_id, add=[bytes.fromhex(office.joins[join_id]["kp_hex"])])
    liar.rows["groups"][group_key(group_id)] = kept
    bob.run(bob.engine.polled(welcome_for(bob, link, join_id, built.welcome or b""), office.now))


def refused_at(
    when: str, monkeypatch: pytest.MonkeyPatch, enter: Callable[[], None], bob: Device, words: str
) -> None:
    """`when`: before it is asked for, or with the Welcome, because it was not so before."""
    if when == "start":
        with pytest.raises(InviteError, match=words):
            enter()
        assert bob.joins() == []
        assert "invite_join" not in [row.function for row in bob.outbox()]
        return
    checked, asked = joining._not_another, []

    def later(*given: Any) -> None:
        asked.append(given)
        if len(asked) > 1:
            checked(*given)

    monkeypatch.setattr(joining, "_not_another", later)
    enter()
    (join,) = bob.joins()
    assert (join["state"], words in join["why"]) == ("failed", True)


@pytest.mark.parametrize("when", ["start", "welcome"])
@pytest.mark.parametrize("other", ["left", "set aside"])
def test_a_link_does_not_lead_into_the_keys_of_another_group(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch, other: str, when: str
) -> None:
    """Two groups over the same MLS group: deleting either would take the other's keys."""
    first, (liar, bob) = friends(office, "Mallory", "Bob")
    mls_id = bob.record(first).mls_id
    liar.remove(first, bob)
    office.pump()
    second = liar.create("Second")
    office.pump()
    if other == "set aside":
        bob.run(bob.engine.set_aside(first, office.now, whole=False))
    rows = {table: dict(bob.rows[table]) for table in ("groups", "messages", "contacts")}

    def enter() -> None:
        let_in_by_a_link_with_another_id(office, liar, bob, second, mls_id)

    refused_at(when, monkeypatch, enter, bob, "as another group already, “Friends”")
    assert {table: bob.rows[table] for table in rows} == rows
    assert bob.engine.people()


@pytest.mark.parametrize("when", ["start", "welcome"])
@pytest.mark.parametrize("old", ["left", "set aside"])
def test_a_link_does_not_put_another_group_under_an_old_history(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch, old: str, when: str
) -> None:
    first, (liar, bob) = friends(office, "Mallory", "Bob")
    liar.remove(first, bob)
    office.pump()
    if old == "set aside":
        bob.run(bob.engine.set_aside(first, office.now, whole=False))
    other = liar.record(liar.create("Other")).mls_id
    office.pump()
    rows = {table: dict(bob.rows[table]) for table in ("groups", "messages", "contacts")}

    def enter() -> None:
        let_in_by_a_link_with_another_id(office, liar, bob, first, other)

    refused_at(when, monkeypatch, enter, bob, "than the one that this device had")
    assert {table: bob.rows[table] for table in rows} == rows


BAD_ANSWERS: dict[str, dict[str, Any]] = {
    "no Welcome": {"welcome_hex": None},
    "not hex": {"welcome_hex": "zz"},
    "other Welcome": {"welcome_hex": "00" * 100},
    "no tag": {"welcome_tag": None},
    "short tag": {"welcome_tag": "00"},
    "wrong tag": {"welcome_tag": "00" * 32},
    "no place": {"from_seq": None},
    "place 0": {"from_seq": 0},
    "place below 0": {"from_seq": -5},
    "place as text": {"from_seq": "2"},
    "huge place": {"from_seq": 2**64},
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_welcome_that_is_not_whole_fails_the_join_and_changes_nothing_else(
    office: PostOffice, name: str
) -> None:
    group_id, alice, link = invited(office)
    bob = office.device("Bob")
    join_id = bob.ask(link, "Bob")
    office.post(bob)
    office.pump(alice)
    assert office.joins[join_id]["status"] == "welcomed"
    bob.run(bob.engine.polled(office.poll(join_id) | BAD_ANSWERS[name], office.now))
    assert bob.joins()[0]["state"] == "failed"
    assert bob.rows["groups"] == {} == bob.rows["messages"]


@pytest.mark.parametrize(
    "answer", [{}, {"join_id": 7}, {"join_id": "x", "status": "welcomed"}, {"status": "refused"}]
)
def test_an_answer_about_no_join_changes_nothing(office: PostOffice, answer: dict[str, Any]) -> None:
    bob = office.device("Bob")
    step = bob.engine.polled(answer, office.now)
    assert (step.changes, step.effects) == ({}, ())


def test_a_welcome_of_another_join_is_refused(office: PostOffice) -> None:
    group_id, alice, link = invited(office)
    bob, carol = office.device("Bob"), office.device("Carol")
    ours, theirs = bob.ask(link, "Bob"), carol.ask(link, "Carol")
    office.post(bob)
    office.post(carol)
    office.pump(alice)
    bob.run(bob.engine.polled(office.poll(theirs) | {"join_id": ours}, office.now))
    assert bob.joins()[0]["state"] == "failed"


def test_a_garbage_welcome_under_the_right_tag_is_refused_with_words(office: PostOffice) -> None:
    _, _, link = invited(office)
    bob = office.device("Bob")
    join_id = bob.ask(link, "Bob")
    office.pump(bob)
    bob.run(bob.engine.polled(welcome_for(bob, link, join_id, b"garbage"), office.now))
    assert bob.joins()[0] | {"join_id": ""} == {
        "join_id": "",
        "group_name": "Friends",
        "inviter_name": "Alice",
        "state": "failed",
        "why": "What let you in could not be read. Ask for a new link.",
    }


def test_a_group_without_the_inviter_is_entered_with_a_warning_first(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    link = bob.invite(group_id)
    office.pump()
    bob.leave(group_id)
    office.pump()
    office.wait(10)
    assert alice.group(group_id)["members"] == 1
    carol = office.device("Carol")
    carol.ask(link, "Carol")
    office.pump()
    texts = [line["text"] for line in carol.lines(group_id)]
    assert texts[1] == "Nobody in this group has the key that the link names as Bob. Be careful what you say."
    alice.send(group_id, "hi")
    office.pump()
    assert carol.texts(group_id) == ["hi"]


def test_a_service_that_says_refused_or_expired_ends_the_wait(office: PostOffice) -> None:
    for status in ("refused", "expired", "cancelled"):
        _, alice, link = invited(office)
        alice.online = False
        bob = office.device("Bob")
        join_id = bob.ask(link, "Bob")
        office.pump()
        office.joins[join_id]["status"] = status
        office.pump()
        assert bob.joins()[0]["state"] == status
        assert bob.joins()[0]["why"]


# -- cancelling --


def test_a_join_cancelled_before_it_was_posted_is_never_asked(office: PostOffice) -> None:
    _, _, link = invited(office)
    bob = office.device("Bob")
    join_id = bob.ask(link, "Bob")
    bob.run(bob.engine.cancel_join(join_id, office.now))
    office.pump()
    assert office.joins == {}
    assert bob.joins()[0]["state"] == "cancelled"
    assert bob.rows["outbox"] == {}


def test_a_cancel_is_not_mistaken_for_the_join_that_was_in_flight(office: PostOffice) -> None:
    group_id, alice, link = invited(office)
    alice.online = False
    bob = office.device("Bob")
    join_id = bob.ask(link, "Bob")
    post = bob.engine.next_post(DEVICE_LANE)
    assert post
    reply = office.handle(bob, post[1], post[2])  # in flight
    bob.run(bob.engine.cancel_join(join_id, office.now))
    bob.run(bob.engine.posted(post[0], *reply, office.now))
    office.pump()
    assert office.joins[join_id]["status"] == "cancelled"
    alice.online = True
    office.pump()
    assert alice.group(group_id)["members"] == 1


def test_a_cancel_that_came_too_late_enters_the_group(office: PostOffice) -> None:
    group_id, alice, link = invited(office)
    bob = office.device("Bob")
    join_id = bob.ask(link, "Bob")
    office.post(bob)
    office.pump(alice)
    bob.run(bob.engine.cancel_join(join_id, office.now))
    office.post(bob)
    assert bob.calls == [Call("invite_poll", {"join_id": join_id})]
    office.pump()
    assert same_state(group_id, alice, bob)


def test_a_join_can_be_dismissed_only_when_it_ended(office: PostOffice) -> None:
    _, _, link = invited(office)
    bob = office.device("Bob")
    join_id = bob.ask(link, "Bob")
    for call in (bob.engine.dismiss_join, bob.engine.cancel_join):
        with pytest.raises(StateError) as caught:
            call("00000000-0000-4000-8000-000000000000", office.now)
        assert caught.value.code == "no_join"
        with pytest.raises(StateError):
            call("not an id", office.now)
    with pytest.raises(StateError) as waiting:
        bob.engine.dismiss_join(join_id, office.now)
    assert waiting.value.code == "still_waiting"


def test_asking_again_after_a_refusal_is_a_new_request(office: PostOffice) -> None:
    group_id, alice, link = invited(office)
    office.refusals["invite_join"] = no(409, "join_open")
    bob = office.device("Bob")
    first = bob.ask(link, "Bob")
    office.pump()
    del office.refusals["invite_join"]
    assert bob.ask(link, "Bob") != first
    office.pump()
    assert same_state(group_id, alice, bob)


# -- coming back --


def test_a_removed_member_comes_back_only_by_a_new_link_and_keeps_the_history(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    old = alice.invite(group_id)
    alice.send(group_id, "before")
    office.pump()
    alice.remove(group_id, bob)
    office.pump()
    alice.send(group_id, "while away")
    office.pump()
    with pytest.raises(InviteError):
        bob.look(old)
    assert bob.texts(group_id) == ["before"]
    lines = [line["key"] for line in bob.lines(group_id)]
    new = alice.invite(group_id)
    office.pump()
    bob.ask(new, "Bob")
    office.pump()
    alice.send(group_id, "welcome back")
    office.pump()
    assert bob.texts(group_id) == ["before", "welcome back"]
    assert [line["key"] for line in bob.lines(group_id)][: len(lines)] == lines
    assert bob.codes(group_id)[-2:] == ["removed_self", "joined_self"]
    assert bob.group(group_id)["can_send"]
    assert same_epoch(group_id, alice, bob)


def same_epoch(group_id: str, *people: Device) -> bool:
    return len({person.record(group_id).epoch_authenticator for person in people}) == 1


def test_a_place_that_lies_before_the_history_does_not_overwrite_it(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    for text in ("one", "two"):
        alice.send(group_id, text)
    office.pump()
    alice.remove(group_id, bob)
    office.pump()
    lines = [(line["key"], line["text"]) for line in bob.lines(group_id)]
    place_of_one = next(int(key[:16], 16) for key, text in lines if text == "one")
    link = alice.invite(group_id)
    office.pump()
    join_id = bob.ask(link, "Bob")
    office.post(bob)
    office.pump(alice)
    bob.run(bob.engine.polled(office.poll(join_id) | {"from_seq": place_of_one + 1}, office.now))
    assert [(line["key"], line["text"]) for line in bob.lines(group_id)][: len(lines)] == lines
    office.pump()
    alice.send(group_id, "three")
    office.pump()
    assert bob.texts(group_id)[-1] == "three"


def test_a_device_that_left_comes_back_by_a_link(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    carol.leave(group_id)
    office.pump()
    office.wait(10)
    link = alice.invite(group_id)
    office.pump()
    carol.ask(link, "Carol")
    office.pump()
    carol.send(group_id, "back")
    office.pump()
    assert alice.texts(group_id) == bob.texts(group_id) == carol.texts(group_id) == ["back"]


def test_a_device_that_left_and_comes_back_before_the_removal_stands_there_once(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    link = alice.invite(group_id)
    office.pump()
    carol.leave(group_id)
    office.pump()
    carol.ask(link, "Carol")
    office.pump()
    office.wait(10)
    office.wait(10)
    assert carol.group(group_id)["state"] == "active"
    for person in (alice, bob, carol):
        assert person.names(group_id) == ["Alice", "Bob", "Carol"]
    assert same_epoch(group_id, alice, bob, carol)
