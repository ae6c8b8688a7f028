"""All or nothing: a call that raises has changed nothing, and the next good one works."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from coterie_mls import (
    Backend,
    Corrupt,
    Forged,
    Internal,
    Malformed,
    MlsError,
    NotAllowed,
    Stale,
    TooEarly,
    Unacceptable,
    WrongGroup,
)
from tests.support.mls_people import Disk, add, device, devices, group_of, same_epoch

Pair = tuple[Backend, Backend, bytes]


def fails(backend: Any, error: type[MlsError], call: Callable[[], Any]) -> None:
    """It raises exactly this, and neither the state nor what is yet to be saved changes."""
    before = backend.export_state()
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value).__name__ == error.__name__
    assert str(caught.value), "one sentence"
    assert "\n" not in str(caught.value)
    assert backend.export_state() == before
    assert backend.take_changes() == {}


@pytest.fixture
def third(pair: Pair) -> tuple[Backend, Backend, bytes, bytes]:
    """Alice and Bob share two groups."""
    alice, bob, group_id = pair
    return alice, bob, group_id, group_of(alice, bob)


def test_the_same_message_twice(pair: Pair) -> None:
    alice, bob, group_id = pair
    message = alice.encrypt(group_id, b"once")
    assert bob.process(group_id, message)
    bob.take_changes()
    fails(bob, Stale, lambda: bob.process(group_id, message))
    assert bob.process(group_id, alice.encrypt(group_id, b"next"))


def test_the_same_commit_twice(pair: Pair) -> None:
    alice, bob, group_id = pair
    commit = alice.commit(group_id).commit
    bob.process(group_id, commit)
    bob.take_changes()
    fails(bob, Stale, lambda: bob.process(group_id, commit))


def test_a_message_of_an_epoch_that_is_gone(pair: Pair) -> None:
    alice, bob, group_id = pair
    late = alice.encrypt(group_id, b"late")
    bob.process(group_id, alice.commit(group_id).commit)
    alice.merge_pending(group_id)
    bob.take_changes()
    fails(bob, Stale, lambda: bob.process(group_id, late))


def test_a_message_of_an_epoch_to_come(pair: Pair) -> None:
    alice, bob, group_id = pair
    commit = alice.commit(group_id).commit
    alice.merge_pending(group_id)
    early = alice.encrypt(group_id, b"early")
    later_commit = alice.commit(group_id).commit
    fails(bob, TooEarly, lambda: bob.process(group_id, early))
    fails(bob, TooEarly, lambda: bob.process(group_id, later_commit))
    bob.process(group_id, commit)
    assert bob.process(group_id, early)
    assert bob.process(group_id, later_commit)


def test_a_message_for_another_group(third: tuple[Backend, Backend, bytes, bytes]) -> None:
    alice, bob, group_id, other = third
    fails(bob, WrongGroup, lambda: bob.process(group_id, alice.encrypt(other, b"x")))
    fails(bob, WrongGroup, lambda: bob.process(group_id, alice.commit(other).commit))


@pytest.mark.parametrize("kind", ["application", "commit", "external"])
def test_every_changed_byte(pair: Pair, kind: str) -> None:
    alice, bob, group_id = pair
    message = {
        "application": lambda: alice.encrypt(group_id, b"text", b"bound to"),
        "commit": lambda: alice.commit(group_id, authenticated_data=b"bound to").commit,
        "external": lambda: alice.rejoin(bob.group_info(group_id), b"bound to").commit,
    }[kind]()
    bob.take_changes()
    before = bob.export_state()
    expected = (Forged, Malformed, Stale, TooEarly, Unacceptable, WrongGroup)
    for at in range(len(message)):
        bad = bytearray(message)
        bad[at] ^= 0x01
        with pytest.raises(expected):
            bob.process(group_id, bytes(bad))
        assert bob.export_state() == before, at
    assert bob.process(group_id, message).authenticated_data == b"bound to"


def test_tags_that_were_changed(pair: Pair) -> None:
    alice, bob, group_id = pair
    for message in (alice.encrypt(group_id, b"text"), alice.commit(group_id).commit):
        for at in (-1, -8, -16):
            bad = bytearray(message)
            bad[at] ^= 0x80
            fails(bob, Forged, lambda bad=bad: bob.process(group_id, bytes(bad)))
        assert bob.process(group_id, message)
        bob.take_changes()


def test_what_is_cut_off_or_too_long(pair: Pair) -> None:
    alice, bob, group_id = pair
    for message in (alice.encrypt(group_id, b"text"), alice.commit(group_id).commit):
        for bad in (
            b"",
            message[:1],
            message[:-1],
            message[: len(message) // 2],
            message + b"\x00",
            bytes((1 << 20) + 1),
        ):
            fails(bob, Malformed, lambda bad=bad: bob.process(group_id, bad))


def test_what_is_no_message(pair: Pair) -> None:
    alice, bob, group_id = pair
    package = alice.create_key_package().bytes
    for bad in (alice.group_info(group_id), package):
        fails(bob, Malformed, lambda bad=bad: bob.process(group_id, bad))
    for bad in (b"", package, alice.encrypt(group_id, b"x"), bytes((8 << 20) + 1)):
        fails(bob, Malformed, lambda bad=bad: bob.join(bad))
        fails(bob, Malformed, lambda bad=bad: bob.inspect_group_info(bad))
        fails(bob, Malformed, lambda bad=bad: bob.rejoin(bad))


def test_every_changed_byte_of_a_welcome(pair: Pair) -> None:
    alice, _, group_id = pair
    carol = device("carol")
    commit = alice.commit(group_id, add=[carol.create_key_package().bytes])
    carol.take_changes()
    before, welcome = carol.export_state(), commit.welcome
    assert welcome is not None
    for at in range(0, len(welcome), 7):
        bad = bytearray(welcome)
        bad[at] ^= 0x01
        with pytest.raises(MlsError) as caught:
            carol.join(bytes(bad))
        assert not isinstance(caught.value, (Internal, Corrupt)), at
        assert carol.export_state() == before, "the key package is still there"
    assert carol.join(welcome).group_id == group_id


def test_every_changed_byte_of_a_group_info(pair: Pair) -> None:
    alice, bob, group_id = pair
    info = alice.group_info(group_id)
    bob.take_changes()
    for at in range(0, len(info), 5):
        bad = bytearray(info)
        bad[at] ^= 0x01
        with pytest.raises(MlsError) as caught:
            bob.inspect_group_info(bytes(bad))
        assert not isinstance(caught.value, (Internal, Corrupt)), at
    assert bob.take_changes() == {}
    assert bob.inspect_group_info(info) == (group_id, 1, alice.own_leaf(group_id), b"data")


def test_too_much_to_send(pair: Pair) -> None:
    alice, bob, group_id = pair
    most = (1 << 20) - 1000
    assert bob.process(group_id, alice.encrypt(group_id, bytes(most))).data == bytes(most)
    alice.take_changes()
    fails(alice, Malformed, lambda: alice.encrypt(group_id, bytes(1 << 20)))
    fails(alice, Malformed, lambda: alice.encrypt(group_id, bytes((1 << 20) + 1)))
    fails(alice, Malformed, lambda: alice.encrypt(group_id, b"", bytes(1 << 20)))
    fails(alice, Malformed, lambda: alice.commit(group_id, authenticated_data=bytes(1 << 20)))
    fails(alice, Malformed, lambda: alice.commit(group_id, group_data=bytes(5 << 20)))
    fails(alice, Malformed, lambda: alice.create_group(bytes(5 << 20)))
    fails(alice, Malformed, lambda: alice.export_secret(group_id, "l", b"", 1 << 16))
    assert bob.process(group_id, alice.encrypt(group_id, b"goes on"))


def test_a_commit_that_was_not_saved_can_be_processed_again(pair: Pair) -> None:
    alice, bob, group_id = pair
    disk = Disk(bob)
    commit = alice.commit(group_id, authenticated_data=b"x").commit
    bob.process(group_id, commit)
    assert bob.epoch(group_id) == 2
    bob.rollback()
    assert bob.epoch(group_id) == 1
    assert bob.take_changes() == {}
    bob.process(group_id, commit)
    disk.save()
    alice.merge_pending(group_id)
    assert same_epoch(group_id, alice, bob, disk.load())


def test_a_crash_before_the_save_loses_nothing(pair: Pair) -> None:
    alice, bob, group_id = pair
    disk = Disk(bob)
    commit = alice.commit(group_id).commit
    bob.process(group_id, commit)
    restarted = disk.load()
    restarted.process(group_id, commit)
    alice.merge_pending(group_id)
    assert same_epoch(group_id, alice, restarted)


def test_rollback_takes_back_what_was_sent_but_not_saved(pair: Pair) -> None:
    alice, bob, group_id = pair
    alice.encrypt(group_id, b"never left")
    alice.rollback()
    message = alice.encrypt(group_id, b"the first that leaves")
    assert bob.process(group_id, message).data == b"the first that leaves"
    alice.take_changes()
    alice.rollback()
    assert bob.process(group_id, alice.encrypt(group_id, b"the second")).data == b"the second"


def test_rollback_takes_back_groups_and_joins(pair: Pair) -> None:
    alice, _, group_id = pair
    carol = device("carol")
    made = carol.create_group(b"")
    carol.rollback()
    assert carol.groups() == []
    with pytest.raises(NotAllowed):
        carol.members(made)
    package = carol.create_key_package().bytes
    carol.take_changes()
    commit = alice.commit(group_id, add=[package])
    assert commit.welcome is not None
    carol.join(commit.welcome)
    carol.rollback()
    assert carol.groups() == []
    assert carol.join(commit.welcome).group_id == group_id


def test_a_panic_undoes_its_call_and_the_device_goes_on(hooks: ModuleType) -> None:
    alice, bob = devices("alice", "bob", crate=hooks)
    group_id = group_of(alice, bob)
    before = alice.export_state()
    for _ in range(3):
        with pytest.raises(Internal):
            hooks.kat_panic(alice, group_id)
        assert alice.export_state() == before
    assert alice.take_changes() == {}
    assert bob.process(group_id, alice.encrypt(group_id, b"goes on")).data == b"goes on"


def test_rows_that_do_not_read_back(pair: Pair) -> None:
    alice, bob, group_id = pair
    commit = bob.commit(group_id).commit  # needs every row
    rows = dict(Disk(alice).rows)
    assert Backend.load(rows).process(group_id, commit)
    for key, row in rows.items():
        for bad in (row[:-1], row[:1], row[:1] + b"\xff" * 8, row + b"\x00", b"\x07" + row[1:], b""):
            with pytest.raises(Corrupt):
                Backend.load({**rows, key: bad}).process(group_id, commit)


def test_a_row_that_is_missing(pair: Pair) -> None:
    alice, bob, group_id = pair
    commit = bob.commit(group_id).commit
    rows = dict(Disk(alice).rows)
    for key in rows:
        with pytest.raises(Corrupt):
            Backend.load({other: row for other, row in rows.items() if other != key}).process(
                group_id, commit
            )


def test_a_broken_group_leaves_the_others_alone() -> None:
    alice, bob = devices("alice", "bob")
    good, bad = group_of(alice, bob), group_of(alice, bob)
    rows = dict(Disk(alice).rows)
    copy = Backend.load(rows)
    copy.delete_group(bad)
    broken = Backend.load({**rows, **dict.fromkeys(copy.take_changes(), b"\x01\x00")})
    with pytest.raises(Corrupt):
        broken.encrypt(bad, b"x")
    assert bob.process(good, broken.encrypt(good, b"x"))
    add(broken, good, device("carol"), receivers=(bob,))
