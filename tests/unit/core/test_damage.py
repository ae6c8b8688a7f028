"""Stored rows that do not read back: what they concern is named and set aside, the rest goes on, nothing is deleted."""

import pytest

import coterie_mls
from coterie.core import records
from coterie.core.engine import Engine
from coterie.core.records import group_key
from coterie.errors import StorageError
from coterie.ports import TABLES
from tests.support.device import Device
from tests.support.friends import friends
from tests.support.post_office import PostOffice
from tests.unit.core.test_records import SAMPLES


def two_groups(office: PostOffice) -> tuple[str, str, Device, Device]:
    """Alice is in two groups with Bob, and has said a line in each."""
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    other = alice.create("Others")
    office.pump()
    link = alice.invite(other)
    office.pump()
    bob.ask(link, "Bob")
    office.pump()
    for group in (group_id, other):
        alice.send(group, "before")
        office.pump()
    return group_id, other, alice, bob


def keys_of(device: Device, group_id: str) -> dict[bytes, bytes]:
    """The binding's rows of one group."""
    backend = coterie_mls.Backend.load(device.rows["mls"])
    backend.delete_group(device.record(group_id).mls_id)
    return {key: device.rows["mls"][key] for key, value in backend.take_changes().items() if value is None}


def talks(office: PostOffice, group_id: str, alice: Device, bob: Device) -> None:
    """The group works in both ways."""
    alice.send(group_id, "to Bob")
    office.pump()
    bob.send(group_id, "to Alice")
    office.pump()
    assert alice.texts(group_id)[-2:] == bob.texts(group_id)[-2:] == ["to Bob", "to Alice"]


@pytest.mark.parametrize("table", [table for table in TABLES if table not in ("mls", "messages")])
def test_a_device_starts_on_a_damaged_row_of_any_table(office: PostOffice, table: str) -> None:
    group_id, (alice, _) = friends(office, "Alice", "Bob")
    other, (carol,) = friends(office, "Carol")
    link = carol.invite(other)
    office.pump()
    alice.ask(link, "Alice")
    alice.send(group_id, "waits")
    office.post(alice)
    alice.send(group_id, "waits too")
    for kind in (records.Package, records.Invitation, records.Contact, records.Recent):
        sample = next(one for one in SAMPLES if isinstance(one, kind))
        alice.rows[kind.TABLE][sample.key] = sample.encode()
    key, value = next(iter(alice.rows[table].items()))
    for bad in ({key: value[:-1]}, {key: b"\x80"}, {key + b"x": value}):
        engine = Engine.load(coterie_mls, alice.rows | {table: bad})
        assert bool(engine.damage) == (table not in ("leaves", "recent", "seen", "sent"))
        assert engine.snapshot("")["user_id"] == alice.user_id


def test_a_damaged_group_is_set_aside_and_the_others_go_on(office: PostOffice) -> None:
    group_id, other, alice, bob = two_groups(office)
    row = alice.rows["groups"][group_key(group_id)]
    alice.rows["groups"][group_key(group_id)] = row[:-3]
    alice.crash()
    assert "the group “Friends”" in alice.engine.damage
    view = alice.group(group_id)
    assert (view["state"], view["can_send"], view["can_forget"]) == ("archive", False, True)
    assert view.keys() == alice.group(other).keys()
    assert "damaged" in view["why"]
    assert alice.texts(group_id) == ["before"]
    talks(office, other, alice, bob)
    bob.send(group_id, "not read here")
    office.pump()
    assert alice.texts(group_id) == ["before"]
    assert alice.rows["groups"][group_key(group_id)] == row[:-3], "a damaged row is kept as it is"
    assert group_id not in alice.engine.cursors()


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_damaged_keys_of_one_group_leave_the_other_alone(office: PostOffice, cut: int) -> None:
    group_id, other, alice, bob = two_groups(office)
    damaged = {key: value[:cut] for key, value in keys_of(alice, group_id).items()}
    assert damaged
    alice.rows["mls"] |= damaged
    alice.crash()
    assert "the group “Friends”" in alice.engine.damage
    assert "Others" not in alice.engine.damage
    talks(office, other, alice, bob)
    assert damaged.items() <= alice.rows["mls"].items()


def test_one_comes_in_again_by_a_link_and_the_damage_is_gone(office: PostOffice) -> None:
    group_id, _, alice, bob = two_groups(office)
    alice.rows["mls"] |= {key: value[:5] for key, value in keys_of(alice, group_id).items()}
    alice.crash()
    assert alice.engine.damage
    link = bob.invite(group_id)
    office.pump()
    alice.ask(link, "Alice")
    office.pump()
    talks(office, group_id, alice, bob)
    assert alice.texts(group_id)[0] == "before"
    alice.crash()
    assert alice.engine.damage == ""
    talks(office, group_id, alice, bob)


def test_what_waited_in_a_damaged_group_is_said_when_one_comes_in_again(office: PostOffice) -> None:
    group_id, _, alice, bob = two_groups(office)
    alice.online = False
    alice.send(group_id, "waits")
    alice.rows["mls"] |= {key: value[:5] for key, value in keys_of(alice, group_id).items()}
    alice.crash()
    link = bob.invite(group_id)
    office.pump()
    alice.online = True
    alice.ask(link, "Alice")
    office.pump()
    lines = alice.lines(group_id)
    said = [(line["text"], line["state"], line["code"]) for line in lines if line["kind"] == "text"]
    assert said == [("before", "sent", None), ("waits", "failed", "not_sent")]
    talks(office, group_id, alice, bob)
    assert alice.engine.damage == "", "also before the next start"
    alice.run(alice.engine.set_aside(group_id, office.now, whole=True))
    alice.run(alice.engine.forget_group(group_id, [], office.now))
    assert not alice.engine.met_defect
    link = bob.invite(group_id)
    office.pump()
    alice.ask(link, "Alice")
    office.pump()
    assert "waits" not in [line["text"] for line in alice.lines(group_id)][-3:]


