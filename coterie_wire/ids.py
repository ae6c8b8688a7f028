"""Identifiers and small numbers as they stand in JSON.

UUIDs stay text in their one canonical form (lower case, with hyphens), because JSON, SQL and the MLS identity
`user_id#device_id` all carry them like that.
"""

import re

from coterie_wire.errors import WireError

MAX_INTEGER = 2**53 - 1
"""The largest `seq`, `epoch` and `counter`: what a JavaScript number holds exactly."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_uuid(text: object) -> bool:
    """True for a UUID in canonical text form."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def uuid_text(text: object, *, name: str = "id") -> str:
    """`text` itself, when it is a UUID in canonical form. Raises `WireError`."""
    if isinstance(text, str) and _UUID.fullmatch(text):
        return text
    raise WireError(f"{name} must be a UUID in lower-case text form.")


def uuid_bytes(text: str) -> bytes:
    """The 16 bytes of a UUID: the form in which UUIDs enter hashes. Raises `WireError`."""
    return bytes.fromhex(uuid_text(text).replace("-", ""))


def integer(value: object, *, name: str = "value", at_least: int = 0, at_most: int = MAX_INTEGER) -> int:
    """`value` itself, when it is an integer in range (a bool is none). Raises `WireError`."""
    if isinstance(value, int) and not isinstance(value, bool) and at_least <= value <= at_most:
        return value
    raise WireError(f"{name} must be an integer from {at_least} to {at_most}.")
