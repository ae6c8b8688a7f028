"""A group's life: create, add, remove, update, talk, forget."""

import pytest

from coterie_mls import Application, Backend, Merged, NotAllowed, Own, Unacceptable, Unsupported
from tests.support.mls_people import add, device, devices, group_of, same_epoch

Pair = tuple[Backend, Backend, bytes]


def identities(backend: Backend, group_id: bytes) -> list[str]:
    return [member.identity for member in backend.members(group_id)]


def test_a_new_group() -> None:
    alice = device("alice")
    group_id = alice.create_group(b"what it is about")
    assert len(group_id) == 16
    assert (alice.epoch(group_id), alice.suite(group_id)) == (0, 1)
    assert alice.group_data(group_id) == b"what it is about"
    assert alice.groups() == [group_id]
    assert identities(alice, group_id) == ["alice#1"]
    assert alice.own_leaf(group_id).signature_key == alice.signature_key
    assert len(alice.tree_hash(group_id)) == 32
    assert alice.create_group(b"") != group_id


@pytest.mark.parametrize("suite", [0, 2, 4, 7, 0x4F])
def test_a_group_of_a_suite_that_we_do_not_have(suite: int) -> None:
    with pytest.raises(Unsupported):
        device("alice").create_group(b"", suite=suite)


def test_both_sides_agree(pair: Pair) -> None:
    alice, bob, group_id = pair
    assert same_epoch(group_id, alice, bob)
    assert alice.tree_hash(group_id) == bob.tree_hash(group_id)
    assert alice.members(group_id) == bob.members(group_id)
    assert alice.group_data(group_id) == bob.group_data(group_id) == b"data"
    secrets = [b.export_secret(group_id, "label", b"context", 48) for b in (alice, bob)]
    assert secrets[0] == secrets[1]
    assert len(secrets[0]) == 48
    assert alice.export_secret(group_id, "label", b"other", 48) != secrets[0]
    assert alice.export_secret(group_id, "other", b"context", 48) != secrets[0]


def test_an_application_message(pair: Pair) -> None:
    alice, bob, group_id = pair
    opened = bob.process(group_id, alice.encrypt(group_id, b"text", b"bound to"))
    assert isinstance(opened, Application)
    assert (opened.data, opened.authenticated_data, opened.epoch) == (b"text", b"bound to", 1)
    assert opened.sender == alice.own_leaf(group_id)
    empty = alice.process(group_id, bob.encrypt(group_id, b""))
    assert isinstance(empty, Application)
    assert (empty.data, empty.authenticated_data) == (b"", b"")


def test_short_messages_look_alike(pair: Pair) -> None:
    alice, _, group_id = pair
    sizes = {len(alice.encrypt(group_id, b"x" * length)) for length in (0, 1, 10, 40)}
    assert len(sizes) == 1


def test_our_own_messages_are_told_and_not_opened(pair: Pair) -> None:
    alice, _, group_id = pair
    message = alice.encrypt(group_id, b"text")
    commit = alice.commit(group_id)
    alice.take_changes()
    assert alice.process(group_id, message) == alice.process(group_id, message)
    echo = alice.process(group_id, message)
    assert isinstance(echo, Own)
    assert (echo.content_type, echo.epoch) == (1, 1)
    echo = alice.process(group_id, commit.commit)
    assert isinstance(echo, Own)
    assert (echo.content_type, echo.epoch) == (3, 1)
    assert alice.take_changes() == {}
    assert alice.has_pending_commit(group_id), "an echo alone merges nothing"


