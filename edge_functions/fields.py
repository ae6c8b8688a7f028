"""What requests hold and answers give, declared once: what reads a request also describes it (openapi.py)."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from coterie_wire import MAX_INTEGER, WireError, from_hex, uuid_text
from coterie_wire import integer as checked_integer
from edge_functions.errors import ServiceError, bad_request

JsonSchema = Mapping[str, Any]
"""JSON Schema 2020-12, as OpenAPI 3.1 has it."""

_REQUIRED: Any = object()
_RAW = 16
"""A label may be so many times too long before NFC, whose time grows with the square of the combining characters."""
_MOST = 10_000
"""Items in a list."""
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_HEX = "^([0-9a-f]{2})+$"
_USER_ID = '^[!-"$-~]+$'
"""Printable ASCII without '#'. Supabase's and our own ids are UUIDs."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a value looks in JSON."""

    schema: JsonSchema


@dataclass(frozen=True, slots=True)
class Field(Shape):
    """A field of a request: how it looks, and what reads it."""

    read: Callable[[Any, str], Any]
    """Takes the JSON value and the field's name. Raises `ServiceError`: 400 `bad_request`, 413 `too_large`."""
    default: Any = _REQUIRED
    """The JSON value that stands for a missing field; None: there is none, and it is read as None."""

    @property
    def required(self) -> bool:
        """True when it may not be missing."""
        return self.default is _REQUIRED


def read_fields(takes: Mapping[str, Field], raw: Mapping[str, Any]) -> dict[str, Any]:
    """Every declared field of `raw`, read; nothing else may be in it.

    Raises `ServiceError`: 400 `bad_request` with the field's name, 413 `too_large`.
    """
    values: dict[str, Any] = {}
    for name, field in takes.items():
        if name not in raw and field.required:
            raise bad_request(f"{name} is missing.")
        value = raw.get(name, field.default)
        values[name] = None if name not in raw and value is None else field.read(value, name)
    unknown = sorted(raw.keys() - takes.keys())
    if unknown:
        raise bad_request(f"Unknown field: {ascii(unknown[0])[:60]}.")
    return values


# ---- fields of requests; their shapes serve answers too


def uuid() -> Field:
    """A UUID in canonical text form; read as that text."""
    return Field({"type": "string", "format": "uuid", "pattern": _UUID}, _uuid)


def integer(*, default: int = _REQUIRED, at_least: int = 0, at_most: int = MAX_INTEGER) -> Field:
    """An integer in range."""
    schema = {"type": "integer", "minimum": at_least, "maximum": at_most}

    def read(value: Any, name: str) -> int:
        return int(_checked(checked_integer, value, name=name, at_least=at_least, at_most=at_most))

    return Field(schema if default is _REQUIRED else {**schema, "default": default}, read, default)


def hexes(*, size: int | None = None, at_most: int | None = None) -> Field:
    """Bytes in lower-case hex: exactly `size`, or from 1 to `at_most`."""
    longest = size or at_most
    schema = {"type": "string", "pattern": _HEX, "minLength": 2 * (size or 1)}
    return Field(
        schema if longest is None else {**schema, "maxLength": 2 * longest},
        lambda value, name: _hex(value, name, size, at_most),
    )


def one_of(*allowed: int, default: int) -> Field:
    """One of a few numbers."""
    schema = {"type": "integer", "enum": list(allowed), "default": default}

    def read(value: Any, name: str) -> int:
        if isinstance(value, bool) or value not in allowed or not isinstance(value, int):
            raise bad_request(f"{name} must be one of: {', '.join(map(str, allowed))}.")
        return value

    return Field(schema, read, default)


def optional(field: Field) -> Field:
    """The same, or missing; read as None then."""
    return replace(field, default=None)


def boolean() -> Field:
    """True or false."""
    return Field({"type": "boolean"}, _boolean)


def choice(*allowed: str, default: str = _REQUIRED) -> Field:
    """One of a few words."""
    schema = {"type": "string", "enum": list(allowed)}

    def read(value: Any, name: str) -> str:
        if value not in allowed:
            raise bad_request(f"{name} must be one of: {', '.join(allowed)}.")
        return str(value)

    return Field(schema if default is _REQUIRED else {**schema, "default": default}, read, default)


def label(at_most: int) -> Field:
    """A name for people: 1 to `at_most` characters in NFC, none of them a control or a bidi control."""
    return Field(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": at_most,
            "description": "NFC, without control and format characters",
        },
        lambda value, name: _label(value, name, at_most),
    )


def time() -> Field:
    """A time in RFC 3339, in UTC; read as a `datetime`."""
    return Field({"type": "string", "format": "date-time", "maxLength": 40}, _time)


def uuids() -> Field:
    """A list of different UUIDs."""
    schema = {"type": "array", "items": uuid().schema, "maxItems": _MOST, "uniqueItems": True}

    def read(value: Any, name: str) -> list[str]:
        return _different(
            [_checked(uuid_text, one, name=f"an id in {name}") for one in _list(value, name)], name
        )

    return Field(schema, read)


