"""Key packages as the service reads them: real ones, the official ones, and everything that is almost one."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coterie_mls
from coterie_wire import KeyPackage, WireError, parse_key_package
from tests.support import mls
from tests.support.mls_people import device

VECTORS = Path(__file__).parents[4] / "shared" / "vectors"
KEY, IDENTITY = bytes(range(32)), b"alice#1"


def made(**changes: Any) -> bytes:
    """A key package with every field in its place."""
    times = {"not_before": 1_000, "not_after": 2_000}
    return mls.whole_key_package(KEY, IDENTITY, **{**times, **changes})


def refused(message: bytes) -> str:
    """The code by which it is refused."""
    with pytest.raises(WireError) as caught:
        parse_key_package(message)
    return caught.value.code


@pytest.mark.parametrize("suite", [1, 3])
@pytest.mark.parametrize("last_resort", [False, True])
def test_it_says_what_openmls_says(*, suite: int, last_resort: bool) -> None:
    alice = device("alice", "5f0c2a9e-0000-4000-8000-000000000001")
    package = alice.create_key_package(suite=suite, last_resort=last_resort)
    read = parse_key_package(package.bytes)
    assert read == KeyPackage(
        ref=package.ref,
        suite=suite,
        signature_key=alice.signature_key,
        identity=b"alice#5f0c2a9e-0000-4000-8000-000000000001",
        not_before=read.not_before,
        not_after=package.not_after,
        last_resort=last_resort,
    )
    assert read.not_after - read.not_before == 84 * 86400 + 3600


def test_the_official_welcomes_name_their_key_packages_by_the_same_ref() -> None:
    """RFC 9420 section 12.4.3.1: a Welcome holds the KeyPackageRef of each newcomer."""
    file = VECTORS / "welcome.json"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    cases = [case for case in json.loads(file.read_text()) if case["cipher_suite"] in (1, 3)]
    assert len(cases) == 2
    for case in cases:
        ref = parse_key_package(bytes.fromhex(case["key_package"])).ref
        assert ref in bytes.fromhex(case["welcome"])


def test_the_official_messages() -> None:
    file = VECTORS / "messages.first16.json"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    for case in json.loads(file.read_text()):
        assert parse_key_package(bytes.fromhex(case["mls_key_package"])).suite == 1


def test_every_cut_is_refused_and_so_is_one_byte_more() -> None:
    message = coterie_mls.Backend.create("alice")
    message.bind_device("1")
    whole = message.create_key_package(last_resort=True).bytes
    for end in range(len(whole)):
        with pytest.raises(WireError):
            parse_key_package(whole[:end])
    assert refused(whole + b"\0") == "trailing_bytes"


def test_no_other_byte_gives_the_same_ref() -> None:
    whole = made()
    ref = parse_key_package(whole).ref
    for at in range(len(whole)):
        changed = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        with contextlib.suppress(WireError):
            assert parse_key_package(changed).ref != ref, at


@given(
    identity=st.binary(max_size=300),
    not_before=st.integers(0, 2**64 - 1),
    not_after=st.integers(0, 2**64 - 1),
    last_resort=st.booleans(),
    suite=st.sampled_from([1, 3]),
)
def test_what_was_put_in_comes_out(
    *, identity: bytes, not_before: int, not_after: int, last_resort: bool, suite: int
) -> None:
    read = parse_key_package(
        mls.whole_key_package(
            KEY, identity, not_before=not_before, not_after=not_after, last_resort=last_resort, suite=suite
        )
    )
    assert (read.identity, read.signature_key, read.suite) == (identity, KEY, suite)
    assert (read.not_before, read.not_after, read.last_resort) == (not_before, not_after, last_resort)


@settings(max_examples=500)
@given(st.data())
def test_damage_is_refused_with_the_one_error_or_read_as_another_package(data: st.DataObject) -> None:
    whole = bytearray(made(last_resort=True))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        assert len(parse_key_package(bytes(whole)).signature_key) == 32


@given(st.binary(max_size=600))
def test_noise_is_refused_with_the_one_error(noise: bytes) -> None:
    for message in (noise, b"\0\1\0\5\0\1\0\1" + noise):
        with contextlib.suppress(WireError):
            parse_key_package(message)


@pytest.mark.parametrize("suite", [0, 2, 4, 7, 0x4F, 0xFFFF])
def test_a_suite_that_is_not_used(suite: int) -> None:
    assert refused(made(suite=suite)) == "unsupported_suite"


@pytest.mark.parametrize(
    ("fault", "message"),
    {
        "another wire format": mls.welcome(),
        "no version": b"\0\x02" + made()[2:],
        "a package of another version": made()[:4] + b"\0\x02" + made()[6:],
        "a signature key of 31 bytes": mls.whole_key_package(
            KEY[1:], IDENTITY, not_before=0, not_after=1
        ),
        "a leaf of an update": made(leaf_source=b"\x02"),
        "a leaf of a commit": made(leaf_source=b"\x03"),
        "an extension twice": made(extensions=b"\0\x0a\0" * 2),
        "half an extension": made(extensions=b"\0\x0a"),
        "a last resort with content": made(extensions=b"\0\x0a\x01x"),
    }.items(),
)  # fmt: skip
def test_what_is_almost_one(fault: str, message: bytes) -> None:
    assert refused(message) in ("malformed", "wrong_version"), fault


def test_sizes_are_bounded_before_anything_is_read() -> None:
    assert refused(b"\0" * (64 * 1024 + 1)) == "too_large"
    many = b"".join(kind.to_bytes(2, "big") + b"\0" for kind in range(11, 20_000))
    assert parse_key_package(made(extensions=many)).last_resort is False
