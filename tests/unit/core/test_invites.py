"""Invites inside the group: told to members, handed over to newcomers, ended for good."""

from uuid import uuid4

import pytest

from coterie.core.group import controls
from coterie.core.invite import Link
from coterie.core.records import Invite
from coterie.errors import InviteError, LocalError, StateError
from tests.support import mallory
from tests.support.device import ORIGIN, Device
from tests.support.directory import no
from tests.support.friends import friends, same_state, until_posting
from tests.support.post_office import PostOffice


def alive(device: Device, link: str) -> bool | None:
    """Whether a device would complete joins of a link; None when it does not know it."""
    row = device.rows["invites"].get(Link.parse(link).invite_id)
    return Invite.decode(row).alive(device.now) if row else None


def listed(device: Device, group_id: str) -> list[dict[str, object]]:
    return device.engine.list_invites(group_id, ORIGIN, device.now)


def test_an_invite_is_told_to_the_members_without_its_secret(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    link = alice.invite(group_id)
    secret = Link.parse(link).secret
    said = [row for row in alice.outbox() if row.kind == "message"]
    assert len(said) == 1
    assert secret not in said[0].content
    office.pump()
    assert alive(bob, link)
    carol = office.device("Carol")
    carol.ask(link, "Carol")
    office.post(carol)
    until_posting(office, alice, "message")
    assert all(secret not in row.content for row in alice.outbox())  # nor in the handover
    assert secret not in b"".join(b"".join(rows.values()) for rows in bob.rows.values())
    assert link in [invite["link"] for invite in listed(alice, group_id)]
    assert [invite["link"] for invite in listed(bob, group_id)] == [None, None]


def test_a_newcomer_is_handed_the_live_invites_and_nothing_of_dead_ones(office: PostOffice) -> None:
    group_id, (alice,) = friends(office, "Alice")
    links = [alice.invite(group_id) for _ in range(3)]
    alice.run(alice.engine.revoke_invite(Link.parse(links[0]).invite_id.hex(), office.now))
    office.pump()
    bob = office.device("Bob")
    bob.ask(links[1], "Bob")
    office.pump()
    assert [alive(bob, link) for link in links] == [None, True, True]
    assert bob.record(group_id).handover_by == 0


def test_a_newcomer_completes_the_next_join(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    link = alice.invite(group_id)
    office.pump()
    carol, dan = office.device("Carol"), office.device("Dan")
    carol.ask(link, "Carol")
    office.pump()
    alice.online = bob.online = False
    dan.ask(link, "Dan")
    office.pump()
    assert same_state(group_id, carol, dan)
    assert dan.names(group_id) == ["Alice", "Bob", "Carol", "Dan"]


def test_a_newcomer_that_got_none_asks_after_a_minute_and_is_answered(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    link = alice.invite(group_id)
    office.pump()
    carol = office.device("Carol")
    carol.ask(link, "Carol")
    office.post(carol)
    until_posting(office, alice, "message")
    alice.rows["outbox"].clear()  # whoever let her in is gone before the handover
    alice.crash()
    alice.online = False
    office.pump()
    assert alive(carol, link) is None
    assert carol.record(group_id).handover_by
    office.wait(59)
    assert alive(carol, link) is None
    office.wait(2)  # Carol asks; Alice, whose turn it would be, is away
    assert alive(carol, link) is None
    office.wait(3)
    assert alive(carol, link)
    assert (carol.record(group_id).handover_by, bob.record(group_id).answer_at) == (0, 0)
    alice.online = True
    told = len(office.calls("send_message"))
    office.wait(120)
    assert len(office.calls("send_message")) == told, "answered twice"


def test_revoking_ends_an_invite_everywhere(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    link = alice.invite(group_id)
    office.pump()
    bob.run(bob.engine.revoke_invite(Link.parse(link).invite_id.hex(), office.now))
    office.pump()
    assert (alive(alice, link), alive(bob, link)) == (False, False)
    assert sorted(bool(invite["ended"]) for invite in listed(alice, group_id)) == [False, True]
    carol = office.device("Carol")
    with pytest.raises(InviteError):
        carol.look(link)
    for unknown in ("", "zz", "00" * 16):
        with pytest.raises(StateError) as caught:
            alice.engine.revoke_invite(unknown, office.now)
        assert caught.value.code == "no_invite"


def test_removing_somebody_ends_every_invite_at_every_member(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    links = [alice.invite(group_id), bob.invite(group_id)]
    office.pump()
    alice.remove(group_id, carol)
    office.pump()
    for person in (alice, bob, carol):
        assert [alive(person, link) for link in links] == [False, False]
    assert all(invite["ended"] for invite in office.invites.values())


def test_a_handover_from_before_a_removal_revives_nothing(office: PostOffice) -> None:
    """The message is encrypted anew in the epoch after the removal; its invites are over all the same."""
    group_id, (alice, bob, mallory_) = friends(office, "Alice", "Bob", "Mallory")
    link = alice.invite(group_id)
    office.pump()
    carol = office.device("Carol")
    carol.ask(link, "Carol")
    office.post(carol)
    alice.online = False
    until_posting(office, bob, "message")  # Bob lets Carol in; his handover is encrypted and not posted
    bob.online = False
    office.pump()
    alice.online = True
    office.deliver(alice)
    alice.remove(group_id, mallory_)
    office.pump()
    bob.online = True
    office.pump()
    assert same_state(group_id, alice, bob, carol)
    for person in (alice, bob, carol):
        assert not alive(person, link)
    assert carol.record(group_id).handover_by == 0


def test_an_end_that_comes_before_the_handover_is_remembered(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    link, other = alice.invite(group_id), alice.invite(group_id)
    office.pump()
    carol = office.device("Carol")
    carol.ask(other, "Carol")
    office.post(carol)
    alice.online = False
    until_posting(office, bob, "message")
    bob.online = False
    alice.online = True
    office.pump()
    alice.run(alice.engine.revoke_invite(Link.parse(link).invite_id.hex(), office.now))
    office.pump()  # the end is delivered before Bob's handover, which still names the invite
    bob.online = True
    office.pump()
    assert alive(carol, other)
    assert alive(carol, link) is False
    assert len(listed(carol, group_id)) == 2


def test_ends_of_unknown_invites_do_not_pile_up(office: PostOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coterie.core.group.controls.MAX_ENDED", 2)
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    known = len(alice.rows["invites"])
    for number in range(5):
        mallory.say(bob, group_id, {"type": "invite_end", "id": bytes([number]) * 16})
    office.pump()
    assert len(alice.rows["invites"]) == known + 2
    assert len(listed(alice, group_id)) == known


@pytest.mark.parametrize("how", ["ended", "other keys", "its keys"])
def test_a_member_of_another_group_does_not_bend_a_link(office: PostOffice, how: str) -> None:
    """Mallory, who has the link too, names its id in a group that she shares with Bob."""
    shared, (liar, bob) = friends(office, "Mallory", "Bob")
    group_id, (alice,) = friends(office, "Alice")
    link = alice.invite(group_id)
    body: dict[str, object] = {"type": "invite_end", "id": Link.parse(link).invite_id}
    if how != "ended":
        told = controls.invite_body(Invite.decode(alice.rows["invites"][Link.parse(link).invite_id]))
        lie = {"keys": [bytes([number]) * 32 for number in range(3)]} if how == "other keys" else {}
        body = {"type": "invite", "invite": told | lie}
    mallory.say(liar, shared, body)
    office.pump()
    assert Invite.decode(bob.rows["invites"][Link.parse(link).invite_id]).group_id == shared
    said = {"kind": "member", "group_id": shared} if how == "its keys" else None
    assert bob.engine.told_link(Link.parse(link)) == said, "when the service does not say where it leads"
    assert bob.look(link)["kind"] == "preview"
    bob.ask(link, "Bob")
    office.pump()
    assert same_state(group_id, alice, bob)
    assert bob.look(link) == {"kind": "member", "group_id": group_id}


def test_an_invite_that_the_service_refused_is_over(office: PostOffice) -> None:
    group_id, (alice, _) = friends(office, "Alice", "Bob")
    office.refusals["invite_create"] = no(409, "invite_exists")
    link = alice.invite(group_id)
    office.pump()
    assert alice.problems() == ["invite_exists"]
    assert alive(alice, link) is False


@pytest.mark.parametrize(
    ("lifetime", "max_uses"), [(0, 1), (-1, 1), (366 * 86_400 + 1, 1), (60, 0), (60, 100_001), (10**30, 1)]
)
def test_an_invite_out_of_its_bounds_is_refused(office: PostOffice, lifetime: int, max_uses: int) -> None:
    group_id, (alice,) = friends(office, "Alice")
    with pytest.raises(LocalError) as caught:
        alice.invite(group_id, lifetime=lifetime, max_uses=max_uses)
    assert caught.value.code == "bad_invite"
    assert alice.rows["invites"] == {}


def known(device: Device) -> int:
    return len(device.rows["invites"])


def told(device: Device, expires: int) -> list[dict[str, object]]:
    """A hundred invites that a member makes up."""
    keys = [b"p" * 32, b"t" * 32, b"w" * 32]
    fields = {"keys": keys, "created": device.now, "expires": expires, "uses": 0, "max": 1}
    return [{"id": uuid4().bytes, **fields} for _ in range(controls.MAX_INVITES)]


def test_invites_that_are_over_are_not_learned(office: PostOffice) -> None:
    group_id, (_, bob, mallory_) = friends(office, "Alice", "Bob", "Mallory")
    before = known(bob)
    for _ in range(50):
        body = {"type": "handover", "invites": told(mallory_, mallory_.now), "profiles": {}}
        mallory.say(mallory_, group_id, body)
        office.pump()
    assert known(bob) == before


def test_invites_that_live_for_a_moment_do_not_pile_up(office: PostOffice) -> None:
    group_id, (alice, bob, mallory_) = friends(office, "Alice", "Bob", "Mallory")
    for _ in range(5):
        made_up = told(mallory_, mallory_.now + 1_000)
        mallory.say(mallory_, group_id, {"type": "handover", "invites": made_up, "profiles": {}})
        office.pump()
        office.wait(2)
    assert known(bob) <= controls.MAX_KEPT
    link = alice.invite(group_id)
    office.pump()
    assert alive(bob, link)


def test_a_handover_is_no_longer_than_a_message_may_be(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controls, "MAX_HANDOVER", 400)
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    for person in (alice, bob):
        person.op(person.engine.set_name("x" * 60, person.now))
    office.pump()
    link = alice.invite(group_id)
    office.pump()
    carol = office.device("Carol")
    carol.ask(link, "Carol")
    office.pump()
    assert alive(carol, link)
    assert carol.record(group_id).told
    assert "?" in carol.names(group_id)