def test_what_a_commit_did_is_told_to_all(pair: Pair) -> None:
    alice, bob, group_id = pair
    carol = device("carol")
    before = {b.own_leaf(group_id).identity: b.own_leaf(group_id) for b in (alice, bob)}
    commit = alice.commit(group_id, add=[carol.create_key_package().bytes], authenticated_data=b"roster")
    assert commit.epoch == 1
    received = bob.process(group_id, commit.commit)
    own = alice.merge_pending(group_id)
    joined = carol.join(commit.welcome or b"")
    for merged in (received, own):
        assert isinstance(merged, Merged)
        assert merged.committer == before["alice#1"]
        assert merged.epoch == 2
        assert merged.added == [carol.own_leaf(group_id)]
        assert merged.updated == [alice.own_leaf(group_id)]
        assert (merged.removed, merged.external, merged.self_removed) == ([], False, False)
        assert merged.group_data is None
        assert merged.authenticated_data == b"roster"
    assert (joined.group_id, joined.epoch, joined.group_data) == (group_id, 2, b"data")
    assert joined.inviter == alice.own_leaf(group_id)
    assert same_epoch(group_id, alice, bob, carol)
    assert alice.own_leaf(group_id).encryption_key != before["alice#1"].encryption_key


def test_several_changes_in_one_commit() -> None:
    alice, bob, carol, dave = devices("alice", "bob", "carol", "dave")
    group_id = group_of(alice, bob, carol)
    gone = bob.own_leaf(group_id)
    commit = alice.commit(
        group_id,
        add=[dave.create_key_package().bytes],
        remove=[gone.index],
        group_data=b"new",
        authenticated_data=b"x",
    )
    merged = carol.process(group_id, commit.commit)
    removed = bob.process(group_id, commit.commit)
    alice.merge_pending(group_id)
    assert commit.welcome is not None
    dave.join(commit.welcome)
    assert isinstance(merged, Merged)
    assert merged.removed == [gone]
    assert [member.identity for member in merged.added] == ["dave#1"]
    assert merged.added[0].index == gone.index, "the leaf is used again"
    assert merged.group_data == b"new"
    assert isinstance(removed, Merged)
    assert removed.self_removed
    assert alice.group_data(group_id) == carol.group_data(group_id) == dave.group_data(group_id) == b"new"
    assert same_epoch(group_id, alice, carol, dave)


def test_a_commit_without_changes_renews_the_leaf(pair: Pair) -> None:
    alice, bob, group_id = pair
    old = alice.own_leaf(group_id)
    commit = alice.commit(group_id)
    assert commit.welcome is None
    merged = bob.process(group_id, commit.commit)
    alice.merge_pending(group_id)
    assert isinstance(merged, Merged)
    assert (merged.added, merged.removed) == ([], [])
    assert merged.updated == [alice.own_leaf(group_id)]
    assert alice.own_leaf(group_id).encryption_key != old.encryption_key
    assert alice.own_leaf(group_id).identity_key == old.identity_key


def test_who_was_removed_reads_and_sends_no_more(pair: Pair) -> None:
    alice, bob, group_id = pair
    commit = alice.commit(group_id, remove=[bob.own_leaf(group_id).index])
    merged = bob.process(group_id, commit.commit)
    alice.merge_pending(group_id)
    assert isinstance(merged, Merged)
    assert merged.self_removed
    later = alice.encrypt(group_id, b"without bob")
    for call in (
        lambda: bob.process(group_id, later),
        lambda: bob.encrypt(group_id, b"x"),
        lambda: bob.commit(group_id),
        lambda: bob.group_info(group_id),
        lambda: bob.export_secret(group_id, "l", b"", 16),
        lambda: bob.own_leaf(group_id),
    ):
        with pytest.raises(NotAllowed):
            call()
    bob.delete_group(group_id)
    assert bob.groups() == []


def test_who_was_removed_can_be_added_anew(pair: Pair) -> None:
    alice, bob, group_id = pair
    commit = alice.commit(group_id, remove=[bob.own_leaf(group_id).index])
    bob.process(group_id, commit.commit)
    alice.merge_pending(group_id)
    add(alice, group_id, bob)
    assert same_epoch(group_id, alice, bob)
    assert alice.process(group_id, bob.encrypt(group_id, b"back")).data == b"back"


