"""Requests as they arrive: bytes counted while they stream in, JSON matched on shape, nothing unknown let through."""

import asyncio
import json
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request

from coterie_wire import WireError, from_hex, integer, uuid_text
from edge_functions.errors import ServiceError, bad_request

_MISSING: Any = object()
_MARKS = 100_000
"""Objects, arrays and items in a body. A small value takes a hundred times its bytes in memory."""
_RAW = 16
"""A label may be so many times too long before NFC, whose time grows with the square of the combining characters."""


async def read_json(request: Request, limit: int, seconds: float) -> dict[str, Any]:
    """The JSON object in the body, at most `limit` bytes within `seconds`; an empty body is an empty object.

    Raises `ServiceError`: 408 `too_slow`, 413 `too_large`, 415 `unsupported_media_type`, 400 `bad_request`.
    """
    try:
        async with asyncio.timeout(seconds):
            data = await _read(request, limit)
    except TimeoutError:
        raise ServiceError(408, "too_slow", "The body came too slowly.") from None
    if not data:
        return {}
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ServiceError(415, "unsupported_media_type")
    if sum(data.count(mark) for mark in (b"{", b"[", b",")) > _MARKS:
        raise ServiceError(413, "too_large")
    try:
        value = json.loads(data.decode(), parse_constant=_refuse_constant, object_pairs_hook=_refuse_doubles)
    except (ValueError, RecursionError):
        raise bad_request("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise bad_request("The body must be a JSON object.")
    return value


async def _read(request: Request, limit: int) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdigit() and (len(length) > 18 or int(length) > limit):
        raise ServiceError(413, "too_large")
    chunks: list[bytes] = []
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > limit:
            raise ServiceError(413, "too_large")
        chunks.append(chunk)
    return b"".join(chunks)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name that stands twice means one thing to us and another to who looked at the request before (RFC 8259 §4)."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("twice")
    return value


class Fields:
    """The fields of a request. Each reader checks one; `end` refuses what nobody has read.

    Every reader raises `ServiceError`: 400 `bad_request` with the field's name, 413 `too_large`.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw
        self._read: set[str] = set()

    def end(self) -> None:
        """Refuse unknown fields."""
        unknown = sorted(self._raw.keys() - self._read)
        if unknown:
            raise bad_request(f"Unknown field: {ascii(unknown[0])[:60]}.")

    def has(self, name: str) -> bool:
        """True when the field is there."""
        return name in self._raw

    def uuid(self, name: str) -> str:
        """A UUID in canonical text form."""
        return str(self._checked(uuid_text, self._take(name), name=name))

    def integer(
        self, name: str, *, default: int = _MISSING, at_least: int = 0, at_most: int = 2**53 - 1
    ) -> int:
        """An integer in range."""
        return int(
            self._checked(integer, self._take(name, default), name=name, at_least=at_least, at_most=at_most)
        )

    def hex(self, name: str, *, size: int | None = None, at_most: int | None = None) -> bytes:
        """Bytes in hex: exactly `size`, or from 1 to `at_most`."""
        return self._hex(self._take(name), name, size, at_most)

    def boolean(self, name: str) -> bool:
        """True or false."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise bad_request(f"{name} must be true or false.")
        return value

    def choice(self, name: str, *allowed: str, default: str = _MISSING) -> str:
        """One of a few words."""
        value = self._take(name, default)
        if value not in allowed:
            raise bad_request(f"{name} must be one of: {', '.join(allowed)}.")
        return str(value)

    def label(self, name: str, at_most: int) -> str:
        """A name for people: 1 to `at_most` characters in NFC, none of them a control or a bidi control."""
        value = self._take(name)
        if isinstance(value, str) and len(value) <= _RAW * at_most:
            value = unicodedata.normalize("NFC", value).strip()
            if 1 <= len(value) <= at_most and not any(
                unicodedata.category(one) in {"Cc", "Cf", "Cs"} for one in value
            ):
                return value
        raise bad_request(f"{name} must be text of 1 to {at_most} characters without control characters.")

    def token(self, name: str) -> str:
        """Printable ASCII, 1 to 8192 characters."""
        value = self._take(name)
        if isinstance(value, str) and 1 <= len(value) <= 8192 and value.isascii() and value.isprintable():
            return value
        raise bad_request(f"{name} must be a token.")

    def time(self, name: str) -> datetime:
        """A time in RFC 3339, in UTC."""
        value = self._take(name)
        if isinstance(value, str) and len(value) <= 40 and value.isascii() and value[10:11] in {"T", "t"}:
            try:
                parsed = datetime.fromisoformat(value)
            except ValueError:
                pass
            else:
                if parsed.utcoffset() == timedelta(0):
                    return parsed.astimezone(UTC)
        raise bad_request(f"{name} must be a time in RFC 3339, in UTC.")

    def uuids(self, name: str) -> list[str]:
        """A list of different UUIDs."""
        ids = [self._checked(uuid_text, one, name=f"an id in {name}") for one in self._list(name)]
        return _different(ids, name)

    def keyed(
        self, name: str, key: str, value: str, *, size: int | None = None, at_most: int | None = None
    ) -> dict[str, bytes]:
        """A list of `{key: UUID, value: hex}`, as a dict; no key twice."""
        pairs: list[tuple[str, bytes]] = []
        for one in self._list(name):
            if not isinstance(one, dict) or one.keys() != {key, value}:
                raise bad_request(f"{name} must be a list of objects with {key} and {value}.")
            uuid = self._checked(uuid_text, one[key], name=key)
            pairs.append((uuid, self._hex(one[value], value, size, at_most)))
        _different([uuid for uuid, _ in pairs], name)
        return dict(pairs)

    def _list(self, name: str) -> list[Any]:
        value = self._take(name)
        if not isinstance(value, list) or len(value) > 10_000:
            raise bad_request(f"{name} must be a list of at most 10000.")
        return value

    def _hex(self, value: object, name: str, size: int | None, at_most: int | None) -> bytes:
        data: bytes = self._checked(from_hex, value, name=name, size=size, at_most=at_most)
        if not data:
            raise bad_request(f"{name} must not be empty.")
        return data

    def _take(self, name: str, default: Any = _MISSING) -> Any:
        self._read.add(name)
        value = self._raw.get(name, default)
        if value is _MISSING:
            raise bad_request(f"{name} is missing.")
        return value

    @staticmethod
    def _checked(check: Any, value: object, **options: Any) -> Any:
        try:
            return check(value, **options)
        except WireError as error:
            if error.code == "too_large":
                raise ServiceError(413, "too_large", str(error)) from None
            raise bad_request(str(error)) from None


def _different(ids: list[str], name: str) -> list[str]:
    if len(set(ids)) != len(ids):
        raise bad_request(f"{name} names something twice.")
    return ids
