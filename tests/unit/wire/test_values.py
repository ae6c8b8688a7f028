"""Hex, UUIDs, integers and envelopes: one spelling, and errors instead of guesses."""

import hashlib
from typing import Any

import pytest

from coterie_wire import (
    Envelope,
    WireError,
    device_proof_message,
    from_hex,
    integer,
    is_uuid,
    to_hex,
    uuid_bytes,
    uuid_text,
)

GROUP = "b0000000-0000-4000-8000-00000000000f"
ENVELOPE: dict[str, Any] = {
    "v": 1,
    "group_id": GROUP,
    "seq": 1,
    "epoch": 0,
    "kind": "application",
    "message_id": GROUP,
    "sender_device": GROUP,
    "hash": hashlib.sha256(b"hi").hexdigest(),
    "size": 2,
    "server_time": "2026-11-21T12:00:00.123456Z",
    "mls_bytes": "6869",
}


def test_hex_has_one_spelling() -> None:
    assert from_hex(to_hex(b"\0\xff"), size=2) == b"\0\xff"
    for wrong in (None, 1, "0", "FF", "0x", " 00", "00 ", "0\n", "é0", b"00"):
        with pytest.raises(WireError):
            from_hex(wrong)
    with pytest.raises(WireError) as caught:
        from_hex("00", size=2)
    assert caught.value.code == "malformed"
    with pytest.raises(WireError) as caught:
        from_hex("0000", at_most=1)
    assert caught.value.code == "too_large"


def test_uuids_have_one_spelling() -> None:
    assert uuid_text(GROUP) == GROUP
    assert uuid_bytes(GROUP).hex() == GROUP.replace("-", "")
    for wrong in (
        None,
        5,
        "",
        GROUP.upper(),
        GROUP[:-1],
        GROUP + "\n",
        "{" + GROUP + "}",
        GROUP.replace("-", ""),
    ):
        assert not is_uuid(wrong)
        with pytest.raises(WireError):
            uuid_text(wrong)


def test_integers_are_integers() -> None:
    assert integer(2**53 - 1) == 2**53 - 1
    for wrong in (True, 1.0, "1", None, -1, 2**53):
        with pytest.raises(WireError):
            integer(wrong)


def test_an_envelope_reads_back() -> None:
    envelope = Envelope.from_json(ENVELOPE)
    assert envelope.to_json() == ENVELOPE
    assert envelope.intact
    assert not Envelope.from_json({**ENVELOPE, "mls_bytes": "6868"}).intact
    assert not Envelope.from_json({**ENVELOPE, "size": 3}).intact
    assert Envelope.from_json({**ENVELOPE, "newer": 1}) == envelope  # unknown fields are ignored


@pytest.mark.parametrize("body", [{"ref": "s3://x"}, {"gone": True}])
def test_an_envelope_without_its_bytes(body: dict[str, Any]) -> None:
    raw = {key: value for key, value in ENVELOPE.items() if key != "mls_bytes"} | body
    envelope = Envelope.from_json(raw)
    assert envelope.to_json() == raw
    assert not envelope.intact
    with pytest.raises(WireError):
        Envelope.from_json(ENVELOPE | body)  # never two of them


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("v", 2), ("seq", 0), ("seq", "1"), ("epoch", -1), ("kind", "proposal"), ("group_id", "x"), ("hash", "00"),
        ("server_time", "yesterday"), ("server_time", "2026-11-21T12:00:00+01:00"), ("mls_bytes", "zz"),
        ("mls_bytes", None), ("message_id", None), ("sender_device", ""), ("size", True),
    ],
)  # fmt: skip
def test_what_is_no_envelope(name: str, value: object) -> None:
    with pytest.raises(WireError):
        Envelope.from_json({**ENVELOPE, name: value})


@pytest.mark.parametrize("raw", [None, [], "x", {}, 5])
def test_what_is_not_even_an_object(raw: object) -> None:
    with pytest.raises(WireError):
        Envelope.from_json(raw)


def test_the_device_proof_prefixes_every_part_with_its_length() -> None:
    message = device_proof_message("user", "session", b"k" * 32)
    assert message == b"\0\x11coterie device v1\0\4user\0\7session\0\x20" + b"k" * 32
