"""Replacing the own leaf by an external commit."""

from types import ModuleType
from typing import Any

import pytest

from coterie_mls import Backend, Corrupt, Forged, Merged, NotAllowed, Unacceptable
from tests.support.mls_people import Disk, add, device, devices, group_of, same_epoch

Pair = tuple[Backend, Backend, bytes]


def test_a_device_that_fell_behind_comes_back(pair: Pair) -> None:
    alice, bob, group_id = pair
    carol, dave = devices("carol", "dave")
    add(alice, group_id, carol)
    add(alice, group_id, dave, receivers=(carol,))
    old = bob.own_leaf(group_id)
    before = bob.export_state()
    rejoin = bob.rejoin(alice.group_info(group_id), b"bound to")
    assert bob.export_state() == before, "nothing changes until the commit has come back"
    assert bob.take_changes() == {}
    assert rejoin.epoch == 3
    assert [member.identity for member in rejoin.members] == ["alice#1", "bob#1", "carol#1", "dave#1"]
    for other in (alice, carol, dave):
        merged = other.process(group_id, rejoin.commit)
        assert isinstance(merged, Merged)
        assert merged.external
        assert merged.epoch == 4
        assert merged.removed == [old]
        assert (merged.added, merged.updated, merged.self_removed) == ([], [], False)
        assert merged.authenticated_data == b"bound to"
        assert merged.committer == next(m for m in rejoin.members if m.identity == "bob#1")
    own = bob.merge_rejoin(rejoin.record)
    assert (own.committer, own.removed, own.external) == (merged.committer, merged.removed, True)
    assert own.authenticated_data == b"bound to"
    assert own.committer.encryption_key != old.encryption_key
    assert own.committer.signature_key == old.signature_key
    assert own.committer.identity_key == old.identity_key
    assert same_epoch(group_id, alice, bob, carol, dave)
    assert bob.members(group_id) == alice.members(group_id) == rejoin.members
    assert alice.process(group_id, bob.encrypt(group_id, b"back")).data == b"back"
    assert bob.process(group_id, dave.encrypt(group_id, b"hello")).data == b"hello"


def test_its_group_info_is_of_the_epoch_after(pair: Pair) -> None:
    alice, bob, group_id = pair
    rejoin = bob.rejoin(alice.group_info(group_id))
    alice.process(group_id, rejoin.commit)
    seen = alice.inspect_group_info(rejoin.group_info)
    assert seen[:2] == (group_id, 2)
    assert seen[2].identity == "bob#1"


def test_the_new_rows_replace_the_old_in_one_change(pair: Pair) -> None:
    alice, bob, group_id = pair
    disk = Disk(bob)
    bob.commit(group_id)
    disk.save()
    rejoin = bob.rejoin(alice.group_info(group_id))
    alice.process(group_id, rejoin.commit)
    bob.merge_rejoin(rejoin.record)
    disk.save()
    restarted = disk.load()
    assert restarted.export_state() == bob.export_state()
    assert not restarted.has_pending_commit(group_id)
    assert same_epoch(group_id, alice, restarted)
    rows = len(disk.rows)
    commit = restarted.commit(group_id)
    alice.process(group_id, commit.commit)
    restarted.merge_pending(group_id)
    disk.backend = restarted
    disk.save()
    assert len(disk.rows) == rows, "no row of the old leaf was left behind"


def test_a_rejoin_that_lost_is_dropped_and_done_again(pair: Pair) -> None:
    alice, bob, group_id = pair
    lost = bob.rejoin(alice.group_info(group_id))
    commit = alice.commit(group_id)
    alice.merge_pending(group_id)
    assert bob.process(group_id, commit.commit)
    assert same_epoch(group_id, alice, bob)
    again = bob.rejoin(alice.group_info(group_id))
    assert alice.process(group_id, again.commit)
    bob.merge_rejoin(again.record)
    assert same_epoch(group_id, alice, bob)
    assert lost.record != again.record