def test_one_commit_at_a_time(pair: Pair) -> None:
    alice, _, group_id = pair
    with pytest.raises(NotAllowed):
        alice.merge_pending(group_id)
    with pytest.raises(NotAllowed):
        alice.discard_pending(group_id)
    alice.commit(group_id)
    with pytest.raises(NotAllowed, match="pending"):
        alice.commit(group_id)
    assert alice.encrypt(group_id, b"goes on in the old epoch")
    alice.discard_pending(group_id)
    assert not alice.has_pending_commit(group_id)
    alice.commit(group_id)
    assert alice.merge_pending(group_id).epoch == 2


def test_the_loser_of_a_race_drops_its_commit(pair: Pair) -> None:
    alice, bob, group_id = pair
    alice.commit(group_id, authenticated_data=b"loses")
    winner = bob.commit(group_id)
    alice.process(group_id, winner.commit)
    bob.merge_pending(group_id)
    assert not alice.has_pending_commit(group_id)
    with pytest.raises(NotAllowed):
        alice.merge_pending(group_id)
    assert same_epoch(group_id, alice, bob)
    again = alice.commit(group_id)
    merged = bob.process(group_id, again.commit)
    assert isinstance(merged, Merged)
    assert merged.authenticated_data == b""
    assert alice.merge_pending(group_id).authenticated_data == b""


def test_commits_that_make_no_sense(pair: Pair) -> None:
    alice, bob, group_id = pair
    own = alice.own_leaf(group_id).index
    bobs = bob.own_leaf(group_id).index
    before = alice.export_state()
    for remove in ([own], [7], [2**32 - 1]):
        with pytest.raises(NotAllowed):
            alice.commit(group_id, remove=remove)
    again = bob.create_key_package().bytes
    with pytest.raises(Unacceptable, match="twice"):
        alice.commit(group_id, add=[again])
    carol = device("carol")
    with pytest.raises(Unacceptable, match="twice"):
        alice.commit(group_id, add=[carol.create_key_package().bytes, carol.create_key_package().bytes])
    assert alice.export_state() == before
    assert alice.commit(group_id, add=[again], remove=[bobs, bobs]).welcome is not None, "twice is once"


def test_a_group_that_is_not_there() -> None:
    alice = device("alice")
    for call in (
        lambda: alice.load_group(b"none"),
        lambda: alice.members(b"none"),
        lambda: alice.encrypt(b"none", b""),
        lambda: alice.commit(b"none"),
        lambda: alice.process(b"none", alice.encrypt(alice.create_group(b""), b"")),
        lambda: alice.group_info(b""),
    ):
        with pytest.raises(NotAllowed):
            call()
    alice.delete_group(b"none")


def test_deleting_a_group_leaves_no_row_of_it(pair: Pair) -> None:
    alice, bob, group_id = pair
    other = alice.create_group(b"other")
    alice.take_changes()
    alice.commit(group_id)
    alice.delete_group(group_id)
    changes = alice.take_changes()
    assert len(changes) >= 10
    assert set(changes.values()) == {None}
    assert alice.groups() == [other]
    with pytest.raises(NotAllowed):
        alice.members(group_id)
    assert bob.members(group_id)


def test_joining_needs_the_right_welcome(pair: Pair) -> None:
    alice, _bob, group_id = pair
    carol, dave = devices("carol", "dave")
    commit = alice.commit(group_id, add=[carol.create_key_package().bytes])
    assert commit.welcome is not None
    with pytest.raises(NotAllowed):
        dave.join(commit.welcome)
    carol.join(commit.welcome)
    with pytest.raises(NotAllowed):
        carol.join(commit.welcome)
    again = alice.process(group_id, commit.commit)
    assert isinstance(again, Own)


def test_a_welcome_to_where_one_is_already(pair: Pair) -> None:
    alice, bob, group_id = pair
    package = bob.create_key_package()
    commit = alice.commit(group_id, add=[package.bytes], remove=[bob.own_leaf(group_id).index])
    assert commit.welcome is not None
    before = bob.export_state()
    with pytest.raises(NotAllowed, match="member"):
        bob.join(commit.welcome)
    assert bob.export_state() == before, "the key package is still there"
    bob.process(group_id, commit.commit)
    bob.join(commit.welcome)
    alice.merge_pending(group_id)
    assert same_epoch(group_id, alice, bob)
