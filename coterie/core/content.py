"""What stands inside an application message: MIMI content (draft-ietf-mimi-content-08), in CBOR.

`[salt, replaces, topicId, expires, inReplyTo, extensions, nestedPart]`. The salt makes the content id unique, and
the id survives a new encryption, so a receiver knows a line that comes twice. Coterie's own messages (profiles,
invites, leaving) are single parts of one content type.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from typing import Any, cast

import cbor2

from coterie.errors import ContentError, LocalError

SALT_SIZE = 16
MAX_TEXT = 16_000
"""Characters in one line of text."""
MAX_NAME = 64
MARKDOWN = "text/markdown;variant=GFM"
PLAIN = "text/plain;charset=utf-8"
CONTROL = "application/vnd.coterie.control+cbor"
AUTHENTICATOR = "coterie/epoch_authenticator"
"""Extension: the first 16 bytes of the sender's epoch_authenticator, to notice a fork."""

RENDER, SESSION = 1, 7  # dispositions
NULL_PART, SINGLE_PART = 0, 1  # cardinalities

_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Content:
    """A message as it was meant: text, a control message, or something that this version does not know."""

    id: bytes
    """SHA-256 of the encoded content."""
    text: str | None = None
    control: dict[str, Any] | None = None
    authenticator: bytes | None = None
    extensions: dict[Any, Any] = field(default_factory=dict)

    @property
    def unknown(self) -> bool:
        """Neither text nor a control message: sent by a newer version."""
        return self.text is None and self.control is None


def encode_text(text: str, *, salt: bytes, authenticator: bytes) -> bytes:
    """A line of text. Raises `LocalError` (`empty`, `too_long`)."""
    if not text.strip():
        raise LocalError("empty", "There is nothing to send.")
    if len(text) > MAX_TEXT:
        raise LocalError("too_long", f"A message has at most {MAX_TEXT:,} characters.")
    return _encode(salt, authenticator, [RENDER, "", SINGLE_PART, PLAIN, text.encode()])


def encode_control(body: dict[str, Any], *, salt: bytes, authenticator: bytes) -> bytes:
    """A control message; `body` has a `type`."""
    return _encode(
        salt, authenticator, [SESSION, "", SINGLE_PART, CONTROL, cbor2.dumps(body, canonical=True)]
    )


def _encode(salt: bytes, authenticator: bytes, part: list[Any]) -> bytes:
    if len(salt) != SALT_SIZE:
        raise ValueError("the salt has 16 bytes")
    extensions = {AUTHENTICATOR: authenticator[:16]}
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
    authenticator = extensions.get(AUTHENTICATOR)
    if not isinstance(authenticator, bytes):
        authenticator = None
    match part:
        case [1, str(content_type), bytes(body)] if content_type.split(";")[0] in (
            "text/plain",
            "text/markdown",
        ):
            return Content(content_id, _text(body), None, authenticator, extensions)
        case [1, "application/vnd.coterie.control+cbor", bytes(body)]:
            control = load(body)
            if isinstance(control, dict) and isinstance(control.get("type"), str):
                return Content(content_id, None, control, authenticator, extensions)
            raise ContentError("bad_content", "A control message has no type.")
    return Content(content_id, None, None, authenticator, extensions)


def _text(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise ContentError("bad_content", "The text is not UTF-8.") from None
    return text[:MAX_TEXT]


def load(data: bytes) -> Any:
    """One CBOR value and nothing behind it, without tags. Raises `ContentError` (`bad_content`)."""
    try:
        value, rest = cbor2.loads(data), b""
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError, OverflowError):
        raise ContentError("bad_content", "The message is not CBOR.") from None
    if rest or not _plain(value, depth=0):
        raise ContentError("bad_content", "The message has parts that do not belong there.")
    return cast("Any", value)


def _plain(value: Any, depth: int) -> bool:
    if depth > 8:  # noqa: PLR2004 - deeper than anything that we or the draft nest
        return False
    if isinstance(value, dict):
        return all(isinstance(key, int | str) and _plain(item, depth + 1) for key, item in value.items())
    if isinstance(value, list):
        return all(_plain(item, depth + 1) for item in value)
    return value is None or isinstance(value, bool | int | float | str | bytes)


def clean_name(name: str) -> str:
    """A display name: NFC, no control or bidi characters, 1 to 64 characters.

    Raises `LocalError` (`bad_name`).
    """
    tidy = " ".join(unicodedata.normalize("NFC", name).split())
    if not 1 <= len(tidy) <= MAX_NAME:
        raise LocalError("bad_name", f"A name has 1 to {MAX_NAME} characters.")
    if any(char in _BIDI_CONTROLS or unicodedata.category(char) in ("Cc", "Cs") for char in tidy):
        raise LocalError("bad_name", "A name has no control characters.")
    return tidy


def received_name(name: object) -> str | None:
    """A name that somebody sent: as `clean_name`, or None when it is none."""
    try:
        return clean_name(name) if isinstance(name, str) else None
    except LocalError:
        return None