def test_a_device_without_any_row_of_the_group(pair: Pair) -> None:
    alice, bob, group_id = pair
    rejoin = bob.rejoin(alice.group_info(group_id))
    bob.delete_group(group_id)
    bob.take_changes()
    assert alice.process(group_id, rejoin.commit)
    merged = bob.merge_rejoin(rejoin.record)
    assert merged.group_data == b"data"
    assert bob.groups() == [group_id]
    assert same_epoch(group_id, alice, bob)


def test_group_data_that_changed_meanwhile_is_told(pair: Pair) -> None:
    alice, bob, group_id = pair
    alice.commit(group_id, group_data=b"new")
    alice.merge_pending(group_id)
    rejoin = bob.rejoin(alice.group_info(group_id))
    alice.process(group_id, rejoin.commit)
    assert bob.merge_rejoin(rejoin.record).group_data == b"new"


def test_only_members_rejoin(pair: Pair) -> None:
    alice, _bob, group_id = pair
    info = alice.group_info(group_id)
    with pytest.raises(Unacceptable, match="no leaf"):
        device("carol").rejoin(info)
    with pytest.raises(Unacceptable, match="no leaf"):
        device("bob").rejoin(info)
    unbound = Backend.create("carol")
    with pytest.raises(NotAllowed):
        unbound.rejoin(info)


def test_a_signature_that_does_not_hold(pair: Pair) -> None:
    alice, bob, group_id = pair
    info = bytearray(alice.group_info(group_id))
    info[-1] ^= 1
    with pytest.raises(Forged):
        bob.inspect_group_info(bytes(info))
    with pytest.raises(Forged):
        bob.rejoin(bytes(info))


def test_records_that_are_none(pair: Pair) -> None:
    alice, bob, group_id = pair
    record = bob.rejoin(alice.group_info(group_id)).record
    others = alice.rejoin(bob.group_info(group_id)).record
    bob.take_changes()
    before = bob.export_state()
    for bad in (b"", b"\x01", record[:-1], record + b"\x00", b"\x02" + record[1:], others):
        with pytest.raises(Corrupt):
            bob.merge_rejoin(bad)
        assert bob.export_state() == before
        assert bob.take_changes() == {}
    assert bob.merge_rejoin(record).epoch == 2


def test_a_copy_that_takes_over_may_send_there_and_nowhere_else() -> None:
    alice, bob = devices("alice", "bob")
    one, two = group_of(alice, bob), group_of(alice, bob)
    copy = Backend.import_state(bob.export_state())
    rejoin = copy.rejoin(alice.group_info(one))
    merged = alice.process(one, rejoin.commit)
    assert isinstance(merged, Merged)
    assert merged.external
    copy.merge_rejoin(rejoin.record)
    assert alice.process(one, copy.encrypt(one, b"taken over")).data == b"taken over"
    with pytest.raises(NotAllowed):
        copy.encrypt(two, b"x")
    told = bob.process(one, rejoin.commit)
    assert isinstance(told, Merged)
    assert told.self_removed
    assert told.external
    assert told.committer.signature_key == bob.signature_key
    rows = {key: row for key, row in copy.take_changes().items() if row is not None}
    assert alice.process(one, Backend.load(rows).encrypt(one, b"after a restart"))


def test_members_whose_key_packages_ran_out_do_not_bar_the_way(hooks: ModuleType) -> None:
    """Whoever was added and never sent a commit has the lifetime of its key package in the tree for ever."""
    alice, bob, carol = devices("alice", "bob", "carol", crate=hooks)
    group_id = alice.create_group(b"data")
    package = bob.create_key_package(lifetime=2).bytes
    commit = alice.commit(group_id, add=[package])
    alice.merge_pending(group_id)
    bob.join(commit.welcome)
    expire(hooks, package)
    commit = alice.commit(group_id, add=[carol.create_key_package().bytes])
    bob.process(group_id, commit.commit)
    alice.merge_pending(group_id)
    carol.join(commit.welcome)
    rejoin = carol.rejoin(alice.group_info(group_id))
    assert alice.process(group_id, rejoin.commit).external


def expire(hooks: ModuleType, package: bytes) -> None:
    """Ask until the package is refused because its time is over (a second or two)."""
    judge: Any = device("judge", crate=hooks)
    for _ in range(10_000_000):
        try:
            judge.check_key_package(package)
        except Unacceptable:
            return
    raise AssertionError
