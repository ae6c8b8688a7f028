"""The credential rules on every path by which a leaf can enter a group.

Mallory is a member of the test build that follows no rule and lies about itself; Alice and Bob follow all.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from coterie_mls import NotAllowed, Unacceptable
from tests.support.mls_people import add, device, devices, group_of, same_epoch

Liars = tuple[Any, Any, Any, bytes]
Lie = Callable[[ModuleType, Any], None]


def no_certificate(hooks: ModuleType, liar: Any) -> None:
    hooks.kat_forge(liar, certificate=b"")


def forged_certificate(hooks: ModuleType, liar: Any) -> None:
    good: bytes = liar.certificate
    hooks.kat_forge(liar, certificate=good[:-1] + bytes([good[-1] ^ 1]))


def certificate_of_another(hooks: ModuleType, liar: Any) -> None:
    hooks.kat_forge(liar, certificate=device("eve", crate=hooks).certificate)


def another_identity(hooks: ModuleType, liar: Any) -> None:
    """A certificate that holds, for a name that is not its own."""
    hooks.kat_forge(liar, identity=b"zed#1", certificate=hooks.kat_certificate(liar, "zed", "1"))


LIES = [no_certificate, forged_certificate, certificate_of_another]


def refused(victim: Any, group_id: bytes, message: bytes) -> None:
    """It is unacceptable, changes nothing, and the group goes on."""
    before = victim.export_state()
    with pytest.raises(Unacceptable):
        victim.process(group_id, message)
    assert victim.export_state() == before
    assert victim.encrypt(group_id, b"goes on")


@pytest.mark.parametrize("lie", LIES)
def test_a_welcome_tree(hooks: ModuleType, lie: Lie) -> None:
    mallory, accomplice, bob = devices("mallory", "accomplice", "bob", crate=hooks)
    for liar in (mallory, accomplice):
        hooks.kat_relax(liar)
    lie(hooks, accomplice)
    group_id = group_of(mallory, accomplice)
    commit = mallory.commit(group_id, add=[bob.create_key_package().bytes])
    before = bob.export_state()
    with pytest.raises(Unacceptable):
        bob.join(commit.welcome)
    assert bob.export_state() == before, "the key package is not used up"
    assert bob.groups() == []


@pytest.mark.parametrize("lie", LIES)
def test_a_key_package_to_be_added(hooks: ModuleType, lie: Lie) -> None:
    alice, carol = devices("alice", "carol", crate=hooks)
    hooks.kat_relax(carol)
    lie(hooks, carol)
    group_id = group_of(alice)
    before = alice.export_state()
    with pytest.raises(Unacceptable):
        alice.commit(group_id, add=[carol.create_key_package().bytes])
    assert alice.export_state() == before


@pytest.mark.parametrize("lie", LIES)
def test_an_add(hooks: ModuleType, liars: Liars, lie: Lie) -> None:
    alice, _, mallory, group_id = liars
    carol = device("carol", crate=hooks)
    hooks.kat_relax(carol)
    lie(hooks, carol)
    refused(alice, group_id, mallory.commit(group_id, add=[carol.create_key_package().bytes]).commit)


@pytest.mark.parametrize("lie", [*LIES, another_identity])
def test_the_leaf_of_a_commit_path(hooks: ModuleType, liars: Liars, lie: Lie) -> None:
    alice, bob, mallory, group_id = liars
    lie(hooks, mallory)
    commit = mallory.commit(group_id).commit
    refused(alice, group_id, commit)
    refused(bob, group_id, commit)


@pytest.mark.parametrize("lie", [*LIES, another_identity])
def test_an_external_commit(hooks: ModuleType, liars: Liars, lie: Lie) -> None:
    alice, _, mallory, group_id = liars
    lie(hooks, mallory)
    refused(alice, group_id, hooks.kat_external_join(mallory, alice.group_info(group_id)))


@pytest.mark.parametrize("lie", LIES)
def test_a_group_info(hooks: ModuleType, liars: Liars, lie: Lie) -> None:
    alice, _, mallory, group_id = liars
    lie(hooks, mallory)
    mallory.commit(group_id)
    mallory.merge_pending(group_id)
    with pytest.raises(Unacceptable):
        alice.inspect_group_info(mallory.group_info(group_id))
    with pytest.raises(Unacceptable):
        alice.rejoin(mallory.group_info(group_id))


def test_nobody_takes_the_name_of_another_member(hooks: ModuleType, liars: Liars) -> None:
    alice, _, mallory, group_id = liars
    hooks.kat_forge(mallory, identity=b"alice#1", certificate=hooks.kat_certificate(mallory, "alice", "1"))
    refused(alice, group_id, mallory.commit(group_id).commit)


def test_nobody_is_added_under_the_name_of_another_member(hooks: ModuleType, liars: Liars) -> None:
    alice, bob, mallory, group_id = liars
    second = device("bob", crate=hooks)
    commit = mallory.commit(group_id, add=[second.create_key_package().bytes])
    refused(alice, group_id, commit.commit)
    refused(bob, group_id, commit.commit)


def test_a_leaf_keeps_its_identity_key(hooks: ModuleType, liars: Liars) -> None:
    """The same name, certified by another identity key: nobody's pinned key is replaced silently."""
    alice, _, mallory, group_id = liars
    other = device("mallory", crate=hooks)
    assert other.identity_key != mallory.identity_key
    hooks.kat_forge(mallory, certificate=hooks.kat_certificate(other, "mallory", "1", mallory.signature_key))
    refused(alice, group_id, mallory.commit(group_id).commit)


