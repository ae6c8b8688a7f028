"""What stands inside a message: MIMI content in CBOR, names, and hostile bytes."""

import contextlib
import tracemalloc
import unicodedata
from typing import Literal

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.core import content
from coterie.errors import ContentError, LocalError

SALT, KEY = bytes(range(16)), bytes(32)


def text(body: str = "hi") -> bytes:
    return content.encode_text(body, salt=SALT, epoch=3, authenticator=KEY)


def test_a_text_is_mimi_content() -> None:
    assert cbor2.loads(text("héllo")) == [
        SALT,
        None,
        b"",
        None,
        None,
        {"coterie/epoch_authenticator": [3, bytes(16)]},
        [1, "", 1, "text/plain;charset=utf-8", "héllo".encode()],
    ]


@given(st.text(min_size=1).filter(lambda text: text.strip()))
def test_a_text_comes_out_as_it_went_in(body: str) -> None:
    read = content.decode(text(body))
    assert (read.text, read.control, read.unknown) == (body, None, False)
    assert (read.epoch, read.authenticator) == (3, bytes(16))


def test_a_control_message_comes_out_as_it_went_in() -> None:
    body = {"type": "invite_end", "id": b"1" * 16}
    read = content.decode(content.encode_control(body, salt=SALT, epoch=0, authenticator=KEY))
    assert (read.text, read.control) == (None, body)


def test_the_salt_makes_the_id_unique() -> None:
    other = content.encode_text("hi", salt=bytes(16), epoch=3, authenticator=KEY)
    assert content.decode(text()).id == content.decode(text()).id != content.decode(other).id


@pytest.mark.parametrize(
    ("body", "code"), [("", "empty"), (" \n", "empty"), ("x" * 16_001, "too_long"), ("\ud83d", "bad_text")]
)
def test_a_text_that_cannot_be_sent_is_refused(body: str, code: str) -> None:
    with pytest.raises(LocalError) as caught:
        text(body)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "part",
    [
        [1, "", 1, "image/png", b"\x89PNG"],
        [1, "", 0],
        [1, "", 3, 0, [[1, "", 1, "text/plain", b"a"], [1, "", 1, "text/html", b"b"]]],
        [9, "de", 2, "text/plain", "https://x.example", 0],
    ],
)
def test_unknown_parts_are_kept_as_of_a_newer_version(part: list[object]) -> None:
    read = content.decode(cbor2.dumps([SALT, None, b"", None, None, {7: "later"}, part]))
    assert read.unknown
    assert read.extensions == {7: "later"}


HOSTILE = {
    "nothing": b"",
    "no CBOR": b"\xff\xff",
    "truncated": text()[:-1],
    "trailing byte": text() + b"\x00",
    "second value": text() + text(),
    "deep": b"\x81" * 100_000 + b"\x01",
    "deep maps": b"\xa1\x01" * 50_000 + b"\x01",
    "nine deep": cbor2.dumps([[[[[[[[[1]]]]]]]]]),
    "huge bytes": bytes.fromhex("5b7fffffffffffffff"),
    "huge text": bytes.fromhex("7bffffffffffffffff"),
    "huge array": bytes.fromhex("9bffffffffffffffff"),
    "huge map": bytes.fromhex("bb7fffffffffffffff"),
    "indefinite": bytes.fromhex("9f01ff"),
    "reserved length": bytes.fromhex("1c"),
    "shared parts": bytes.fromhex("82d81c8101d81d00"),
    "cycle": bytes.fromhex("d81c81d81d00"),
    "string reference": bytes.fromhex("d901008264616263 64d81900".replace(" ", "")),
    "bignum": b"\xc2\x49" + b"\xff" * 9,
    "bigfloat": bytes.fromhex("c5821b7fffffffffffffff01"),
    "regular expression": b"\xd8\x23\x65(a+)+",
    "date": cbor2.dumps(cbor2.CBORTag(0, "2026-01-01T00:00:00Z")),
    "unknown tag": cbor2.dumps(cbor2.CBORTag(4711, 1)),
    "duplicate key": bytes.fromhex("a201010102"),
    "list as key": bytes.fromhex("a1810101"),
    "simple value": bytes.fromhex("f8ff"),
    "undefined": b"\xf7",
    "bad UTF-8": b"\x61\xff",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_a_content_error(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ContentError) as caught:
            content.load(HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert caught.value.code == "bad_content"
    with pytest.raises(ContentError):
        content.decode(HOSTILE[name])


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        7,
        [SALT],
        [b"short", None, b"", None, None, {}, [1, "", 1, "text/plain", b"x"]],
        [SALT, None, b"", None, None, [], [1, "", 1, "text/plain", b"x"]],
        [SALT, None, b"", None, None, {}, []],
        [SALT, None, b"", None, None, {}, [1, "", 1, "text/plain", b"\xff"]],
        [SALT, None, b"", None, None, {}, [7, "", 1, content.CONTROL, b"\xff"]],
        [SALT, None, b"", None, None, {}, [7, "", 1, content.CONTROL, cbor2.dumps({"no": "type"})]],
        [SALT, None, b"", None, None, {}, [7, "", 1, content.CONTROL, cbor2.dumps([1])]],
    ],
)
def test_what_is_no_mimi_content_is_a_content_error(value: object) -> None:
    with pytest.raises(ContentError):
        content.decode(cbor2.dumps(value))


