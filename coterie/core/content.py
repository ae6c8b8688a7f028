"""What stands inside an application message: MIMI content (draft-ietf-mimi-content-08), in CBOR.

`[salt, replaces, topicId, expires, inReplyTo, extensions, nestedPart]`. The salt makes the content id unique, and
the id survives a new encryption, so a receiver knows a line that comes twice. Coterie's own messages (profiles,
invites, leaving) are single parts of one content type.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field, replace
from typing import Any, cast

import cbor2

from coterie.errors import ContentError, LocalError

SALT_SIZE = 16
MAX_TEXT = 16_000
"""Characters in one line of text."""
MAX_NAME = 64
MAX_RAW_NAME = 16 * MAX_NAME
"""Characters before NFC, whose time grows with the square of a row of combining characters."""
MAX_INTEGER_KEY = 2**31 - 2
"""Of a map. On 32 bits (Pyodide) larger integers can share one hash, and a message full of them would take minutes."""
MARKDOWN = "text/markdown;variant=GFM"
PLAIN = "text/plain;charset=utf-8"
CONTROL = "application/vnd.coterie.control+cbor"
AUTHENTICATOR = "coterie/epoch_authenticator"
"""Extension: [epoch, first 16 bytes of its epoch_authenticator] as the sender had it, to notice a fork.