def test_a_stranger_with_a_group_info_stays_outside(hooks: ModuleType, liars: Liars) -> None:
    alice, bob, _, group_id = liars
    eve = device("eve", crate=hooks)
    commit = hooks.kat_external_join(eve, alice.group_info(group_id))
    refused(alice, group_id, commit)
    refused(bob, group_id, commit)


def test_somebody_new_under_an_old_name_stays_outside(hooks: ModuleType, liars: Liars) -> None:
    alice, _, _, group_id = liars
    second = device("bob", crate=hooks)
    refused(alice, group_id, hooks.kat_external_join(second, alice.group_info(group_id)))


@pytest.mark.parametrize("kind", ["psk", "senders", "context"])
def test_a_commit_with_what_we_do_not_accept(hooks: ModuleType, liars: Liars, kind: str) -> None:
    alice, _, mallory, group_id = liars
    refused(alice, group_id, hooks.kat_commit(mallory, group_id, kind))


def test_proposals_outside_of_commits(hooks: ModuleType, liars: Liars) -> None:
    alice, bob, mallory, group_id = liars
    proposal = hooks.kat_propose_remove(mallory, group_id, bob.own_leaf(group_id).index)
    refused(alice, group_id, proposal)
    assert bob.process(group_id, alice.encrypt(group_id, b"x")).data == b"x"


def test_a_welcome_to_a_group_of_another_kind(hooks: ModuleType) -> None:
    """Without group data, or open to proposals from outside."""
    for kind in ("senders", "context"):
        mallory, bob = devices("mallory", "bob", crate=hooks)
        hooks.kat_relax(mallory)
        group_id = group_of(mallory)
        hooks.kat_commit(mallory, group_id, kind)
        mallory.merge_pending(group_id)
        commit = mallory.commit(group_id, add=[bob.create_key_package().bytes])
        with pytest.raises(Unacceptable):
            bob.join(commit.welcome)


def test_the_honest_are_accepted_by_the_same_rules(hooks: ModuleType, liars: Liars) -> None:
    alice, bob, mallory, group_id = liars
    carol = device("carol", crate=hooks)
    add(mallory, group_id, carol, receivers=(alice, bob))
    assert same_epoch(group_id, alice, bob, mallory, carol)
    commit = mallory.commit(group_id)
    for other in (alice, bob, carol):
        assert other.process(group_id, commit.commit).updated[0].identity == "mallory#1"
    mallory.merge_pending(group_id)


def test_a_proposal_of_our_own_making_blocks_nobody(hooks: ModuleType, liars: Liars) -> None:
    _, bob, mallory, group_id = liars
    hooks.kat_propose_remove(mallory, group_id, bob.own_leaf(group_id).index)
    with pytest.raises(NotAllowed):
        mallory.encrypt(group_id, b"blocked by its own proposal, as OpenMLS has it")
