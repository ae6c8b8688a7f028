"""What is saved is what lives: rows, restarts, sizes."""

import random

import pytest

from coterie_mls import Application, Backend, Merged
from tests.support.mls_people import Disk, device, devices, group_of, same_epoch

Pair = tuple[Backend, Backend, bytes]


def test_after_every_save_the_rows_are_the_device(pair: Pair) -> None:
    alice, bob, group_id = pair
    carol = device("carol")
    disk = Disk(alice)

    def saved() -> Backend:
        disk.save()
        loaded: Backend = disk.load()
        assert loaded.export_state() == alice.export_state()
        loaded.load_group(group_id)
        assert same_epoch(group_id, alice, loaded)
        assert loaded.members(group_id) == alice.members(group_id)
        return loaded

    alice.encrypt(group_id, b"one")
    saved()
    alice.process(group_id, bob.encrypt(group_id, b"two"))
    saved()
    commit = alice.commit(group_id, add=[carol.create_key_package().bytes], authenticated_data=b"x")
    assert saved().has_pending_commit(group_id)
    bob.process(group_id, commit.commit)
    assert alice.merge_pending(group_id).authenticated_data == b"x"
    saved()
    commit = bob.commit(group_id, group_data=b"new")
    alice.process(group_id, commit.commit)
    bob.merge_pending(group_id)
    loaded = saved()
    opened = bob.process(group_id, loaded.encrypt(group_id, b"from a restart"))
    assert isinstance(opened, Application)
    assert opened.data == b"from a restart"


def test_a_pending_commit_survives_a_restart(pair: Pair) -> None:
    alice, bob, group_id = pair
    disk = Disk(alice)
    commit = alice.commit(group_id, authenticated_data=b"kept")
    disk.save()
    restarted = disk.load()
    assert restarted.has_pending_commit(group_id)
    bob.process(group_id, commit.commit)
    merged = restarted.merge_pending(group_id)
    assert merged.authenticated_data == b"kept"
    assert same_epoch(group_id, bob, restarted)


def test_a_restart_keeps_keys_and_key_packages() -> None:
    alice, bob = devices("alice", "bob")
    disk = Disk(bob)
    package = bob.create_key_package().bytes
    disk.save()
    restarted = disk.load()
    assert (restarted.signature_key, restarted.identity_key) == (bob.signature_key, bob.identity_key)
    assert (restarted.user_id, restarted.device_id, restarted.read_only) == ("bob", "1", False)
    assert restarted.certificate == bob.certificate
    group_id = alice.create_group(b"")
    commit = alice.commit(group_id, add=[package])
    assert commit.welcome is not None
    restarted.join(commit.welcome)
    alice.merge_pending(group_id)
    assert same_epoch(group_id, alice, restarted)


def test_a_message_writes_one_small_row(pair: Pair) -> None:
    alice, bob, group_id = pair
    for other in range(5):
        assert group_of(alice, device(f"other{other}"))
    alice.take_changes()
    for _ in range(3):
        message = alice.encrypt(group_id, b"text")
        bob.process(group_id, message)
        for backend in (alice, bob):
            [row] = backend.take_changes().values()
            assert row is not None
            assert len(row) <= 1700


def test_a_hundred_late_messages_do_not_grow_the_row_without_bound(pair: Pair) -> None:
    alice, bob, group_id = pair
    messages = [alice.encrypt(group_id, b"x") for _ in range(500)]
    bob.process(group_id, messages[-1])
    [row] = bob.take_changes().values()
    assert row is not None
    assert len(row) < 64 * 200 + 1700, "64 keys are kept, not 500"


def test_looking_changes_nothing(pair: Pair) -> None:
    alice, _, group_id = pair
    alice.members(group_id)
    alice.own_leaf(group_id)
    info = alice.group_info(group_id)
    alice.inspect_group_info(info)
    alice.export_secret(group_id, "l", b"", 16)
    alice.export_state()
    alice.load_group(group_id)
    assert alice.take_changes() == {}


def test_an_imported_state_reads_and_never_sends(pair: Pair) -> None:
    alice, bob, group_id = pair
    copy = Backend.import_state(alice.export_state())
    assert copy.read_only
    assert not alice.read_only
    assert same_epoch(group_id, alice, bob, copy)
    assert copy.members(group_id) == alice.members(group_id)
    for call in (
        lambda: copy.encrypt(group_id, b"x"),
        lambda: copy.commit(group_id),
        lambda: copy.create_group(b""),
    ):
        with pytest.raises(Exception, match="imported state"):
            call()
    message = bob.encrypt(group_id, b"read by both")
    for backend in (alice, copy):
        opened = backend.process(group_id, message)
        assert isinstance(opened, Application)
        assert opened.data == b"read by both"
    commit = bob.commit(group_id)
    merged = copy.process(group_id, commit.commit)
    bob.merge_pending(group_id)
    assert isinstance(merged, Merged)
    assert same_epoch(group_id, bob, copy)


def test_an_imported_state_stays_imported_when_it_is_saved(pair: Pair) -> None:
    alice, _, group_id = pair
    copy = Backend.import_state(alice.export_state())
    rows = {key: row for key, row in copy.take_changes().items() if row is not None}
    loaded = Backend.load(rows)
    assert loaded.read_only
    assert loaded.export_state() == copy.export_state()
    with pytest.raises(Exception, match="imported state"):
        loaded.encrypt(group_id, b"x")


def test_a_long_random_conversation_with_restarts() -> None:
    """Three devices that restart from their rows at any time stay in one epoch and read each other."""
    dice = random.Random(7)  # noqa: S311 - a schedule that can be played again
    people = devices("alice", "bob", "carol")
    group_id = group_of(*people)
    disks = [Disk(person) for person in people]
    for _ in range(150):
        who = dice.randrange(3)
        others = [index for index in range(3) if index != who]
        disk = disks[who]
        if dice.random() < 0.2:
            commit = disk.backend.commit(group_id)
            for index in others:
                disks[index].backend.process(group_id, commit.commit)
            disk.backend.merge_pending(group_id)
        else:
            message = disk.backend.encrypt(group_id, b"hello")
            for index in others:
                assert disks[index].backend.process(group_id, message).data == b"hello"
        for each in disks:
            each.save()
        if dice.random() < 0.3:
            again = dice.choice(disks)
            again.backend = again.load()
    assert same_epoch(group_id, *(disk.backend for disk in disks))