def test_an_authenticator_of_the_wrong_type_is_none() -> None:
    for value in (b"x" * 16, [1], [b"", b""], "x", None):
        extensions = {content.AUTHENTICATOR: value}
        read = content.decode(
            cbor2.dumps([SALT, None, b"", None, None, extensions, [1, "", 1, "text/plain", b"x"]])
        )
        assert (read.epoch, read.authenticator) == (None, None)


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_random_bytes_never_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(ContentError):
        content.decode(data)


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("key", [0, 23, 24, 2**31 - 2, -1, -(2**31) + 1, "text"])
def test_a_key_of_a_map_is_text_or_a_small_integer(key: int | str) -> None:
    assert content.load(cbor2.dumps({key: 1})) == {key: 1}


@pytest.mark.parametrize("key", [2**31 - 1, 2**63, -(2**31), 4294967294.0, b"bytes", (1, 2), True, None])
def test_keys_that_can_be_made_to_collide_are_refused(key: object) -> None:
    with pytest.raises(ContentError):
        content.load(cbor2.dumps({key: 1}))
    with pytest.raises(ContentError):
        content.load(cbor2.dumps([{"deeper": {key: 1}}]))


@given(json_like)
def test_plain_values_load_as_they_were_dumped(value: object) -> None:
    data = cbor2.dumps(value)
    try:
        assert content.load(data) == value
    except ContentError:
        assert _depth(value) > 8


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max((1 + _depth(one) for one in inner), default=0)


# -- names --


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("  Ada \t Lovelace ", "Ada Lovelace"),
        ("e\u0301", "é"),
        ("名前", "名前"),
        ("👩‍🚀", "👩‍🚀"),
        ("x" * 64, "x" * 64),
    ],
)
def test_a_name_is_tidied(name: str, clean: str) -> None:
    assert content.clean_name(name) == clean == content.received_name(name)
    assert unicodedata.is_normalized("NFC", clean)


BAD_NAMES = [
    "",
    "  ",
    "x" * 65,
    "a\u202eb",
    "\u2066a",
    "a\u061c",
    "a\u200f",
    "a\x00b",
    "a\x7f",
    "\ud83d",
    "\u200b",
    "\u00ad\u2060",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_misleads_is_refused(name: str) -> None:
    with pytest.raises(LocalError) as caught:
        content.clean_name(name)
    assert caught.value.code == "bad_name"
    assert content.received_name(name) is None


def test_a_name_far_too_long_is_refused_before_it_is_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    normalised: list[int] = []
    monkeypatch.setattr(content, "unicodedata", _Recording(normalised))
    assert content.received_name("a" + "\u0301" * content.MAX_RAW_NAME) is None
    assert normalised == []
    assert content.received_name("Ada" + " " * (content.MAX_RAW_NAME - 3)) == "Ada"
    assert normalised == [content.MAX_RAW_NAME]


class _Recording:
    """`unicodedata`, which tells how long the texts were that it normalised."""

    category = staticmethod(unicodedata.category)

    def __init__(self, lengths: list[int]) -> None:
        self._lengths = lengths

    def normalize(self, form: Literal["NFC"], text: str) -> str:
        """As unicodedata.normalize."""
        self._lengths.append(len(text))
        return unicodedata.normalize(form, text)


@pytest.mark.parametrize("name", [None, 7, b"Ada", ["Ada"], {"name": "Ada"}])
def test_a_received_name_of_another_type_is_none(name: object) -> None:
    assert content.received_name(name) is None
