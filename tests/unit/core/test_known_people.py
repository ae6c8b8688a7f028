"""Who is taken for whom: what somebody with a place in a shared group can do to the others with a known name."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

import coterie_mls
from coterie.core import content, people
from coterie.core.records import Contact
from coterie_wire import CommitData
from tests.support import mallory
from tests.support.device import Device
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice

HOUR = 3_600_000


def handed_over(
    group_id: str, sender: Device, welcome: bytes, number: int, *, from_seq: int
) -> dict[str, Any]:
    """An element of `welcomes_list`, as the service may make it up."""
    return {
        "group_id": group_id,
        "seq": 99 + number,
        "from_seq": from_seq,
        "welcome": welcome.hex(),
        "sender_user": sender.user_id,
        "sender_device": sender.device_id,
        "created_at": "2026-11-21T00:00:00Z",
    }


def look_alike(office: PostOffice, group_id: str, former: Device, bob: Device) -> bytes:
    """A Welcome for Bob into a copy of the group, which a former member went on with alone."""
    backend, mls_id = former.engine.backend, former.record(group_id).mls_id
    assert backend
    others = [leaf.index for leaf in backend.members(mls_id) if leaf.identity != former.identity]
    backend.commit(mls_id, remove=others)
    backend.merge_pending(mls_id)
    _, posted = next(iter(office.enrolled[bob.device_id].packages.values()))
    backend.commit(mls_id, add=[bytes.fromhex(posted)])
    backend.discard_pending(mls_id)
    made = backend.commit(mls_id, add=[bytes.fromhex(posted)])
    assert made.welcome
    return bytes(made.welcome)


@pytest.mark.parametrize("state", ["active", "broken"])
def test_a_former_member_moves_nobody_into_a_copy_of_the_group(office: PostOffice, state: str) -> None:
    """Bob knows Carol from another group; that is no right to add him anew to one of which she is not a member."""
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    bob.publish()
    other = carol.create("Other")
    office.pump()
    carol.add(other, bob.user_id)
    office.pump()
    bob.accept(other)
    office.pump()
    former = mallory.twin(carol)
    alice.remove(group_id, carol)
    office.pump()
    if state == "broken":  # the service can do that whenever it likes: it keeps a commit back
        group = bob.record(group_id)
        bob.rows["groups"][group.key] = group.with_(state="broken", why="broken").encode()
        bob.crash()
    keys, epoch = dict(bob.rows["mls"]), bob.record(group_id).epoch
    welcome = look_alike(office, group_id, former, bob)
    bob.run(bob.engine.invited([handed_over(group_id, carol, welcome, 0, from_seq=100)], office.now))
    told = bob.accept(group_id)["invitation"]
    assert told["state"] == "failed"
    assert "somebody who is not a member of it" in told["why"]
    assert bob.rows["mls"] == keys
    assert (bob.record(group_id).epoch, bob.record(group_id).state) == (epoch, state)
    bob.decline(group_id)
    office.pump()
    alice.send(group_id, "still here")
    office.pump()
    assert bob.texts(group_id) == (["still here"] if state == "active" else [])


def test_a_member_is_one_by_identity_and_keys(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    assert bob.engine.backend
    leaves = bob.engine.backend.members(bob.record(group_id).mls_id)
    (hers,) = [leaf for leaf in leaves if leaf.identity == alice.identity]
    other = coterie_mls.Backend.create(alice.user_id)
    other.bind_device(alice.device_id)
    made_up = bob.engine.backend.check_key_package(other.create_key_package().bytes).leaf
    assert made_up.identity == hers.identity
    assert people.among(leaves, hers)
    assert not people.among(leaves, made_up)


def planted(office: PostOffice, *, speaks: bool) -> tuple[Device, Device, Device]:
    """Alice, Eve, and Victor, whom Alice never met: Eve has added a leaf under his name with keys of her own."""
    group_id, (alice, eve) = friends(office, "Alice", "Eve")
    victor = office.device("Victor")
    victor.online = False
    fake = coterie_mls.Backend.create(victor.user_id)
    fake.bind_device(victor.device_id)
    added = CommitData(added=(victor.device_id,))
    mallory.commit(office, eve, group_id, add=[fake.create_key_package().bytes], data=added)
    office.pump()
    assert victor.identity in members(alice, group_id)
    if speaks:
        joined = fake.join(bytes.fromhex(office.rooms[group_id].welcomes[victor.device_id]["welcome"]))
        authenticator = fake.epoch_authenticator(joined.group_id)
        said = content.encode_text("It's me", salt=bytes(16), epoch=joined.epoch, authenticator=authenticator)
        body = {"group_id": group_id, "epoch": joined.epoch, "message_id": str(uuid4()), "counter": 9}
        office.handle(eve, "send_message", body | {"mls_bytes": fake.encrypt(joined.group_id, said).hex()})
        office.pump()
        assert alice.texts(group_id) == ["It's me"]
    alice.leave(group_id)
    office.pump()
    alice.run(alice.engine.forget_group(group_id, [], office.now))
    office.rooms[group_id].welcomes.clear()
    victor.online = True
    return alice, eve, victor


def members(device: Device, group_id: str) -> list[str]:
    return [one["identity"] for one in device.engine.open_group(group_id, [], newest=True)["members"]]


@pytest.mark.parametrize("speaks", [False, True])
def test_a_leaf_planted_under_a_name_does_not_shut_its_owner_out(office: PostOffice, *, speaks: bool) -> None:
    """The link vouches for Victor; that somebody else showed other keys is said, and ends when he has spoken."""
    alice, _, victor = planted(office, speaks=speaks)
    group_id = alice.create("Second")
    link = alice.invite(group_id)
    office.pump()
    victor.ask(link, "Victor")
    office.pump()
    assert alice.names(group_id) == ["Alice", "Victor"]
    assert alice.codes(group_id).count("key_changed") == 1, "never silently"
    assert same_state(group_id, alice, victor)
    known = Contact.decode(alice.rows["contacts"][victor.identity.encode()])
    assert victor.engine.backend
    assert (known.heard, known.identity_key) == (True, victor.engine.backend.identity_key)


def test_a_leaf_planted_in_the_group_keeps_its_place_until_it_is_removed(office: PostOffice) -> None:
    """A join never takes the leaf of a member who has other keys: removing it is for people to decide."""
    group_id, (alice, eve) = friends(office, "Alice", "Eve")
    link = alice.invite(group_id)
    office.pump()
    victor = office.device("Victor")
    fake = coterie_mls.Backend.create(victor.user_id)
    fake.bind_device(victor.device_id)
    added = CommitData(added=(victor.device_id,))
    mallory.commit(office, eve, group_id, add=[fake.create_key_package().bytes], data=added)
    office.pump()
    victor.decline(group_id)
    office.pump()
    victor.ask(link, "Victor")
    office.pump()
    assert alice.codes(group_id)[-1] == "bad_join"
    alice.remove(group_id, victor)
    office.pump()
    office.wait(1)
    assert victor.identity not in members(alice, group_id)
    link = alice.invite(group_id)
    office.pump()
    victor.ask(link, "Victor")
    office.pump()
    assert "Victor" in alice.names(group_id)
    assert alice.codes(group_id)[-1] == "key_changed"
    assert same_state(group_id, alice, victor)


@pytest.mark.parametrize(("from_seq", "code"), [(1, "bad_invitation"), (1000, "added_anew")])
def test_made_up_welcomes_do_not_fill_the_history(office: PostOffice, from_seq: int, code: str) -> None:
    """One line an hour, however many the service makes up; a group that went on stops again all the same."""
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    seen = len(bob.rows["seen"])
    for number in range(5):
        lie = handed_over(group_id, alice, bytes([number] * 50), number, from_seq=from_seq)
        bob.run(bob.engine.invited([lie], office.now))
    assert bob.codes(group_id).count(code) == 1
    assert len(bob.rows["seen"]) == seen + 1
    alice.send(group_id, "on")
    office.pump()
    assert bob.group(group_id)["can_send"]
    for number, count in ((5, 1), (6, 2)):
        lie = handed_over(group_id, alice, bytes([number] * 50), number, from_seq=from_seq)
        bob.run(bob.engine.invited([lie], office.now))
        assert bob.codes(group_id).count(code) == count
        assert bob.group(group_id)["can_send"] is (code == "bad_invitation")
        office.now += HOUR


@pytest.mark.parametrize("why", ["state_behind", "left_self"])
def test_a_made_up_welcome_does_not_make_a_stopped_group_send(office: PostOffice, why: str) -> None:
    """What stops a group for good is not forgotten when the service tells of something else and then goes on."""
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    group = bob.record(group_id)
    bob.rows["groups"][group.key] = group.with_(why=why).encode()
    bob.crash()
    lie = handed_over(group_id, alice, bytes(50), 0, from_seq=100)
    bob.run(bob.engine.invited([lie], office.now))
    alice.send(group_id, "on")
    office.pump()
    assert bob.record(group_id).why == why
