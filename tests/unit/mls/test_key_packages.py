"""Making and checking key packages."""

import time
from types import ModuleType
from typing import Any

import pytest

from coterie_mls import Backend, Forged, Malformed, NotAllowed, Unacceptable, Unsupported
from tests.support.mls_people import device, devices, group_of

DAY = 24 * 3600


def test_what_it_says() -> None:
    alice, bob = devices("alice", "bob")
    package = bob.create_key_package()
    assert (package.leaf.identity, package.leaf.user_id, package.leaf.device_id) == ("bob#1", "bob", "1")
    assert package.leaf.signature_key == bob.signature_key
    assert package.leaf.identity_key == bob.identity_key
    assert not package.last_resort
    assert abs(package.not_after - time.time() - 84 * DAY) < 60
    checked = alice.check_key_package(package.bytes)
    assert (checked.bytes, checked.ref, checked.leaf, checked.not_after) == (
        package.bytes,
        package.ref,
        package.leaf,
        package.not_after,
    )
    assert alice.take_changes() == {}


def test_no_two_share_a_key() -> None:
    bob = device("bob")
    packages = [bob.create_key_package() for _ in range(20)]
    assert len({package.ref for package in packages}) == 20
    assert len({package.leaf.encryption_key for package in packages}) == 20


def test_one_row_each_and_none_after_deletion() -> None:
    bob = device("bob")
    package = bob.create_key_package()
    [(key, row)] = bob.take_changes().items()
    assert row is not None
    bob.delete_key_package(package.ref)
    bob.delete_key_package(package.ref)
    bob.delete_key_package(b"unknown")
    assert bob.take_changes() == {key: None}


@pytest.mark.parametrize("seconds", [0, 84 * DAY + 1, 50 * 365 * DAY])
def test_a_lifetime_that_we_do_not_make(seconds: int) -> None:
    with pytest.raises(Unacceptable):
        device("bob").create_key_package(lifetime=seconds)


@pytest.mark.parametrize("suite", [0, 2, 4, 7, 0x4F, 0xFFFF])
def test_a_suite_that_we_do_not_have(suite: int) -> None:
    with pytest.raises(Unsupported):
        device("bob").create_key_package(suite=suite)


def test_the_other_suite() -> None:
    alice, bob = devices("alice", "bob")
    group_id = group_of(alice, bob, suite=3)
    assert (alice.suite(group_id), bob.suite(group_id)) == (3, 3)
    assert bob.process(group_id, alice.encrypt(group_id, b"x")).data == b"x"
    with pytest.raises(Unacceptable):
        alice.commit(group_id, add=[device("carol").create_key_package(suite=1).bytes])


def test_a_last_resort_can_be_used_twice() -> None:
    alice, bob = devices("alice", "bob")
    package = bob.create_key_package(last_resort=True)
    assert alice.check_key_package(package.bytes).last_resort
    for _ in range(2):
        group_id = alice.create_group(b"")
        commit = alice.commit(group_id, add=[package.bytes])
        assert bob.join(commit.welcome).group_id == group_id


def test_a_changed_byte() -> None:
    alice, bob = devices("alice", "bob")
    package = bob.create_key_package().bytes
    for at in range(4, len(package)):
        bad = bytearray(package)
        bad[at] ^= 1
        with pytest.raises((Forged, Malformed, Unacceptable, Unsupported)):
            alice.check_key_package(bytes(bad))
    assert alice.check_key_package(package).leaf.identity == "bob#1"


def test_what_is_no_key_package(pair: tuple[Backend, Backend, bytes]) -> None:
    alice, bob, group_id = pair
    package = bob.create_key_package().bytes
    for bad in (
        b"",
        package[:-1],
        package + b"\x00",
        alice.encrypt(group_id, b"x"),
        b"\x00" * ((8 << 20) + 1),
    ):
        with pytest.raises(Malformed):
            alice.check_key_package(bad)


def test_one_that_lives_for_fifty_years(hooks: ModuleType) -> None:
    alice, mallory = devices("alice", "mallory", crate=hooks)
    hooks.kat_relax(mallory)
    package = mallory.create_key_package(lifetime=50 * 365 * DAY).bytes
    with pytest.raises(Unacceptable, match="84 days"):
        alice.check_key_package(package)
    group_id = alice.create_group(b"")
    with pytest.raises(Unacceptable, match="84 days"):
        alice.commit(group_id, add=[package])
    assert not alice.has_pending_commit(group_id)


def certificates(hooks: ModuleType, mallory: Any) -> dict[str, bytes]:
    """Certificates that are not what they should be for mallory#1."""
    good: bytes = mallory.certificate
    return {
        "none": b"",
        "cut": good[:-1],
        "long": good + b"\x00",
        "version": b"\x02" + good[1:],
        "changed signature": good[:-1] + bytes([good[-1] ^ 1]),
        "changed key": good[:1] + bytes([good[1] ^ 1]) + good[2:],
        "another's": device("alice", crate=hooks).certificate,
        "another user": hooks.kat_certificate(mallory, "alice", "1"),
        "another device": hooks.kat_certificate(mallory, "mallory", "2"),
        "zero": bytes(97),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "none",
        "cut",
        "long",
        "version",
        "changed signature",
        "changed key",
        "another's",
        "another user",
        "another device",
        "zero",
    ],
)
def test_a_certificate_that_does_not_hold(hooks: ModuleType, kind: str) -> None:
    alice, mallory = devices("alice", "mallory", crate=hooks)
    certificate = certificates(hooks, mallory)[kind]
    hooks.kat_relax(mallory)
    hooks.kat_forge(mallory, certificate=certificate)
    package = mallory.create_key_package().bytes
    before = alice.export_state()
    with pytest.raises(Unacceptable):
        alice.check_key_package(package)
    assert alice.export_state() == before


@pytest.mark.parametrize(
    "identity", [b"", b"mallory", b"#1", b"mallory#", b"mallory#1#2", b"\xff#1", b"m" * 254 + b"#1"]
)
def test_an_identity_that_is_none(hooks: ModuleType, identity: bytes) -> None:
    alice, mallory = devices("alice", "mallory", crate=hooks)
    hooks.kat_relax(mallory)
    hooks.kat_forge(mallory, identity=identity, certificate=mallory.certificate)
    with pytest.raises(Unacceptable, match="identity"):
        alice.check_key_package(mallory.create_key_package().bytes)


def test_an_imported_state_makes_none() -> None:
    copy = Backend.import_state(device("bob").export_state())
    with pytest.raises(NotAllowed):
        copy.create_key_package()
