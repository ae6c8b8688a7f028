"""Creating, binding and saving a device."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import coterie_mls
from coterie_mls import Backend, Corrupt, Malformed, NotAllowed
from tests.support.mls_people import device, group_of


def prefixed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def test_two_fresh_devices_share_no_key() -> None:
    keys = [
        key for _ in range(20) for b in [Backend.create("u")] for key in (b.signature_key, b.identity_key)
    ]
    assert len(set(keys)) == 40
    assert {len(key) for key in keys} == {32}


@pytest.mark.parametrize("user", ["", "a#b", "u" * 201])
def test_a_user_id_that_cannot_be(user: str) -> None:
    with pytest.raises(Malformed):
        Backend.create(user)


def test_the_longest_user_id() -> None:
    assert Backend.create("u" * 200).user_id == "u" * 200


def test_binding() -> None:
    backend = Backend.create("alice")
    assert backend.device_id is None
    with pytest.raises(NotAllowed):
        _ = backend.certificate
    with pytest.raises(NotAllowed):
        backend.create_key_package()
    backend.take_changes()
    backend.bind_device("d1")
    assert list(backend.take_changes()) == [b"d"]
    backend.bind_device("d1")
    assert backend.take_changes() == {}
    with pytest.raises(NotAllowed):
        backend.bind_device("d2")
    assert backend.device_id == "d1"


@pytest.mark.parametrize("name", ["", "a#b", "d" * 250])
def test_a_device_id_that_cannot_be(name: str) -> None:
    backend = Backend.create("alice")
    before = backend.export_state()
    with pytest.raises(Malformed):
        backend.bind_device(name)
    assert backend.device_id is None
    assert backend.export_state() == before


def test_the_certificate_is_signed_by_the_identity_key() -> None:
    backend = device("alice", "d1")
    version, key, signature = backend.certificate[:1], backend.certificate[1:33], backend.certificate[33:]
    assert (version, key) == (b"\x01", backend.identity_key)
    signed = prefixed(b"coterie certificate v1", b"alice", b"d1", backend.signature_key)
    Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)


def test_the_proof_is_signed_by_the_device_key() -> None:
    backend = Backend.create("alice")
    signed = prefixed(b"coterie device v1", b"subject", b"session", backend.signature_key)
    proof = backend.sign_device_proof("subject", "session")
    Ed25519PublicKey.from_public_bytes(backend.signature_key).verify(proof, signed)


def test_a_new_device_survives_a_rollback() -> None:
    backend = Backend.create("alice")
    key = backend.signature_key
    backend.bind_device("d1")
    backend.rollback()
    assert (backend.signature_key, backend.device_id) == (key, None)
    rows = backend.take_changes()
    assert Backend.load({k: v for k, v in rows.items() if v is not None}).signature_key == key


def test_rollback_undoes_a_binding() -> None:
    backend = Backend.create("alice")
    backend.take_changes()
    backend.bind_device("d1")
    backend.rollback()
    assert backend.device_id is None
    backend.bind_device("d2")
    assert backend.device_id == "d2"


def test_rows_that_are_no_device() -> None:
    for rows in (
        {},
        {b"d": b""},
        {b"d": b"\x01"},
        {b"d": b"\x02\xa0"},
        {b"d": b"\x01\xa0"},
        {b"g": b"\x01\xa0"},
    ):
        with pytest.raises(Corrupt):
            Backend.load(rows)


@pytest.mark.parametrize("cut", [0, 1, 2, 100, -1])
def test_a_state_that_is_cut_off(cut: int) -> None:
    state = device("alice").export_state()
    with pytest.raises(Malformed):
        Backend.import_state(state[:cut])


def test_a_state_with_something_left_over() -> None:
    with pytest.raises(Malformed):
        Backend.import_state(device("alice").export_state() + b"\x00")


def test_reprs_show_no_secret() -> None:
    alice, bob = device("alice"), device("bob")
    group_id = group_of(alice, bob)
    shown = [repr(alice), repr(alice.members(group_id)), repr(alice.create_key_package())]
    rejoin = bob.rejoin(alice.group_info(group_id))
    shown += [repr(rejoin), repr(alice.process(group_id, bob.encrypt(group_id, b"confidential")))]
    commit = alice.commit(group_id)
    shown += [
        repr(commit),
        repr(bob.process(group_id, commit.commit)),
        repr(alice.process(group_id, commit.commit)),
    ]
    text = " ".join(shown)
    assert "confidential" not in text
    assert "\\x" not in text, "no bytes at all"
    assert "alice#1" in text
    assert "index=0" in text


def test_members_compare_by_what_they_are(pair: tuple[Backend, Backend, bytes]) -> None:
    alice, bob, group_id = pair
    assert alice.members(group_id) == bob.members(group_id)
    assert alice.members(group_id)[0] != alice.members(group_id)[1]
    assert len({*alice.members(group_id), *bob.members(group_id)}) == 2


def test_the_public_names() -> None:
    assert coterie_mls.__all__ == sorted(coterie_mls.__all__)
    assert {name for name in dir(coterie_mls) if not name.startswith("_")} - {"errors"} == set(
        coterie_mls.__all__
    )


def test_every_error_has_a_code_of_its_own() -> None:
    errors = [
        cls
        for cls in vars(coterie_mls).values()
        if isinstance(cls, type) and issubclass(cls, coterie_mls.MlsError)
    ]
    assert len({error.code for error in errors}) == len(errors) == 11
    assert all(issubclass(error, coterie_mls.MlsError) for error in errors)


def test_states_of_the_same_device_are_the_same_bytes() -> None:
    backend = device("alice")
    group_of(backend)
    digests = {hashlib.sha256(backend.export_state()).digest() for _ in range(3)}
    assert len(digests) == 1
