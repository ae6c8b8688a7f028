"""For whom a Welcome is: the refs that stand in it in clear, in one made by the real crate."""

import pytest

from coterie_wire import WireError, welcome_refs
from coterie_wire.varint import encode_vector
from tests.support.mls_people import device


def made() -> tuple[bytes, list[bytes]]:
    """A Welcome for two, and the refs of the key packages that it is for."""
    alice, bob, carol = device("alice"), device("bob"), device("carol")
    group = alice.create_group(b"data")
    packages = [bob.create_key_package(), carol.create_key_package(last_resort=True)]
    built = alice.commit(group, add=[one.bytes for one in packages])
    return built.welcome, [one.ref for one in packages]


def test_it_names_the_key_packages_of_all_whom_it_lets_in() -> None:
    welcome, refs = made()
    assert sorted(welcome_refs(welcome)) == sorted(refs)


def test_what_is_cut_off_longer_or_something_else_is_refused() -> None:
    welcome, _ = made()
    for length in range(len(welcome)):
        with pytest.raises(WireError):
            welcome_refs(welcome[:length])
    for wrong in (welcome + b"\0", b"\0\1\0\5" + welcome[4:], b"\0\2" + welcome[2:], b""):
        with pytest.raises(WireError):
            welcome_refs(wrong)


def test_nobody_is_nobody() -> None:
    assert welcome_refs(b"\0\1\0\3" + b"\0\1" + encode_vector(b"") + encode_vector(b"info")) == []
