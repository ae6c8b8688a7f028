"""seal, open, hkdf, random_bytes, header."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import coterie_mls
from coterie_mls import Backend, Forged, Malformed

KEY = bytes(range(32))


def test_what_is_sealed_opens() -> None:
    sealed = coterie_mls.seal(KEY, b"text", b"bound to")
    assert coterie_mls.open(KEY, sealed, b"bound to") == b"text"
    assert len(sealed) == 12 + 4 + 16
    assert coterie_mls.seal(KEY, b"text", b"bound to") != sealed, "a nonce of its own"


def test_another_implementation_agrees() -> None:
    sealed = coterie_mls.seal(KEY, b"text", b"ad")
    assert AESGCM(KEY).decrypt(sealed[:12], sealed[12:], b"ad") == b"text"
    assert (
        coterie_mls.open(KEY, b"n" * 12 + AESGCM(KEY).encrypt(b"n" * 12, b"there", b"ad"), b"ad") == b"there"
    )


@pytest.mark.parametrize("at", [0, 12, 15, 16, 31])
def test_a_changed_byte_is_forged(at: int) -> None:
    sealed = bytearray(coterie_mls.seal(KEY, b"text", b""))
    sealed[at] ^= 1
    with pytest.raises(Forged):
        coterie_mls.open(KEY, bytes(sealed), b"")


@pytest.mark.parametrize(
    ("key", "sealed", "ad"),
    [(b"k" * 32, None, b""), (KEY, None, b"x"), (KEY, b"", b""), (KEY, b"n" * 12, b"")],
)
def test_what_does_not_open(key: bytes, sealed: bytes | None, ad: bytes) -> None:
    with pytest.raises(Forged):
        coterie_mls.open(key, coterie_mls.seal(KEY, b"text", b"") if sealed is None else sealed, ad)


def test_a_key_of_another_length() -> None:
    with pytest.raises(Malformed):
        coterie_mls.seal(b"short", b"", b"")
    with pytest.raises(Malformed):
        coterie_mls.open(b"short", b"n" * 40, b"")


def test_hkdf_of_rfc_5869() -> None:
    okm = coterie_mls.hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    no_salt = coterie_mls.hkdf(b"\x0b" * 22, b"", b"", 42)
    assert no_salt.hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )


def test_hkdf_gives_no_more_than_it_can() -> None:
    assert len(coterie_mls.hkdf(KEY, b"", b"", 8160)) == 8160
    with pytest.raises(Malformed):
        coterie_mls.hkdf(KEY, b"", b"", 8161)


def test_random_bytes() -> None:
    assert len({coterie_mls.random_bytes(16) for _ in range(100)}) == 100
    assert coterie_mls.random_bytes(0) == b""
    with pytest.raises(Malformed):
        coterie_mls.random_bytes(1 + (1 << 20))
    with pytest.raises(OverflowError):
        coterie_mls.random_bytes(-1)


def test_the_header_of_what_is_sent(pair: tuple[Backend, Backend, bytes]) -> None:
    alice, bob, group_id = pair
    assert coterie_mls.header(alice.encrypt(group_id, b"x")) == (2, group_id, 1, 1)
    assert coterie_mls.header(bob.commit(group_id).commit) == (2, group_id, 1, 3)
    assert coterie_mls.header(bob.rejoin(alice.group_info(group_id)).commit) == (1, group_id, 1, 3)


def test_what_has_no_header(pair: tuple[Backend, Backend, bytes]) -> None:
    alice, _, group_id = pair
    message = alice.encrypt(group_id, b"x")
    for bad in (
        b"",
        b"\x00",
        message[:-1],
        message + b"\x00",
        alice.group_info(group_id),
        b"\x00" * (1 + (1 << 20)),
    ):
        with pytest.raises(Malformed):
            coterie_mls.header(bad)
