"""The framing of MLS messages, on the official examples and on everything that is almost one."""

import json
from pathlib import Path

import pytest

from coterie_wire import (
    ContentType,
    SenderType,
    WireError,
    WireFormat,
    parse_group_info_header,
    parse_header,
    wire_format,
)
from coterie_wire.varint import Reader, encode_varint, encode_vector
from tests.support import mls

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "messages.first16.json"


def official() -> list[dict[str, str]]:
    """The MLS working group's `messages` vectors."""
    if not VECTORS.exists():
        pytest.skip(f"{VECTORS} is not here")
    cases: list[dict[str, str]] = json.loads(VECTORS.read_text())
    return cases


def test_the_official_messages() -> None:
    kinds = {
        "mls_welcome": WireFormat.WELCOME,
        "mls_group_info": WireFormat.GROUP_INFO,
        "mls_key_package": WireFormat.KEY_PACKAGE,
        "public_message_application": WireFormat.PUBLIC_MESSAGE,
        "public_message_proposal": WireFormat.PUBLIC_MESSAGE,
        "public_message_commit": WireFormat.PUBLIC_MESSAGE,
        "private_message": WireFormat.PRIVATE_MESSAGE,
    }
    for case in official():
        for name, kind in kinds.items():
            message = bytes.fromhex(case[name])
            assert wire_format(message) is kind
            if name.startswith("public_message_"):
                header = parse_header(message)
                assert header.content_type is ContentType[name.rpartition("_")[2].upper()]
                assert header.sender_type is SenderType.MEMBER
        assert parse_group_info_header(bytes.fromhex(case["mls_group_info"])).group_id


def test_every_cut_of_an_official_private_message_is_refused() -> None:
    message = bytes.fromhex(official()[0]["private_message"])
    parse_header(message)
    for end in range(len(message)):
        with pytest.raises(WireError):
            parse_header(message[:end])
    with pytest.raises(WireError) as caught:
        parse_header(message + b"\0")
    assert caught.value.code == "trailing_bytes"


def test_a_private_message_says_what_it_was_made_of() -> None:
    header = parse_header(mls.private_message(b"group", 2**53 - 1, ContentType.COMMIT, b"data" * 50))
    assert header.wire_format is WireFormat.PRIVATE_MESSAGE
    assert (header.group_id, header.epoch, header.content_type) == (b"group", 2**53 - 1, ContentType.COMMIT)
    assert (header.authenticated_data, header.sender_type) == (b"data" * 50, None)


@pytest.mark.parametrize("sender", list(SenderType))
def test_a_public_message_names_its_kind_of_sender(sender: SenderType) -> None:
    header = parse_header(mls.public_commit(b"group", 3, sender, b"aad"))
    assert (header.sender_type, header.content_type, header.epoch) == (sender, ContentType.COMMIT, 3)
    assert header.authenticated_data == b"aad"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0\1",
        b"\0\2\0\2",  # MLS 2.0
        b"\0\1\0\0",
        b"\0\1\0\6",
        mls.welcome(),
        mls.key_package(),
        mls.private_message(b"g", 2**53),  # no JavaScript number
        mls.private_message(b"g", 1).replace(b"\1g", b"\x40\1g", 1),  # a length in a longer form
        mls.private_message(b"g", 1).replace(b"\1g", b"\xc1g", 1),  # an invalid prefix
        mls.start(WireFormat.PRIVATE_MESSAGE) + b"\1g" + bytes(8) + b"\4" + b"\0\0\0",  # content type 4
        mls.start(WireFormat.PUBLIC_MESSAGE) + b"\1g" + bytes(8) + b"\5" + b"\0\0\0\0\0\1",  # sender type 5
    ],
)
def test_what_is_no_framed_message(message: bytes) -> None:
    with pytest.raises(WireError) as caught:
        parse_header(message)
    assert str(caught.value).endswith(".")


def test_a_group_info_names_group_and_epoch() -> None:
    parsed = parse_group_info_header(mls.group_info(b"mls id", 7))
    assert (parsed.group_id, parsed.epoch) == (b"mls id", 7)
    for wrong in (mls.welcome(), mls.group_info(b"x", 1)[:8], mls.start(WireFormat.GROUP_INFO) + b"\0\2\0\1"):
        with pytest.raises(WireError):
            parse_group_info_header(wrong)


@pytest.mark.parametrize("value", [0, 63, 64, 16383, 16384, 2**30 - 1])
def test_lengths_round_trip_in_their_shortest_form(value: int) -> None:
    encoded = encode_varint(value)
    assert Reader(encoded).varint() == value
    assert len(encoded) == (1 if value < 64 else 2 if value < 16384 else 4)


def test_lengths_have_bounds() -> None:
    for value in (-1, 2**30):
        with pytest.raises(WireError):
            encode_varint(value)
    with pytest.raises(WireError):
        Reader(encode_vector(b"four") + b"x").end()