def test_a_group_that_was_set_aside_can_be_forgotten(office: PostOffice) -> None:
    group_id, other, alice, bob = two_groups(office)
    alice.rows["groups"][group_key(group_id)] = b""
    alice.crash()
    keys = [key for key in alice.rows["messages"] if key.startswith(group_key(group_id))]
    alice.run(alice.engine.forget_group(group_id, keys, alice.now))
    alice.crash()
    assert alice.engine.damage == ""
    assert [group["group_id"] for group in alice.engine.snapshot("")["groups"]] == [other]
    left = {
        table for table, rows in alice.rows.items() for key in rows if key.startswith(group_key(group_id))
    }
    assert left == {"chats"}, "that it was forgotten"
    talks(office, other, alice, bob)


def over(office: PostOffice) -> tuple[str, str, Device, Device]:
    """Two groups with Bob; Alice has left the first, and still has its keys."""
    group_id, other, alice, bob = two_groups(office)
    bob.publish()
    alice.leave(group_id)
    office.pump()
    assert alice.record(group_id).over
    return group_id, other, alice, bob


def test_a_group_that_is_over_and_has_no_keys_any_more_stops_nothing(office: PostOffice) -> None:
    group_id, other, alice, bob = over(office)
    mls_id = alice.record(group_id).mls_id
    alice.run(alice.engine._turn(office.now, lambda turn: turn.backend.delete_group(mls_id))[0])
    assert [one["user_id"] for one in alice.engine.people()] == [bob.user_id]
    third = alice.create("Third")
    office.pump()
    alice.add(third, bob.user_id)
    office.pump()
    bob.accept(third)
    office.pump()
    talks(office, third, alice, bob)
    alice.run(alice.engine.forget_group(group_id, [], office.now))
    assert group_key(group_id) not in alice.rows["groups"]
    talks(office, other, alice, bob)


@pytest.mark.parametrize("cut", [0, 5])
def test_a_group_that_is_over_is_set_aside_too_when_its_keys_do_not_read(
    office: PostOffice, cut: int
) -> None:
    group_id, other, alice, bob = over(office)
    alice.rows["mls"] |= {key: value[:cut] for key, value in keys_of(alice, group_id).items()}
    alice.crash()
    assert "the group “Friends”" in alice.engine.damage
    assert [one["user_id"] for one in alice.engine.people()] == [bob.user_id]
    talks(office, other, alice, bob)


@pytest.mark.parametrize("how", ["over", "set aside"])
def test_one_of_two_groups_with_the_same_keys_leaves_them_to_the_other(office: PostOffice, how: str) -> None:
    """As an earlier version could have them: a link led into the MLS group of another row."""
    group_id, other, alice, bob = over(office)
    row = alice.record(group_id).with_(mls_id=alice.record(other).mls_id)
    alice.rows["groups"][row.key] = row.encode()
    alice.crash()
    if how == "set aside":
        alice.run(alice.engine.set_aside(group_id, office.now, whole=False))
    alice.run(alice.engine.forget_group(group_id, [], office.now))
    assert group_key(group_id) not in alice.rows["groups"]
    talks(office, other, alice, bob)
    alice.crash()
    talks(office, other, alice, bob)


def test_a_damaged_row_of_the_outbox_sets_its_group_aside(office: PostOffice) -> None:
    """What it said of a commit or a counter is unknown: to go on could use a key twice."""
    group_id, other, alice, bob = two_groups(office)
    alice.send(group_id, "one")
    alice.send(group_id, "two")
    key = next(iter(sorted(alice.rows["outbox"])))
    alice.rows["outbox"][key] = b"\x80"
    alice.crash()
    assert "the group “Friends”" in alice.engine.damage
    assert alice.engine.next_post(group_key(group_id)) is None
    talks(office, other, alice, bob)


def test_a_damaged_line_says_so_in_its_place(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    for text in ("one", "two", "three"):
        alice.send(group_id, text)
        office.pump()
    lines = sorted(key for key in bob.rows["messages"])
    bob.rows["messages"][lines[-2]] = b"\xff"
    assert bob.texts(group_id) == ["one", "three"]
    shown = bob.lines(group_id)
    assert [line["code"] for line in shown][-2] == "damaged_line"
    assert shown[-2]["key"] == lines[-2][16:].hex()
    assert shown[-2]["at"] == shown[-3]["at"]


def test_a_session_that_does_not_read_is_one_that_ended(office: PostOffice) -> None:
    _, _, alice, _ = two_groups(office)
    alice.rows["device"][b"session"] = b"\x80"
    alice.crash()
    assert alice.engine.session is None
    assert alice.engine.snapshot("")["session"]["state"] == "ended"
    assert alice.engine.device.ended == "session_ended"


def test_keys_of_the_device_itself_are_never_made_anew(office: PostOffice) -> None:
    _, _, alice, _ = two_groups(office)
    rows = {table: dict(held) for table, held in alice.rows.items()}
    broken = {key: value[:3] for key, value in rows["mls"].items()}
    with pytest.raises(StorageError) as caught:
        Engine.load(coterie_mls, rows | {"mls": broken})
    assert caught.value.code == "keys_damaged"
    assert "Nothing was deleted" in caught.value.sentence