def user_ids(*, at_most: int) -> Field:
    """A list of different user ids; read in ascending order."""
    item = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": _USER_ID}
    schema = {"type": "array", "items": item, "maxItems": at_most, "uniqueItems": True}

    def read(value: Any, name: str) -> list[str]:
        ids = [_user_id(one, name) for one in _list(value, name, at_most=at_most)]
        return sorted(_different(ids, name))

    return Field(schema, read)


def hex_list(*, at_most: int, item_at_most: int) -> Field:
    """A list of values in hex, each of 1 to `item_at_most` bytes."""
    item = hexes(at_most=item_at_most)
    schema = {"type": "array", "items": item.schema, "maxItems": at_most}

    def read(value: Any, name: str) -> list[bytes]:
        return [item.read(one, f"an item of {name}") for one in _list(value, name, at_most=at_most)]

    return Field(schema, read)


def keyed(
    key: str, value: str, content: Field, *, at_least: int = 0, default: list[Any] = _REQUIRED
) -> Field:
    """A list of `{key: UUID, value: content}`, read as a dict; no key twice."""
    pair = {
        "type": "object",
        "properties": {key: uuid().schema, value: content.schema},
        "required": [key, value],
        "additionalProperties": False,
    }
    schema = {"type": "array", "items": pair, "minItems": at_least, "maxItems": _MOST}

    def read(raw: Any, name: str) -> dict[str, Any]:
        pairs: list[tuple[str, Any]] = []
        for one in _list(raw, name):
            if not isinstance(one, dict) or one.keys() != {key, value}:
                raise bad_request(f"{name} must be a list of objects with {key} and {value}.")
            pairs.append((_checked(uuid_text, one[key], name=key), content.read(one[value], value)))
        if len(pairs) < at_least:
            raise bad_request(f"{name} must name at least one {key.removesuffix('_id')}.")
        _different([one for one, _ in pairs], name)
        return dict(pairs)

    return Field(schema if default is _REQUIRED else {**schema, "default": default}, read, default)


# ---- shapes of answers alone


def text() -> Shape:
    """Text for people, or an id whose form is nobody's business."""
    return Shape({"type": "string"})


def anything() -> Shape:
    """An object of somebody else's making."""
    return Shape({"type": "object"})


def nullable(shape: Shape) -> Shape:
    """The same, or null."""
    return Shape({"anyOf": [shape.schema, {"type": "null"}]})


def listed(item: Shape) -> Shape:
    """A list."""
    return Shape({"type": "array", "items": item.schema})


def record(fields: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    """An object. Clients ignore what they do not know, so more may come."""
    every = {**fields, **(optional or {})}
    return Shape(
        {
            "type": "object",
            "properties": {name: shape.schema for name, shape in every.items()},
            "required": list(fields),
        }
    )


# ---- readers


def _checked(check: Any, value: object, **options: Any) -> Any:
    try:
        return check(value, **options)
    except WireError as error:
        if error.code == "too_large":
            raise ServiceError(413, "too_large", str(error)) from None
        raise bad_request(str(error)) from None


def _uuid(value: Any, name: str) -> str:
    return str(_checked(uuid_text, value, name=name))


def _hex(value: Any, name: str, size: int | None, at_most: int | None) -> bytes:
    data: bytes = _checked(from_hex, value, name=name, size=size, at_most=at_most)
    if not data:
        raise bad_request(f"{name} must not be empty.")
    return data


def _boolean(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise bad_request(f"{name} must be true or false.")
    return value


def _user_id(value: Any, name: str) -> str:
    if isinstance(value, str) and len(value) <= 200 and re.fullmatch(_USER_ID, value):
        return value
    raise bad_request(f"{name} must be a list of user ids.")


def _label(value: Any, name: str, at_most: int) -> str:
    if isinstance(value, str) and len(value) <= _RAW * at_most:
        clean = unicodedata.normalize("NFC", value).strip()
        if 1 <= len(clean) <= at_most and not any(
            unicodedata.category(one) in {"Cc", "Cf", "Cs"} for one in clean
        ):
            return clean
    raise bad_request(f"{name} must be text of 1 to {at_most} characters without control characters.")


def _time(value: Any, name: str) -> datetime:
    if isinstance(value, str) and len(value) <= 40 and value.isascii() and value[10:11] in {"T", "t"}:
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            if parsed.utcoffset() == timedelta(0):
                return parsed.astimezone(UTC)
    raise bad_request(f"{name} must be a time in RFC 3339, in UTC.")


def _list(value: Any, name: str, *, at_most: int = _MOST) -> list[Any]:
    if not isinstance(value, list) or len(value) > at_most:
        raise bad_request(f"{name} must be a list of at most {at_most}.")
    return value


def _different(ids: list[str], name: str) -> list[str]:
    if len(set(ids)) != len(ids):
        raise bad_request(f"{name} names something twice.")
    return ids


# ---- what several functions answer

JOIN_STATUS = choice(
    "waiting", "approval", "claimed", "welcomed", "joined", "refused", "expired", "cancelled"
)
"""How a join stands."""

STOCK: Mapping[str, Shape] = {"available": integer(), "last_resort": boolean(), "refill_below": integer()}
"""What is left of a device's key packages."""