The epoch stands with it because the content, and so its id, stays the same when a line is encrypted anew later on.
"""

RENDER, SESSION = 1, 7  # dispositions
NULL_PART, SINGLE_PART = 0, 1  # cardinalities

_UNSIGNED, _NEGATIVE = 0, 1  # major types of CBOR
_BYTES, _TEXT, _ARRAY, _MAP, _TAG = 2, 3, 4, 5, 6
_LENGTHS = 24  # from here on, a number follows the first byte
_DEPTH = 8  # deeper than anything that we or the draft nest

_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True, repr=False)
class Content:
    """A message as it was meant: text, a control message, or something that this version does not know."""

    id: bytes
    """SHA-256 of the encoded content."""
    text: str | None = None
    control: dict[str, Any] | None = None
    epoch: int | None = None
    """In which it was written; it may have been encrypted anew in a later one."""
    authenticator: bytes | None = None
    """Of that epoch, the first 16 bytes."""
    extensions: dict[Any, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Content({self.id.hex()})"

    @property
    def unknown(self) -> bool:
        """Neither text nor a control message: sent by a newer version."""
        return self.text is None and self.control is None


def encode_text(text: str, *, salt: bytes, epoch: int, authenticator: bytes) -> bytes:
    """A line of text. Raises `LocalError` (`empty`, `too_long`, `bad_text`)."""
    if not text.strip():
        raise LocalError("empty", "There is nothing to send.")
    if len(text) > MAX_TEXT:
        raise LocalError("too_long", f"A message has at most {MAX_TEXT:,} characters.")
    try:
        body = text.encode()
    except UnicodeEncodeError:
        raise LocalError("bad_text", "The text has half of a character in it. Write it again.") from None
    return _encode(salt, epoch, authenticator, [RENDER, "", SINGLE_PART, PLAIN, body])


def encode_control(body: dict[str, Any], *, salt: bytes, epoch: int, authenticator: bytes) -> bytes:
    """A control message; `body` has a `type`."""
    part = [SESSION, "", SINGLE_PART, CONTROL, cbor2.dumps(body, canonical=True)]
    return _encode(salt, epoch, authenticator, part)


def _encode(salt: bytes, epoch: int, authenticator: bytes, part: list[Any]) -> bytes:
    if len(salt) != SALT_SIZE:
        raise ValueError("the salt has 16 bytes")
    extensions = {AUTHENTICATOR: [epoch, authenticator[:16]]}
    return cbor2.dumps([salt, None, b"", None, None, extensions, part], canonical=True)


def decode(data: bytes) -> Content:
    """Read a message. Raises `ContentError` (`bad_content`) for what is not MIMI content at all."""
    match load(data):
        case [bytes(salt), _, bytes(), _, _, dict(extensions), [int(), str(), *part]] if (
            len(salt) == SALT_SIZE
        ):
            return _content(hashlib.sha256(data).digest(), extensions, part)
    raise ContentError("bad_content", "The message is not in a form that Coterie can read.")


def _content(content_id: bytes, extensions: dict[Any, Any], part: list[Any]) -> Content:
    content = Content(content_id, extensions=extensions)
    match extensions.get(AUTHENTICATOR):
        case [int(epoch), bytes(authenticator)]:
            content = replace(content, epoch=epoch, authenticator=authenticator)
    match part:
        case [1, str(content_type), bytes(body)] if content_type.split(";")[0] in (
            "text/plain",
            "text/markdown",
        ):
            return replace(content, text=_text(body))
        case [1, "application/vnd.coterie.control+cbor", bytes(body)]:
            control = load(body)
            if isinstance(control, dict) and isinstance(control.get("type"), str):
                return replace(content, control=control)
            raise ContentError("bad_content", "A control message has no type.")
    return content


def _text(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise ContentError("bad_content", "The text is not UTF-8.") from None
    return text[:MAX_TEXT]


def load(data: bytes) -> Any:
    """One CBOR value (RFC 8949) and nothing behind it, of definite lengths, without tags, at most 8 deep.

    Raises `ContentError` (`bad_content`).
    """
    try:
        if _end(data, 0, 0) == len(data):
            value = cbor2.loads(data, allow_indefinite=False, allow_duplicate_keys=False)
            if _plain(value):
                return cast("Any", value)
    except (cbor2.CBORDecodeError, ValueError, TypeError, IndexError):
        pass
    raise ContentError("bad_content", "The message has parts that do not belong there.")


def _end(data: bytes, at: int, depth: int) -> int:
    """Where the item that begins at `at` ends. Raises `ValueError`, `IndexError`.

    Read before anything is decoded: tags could make objects that share parts, so that a small message grows without
    bounds, and cbor2 does not mind bytes that follow.
    """
    major, value = data[at] >> 5, data[at] & 31
    at += 1
    if value >= _LENGTHS:
        size = 1 << (value - _LENGTHS)
        if size > 8:
            raise ValueError(value)
        value = int.from_bytes(data[at : at + size], "big")
        at += size
    if major == _TAG or depth > _DEPTH:
        raise ValueError(major)
    if major in (_BYTES, _TEXT):
        return at + value
    if major in (_ARRAY, _MAP):
        for index in range(value * (major - _TEXT)):
            if major == _MAP and index % 2 == 0:
                _check_key(data, at)
            at = _end(data, at, depth + 1)
    return at


def _check_key(data: bytes, at: int) -> None:
    """Raise `ValueError` for a key that is neither text nor a small integer: others can be made to share one hash."""
    major, value = data[at] >> 5, data[at] & 31
    if major in (_UNSIGNED, _NEGATIVE):
        if value >= _LENGTHS:
            value = int.from_bytes(data[at + 1 : at + 1 + (1 << (value - _LENGTHS))], "big")
        if value > MAX_INTEGER_KEY:
            raise ValueError(value)
    elif major != _TEXT:
        raise ValueError(major)


def _plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, int | str) and _plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str | bytes)


def clean_name(name: str) -> str:
    """A display name: NFC, no control or bidi characters, something to see, 1 to 64 characters.

    Raises `LocalError` (`bad_name`).
    """
    tidy = " ".join(unicodedata.normalize("NFC", name).split()) if len(name) <= MAX_RAW_NAME else ""
    if not 1 <= len(tidy) <= MAX_NAME:
        raise LocalError("bad_name", f"A name has 1 to {MAX_NAME} characters.")
    if any(char in _BIDI_CONTROLS or unicodedata.category(char) in ("Cc", "Cs") for char in tidy):
        raise LocalError("bad_name", "A name has no control characters.")
    if not any(unicodedata.category(char)[0] in "LNPS" for char in tidy):
        raise LocalError("bad_name", "A name has at least one character that can be seen.")
    return tidy


def received_name(name: object) -> str | None:
    """A name that somebody sent: as `clean_name`, or None when it is none."""
    try:
        return clean_name(name) if isinstance(name, str) else None
    except LocalError:
        return None
