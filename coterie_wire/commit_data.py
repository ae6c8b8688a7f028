"""The authenticated data of a commit: what it means for the service's roster (docs/protocol.md).

It stands in clear in the message, so the service compares it with the request, and members compare it with the change
that MLS made. One record has exactly one spelling.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from coterie_wire.errors import WireError
from coterie_wire.hexes import from_hex
from coterie_wire.ids import uuid_text

BRACKETS = 4
"""One object with three lists; no id has a bracket in it."""
MAX_BYTES = 256 * 1024
"""About 6,500 devices in one commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitData:
    """Devices added to and removed from the service's roster, and the invites used; each list sorted, no repeats."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    end_invites: bool = False
    """Every invite and open join of the group ends with this commit."""
    invites: tuple[bytes, ...] = ()
    """Invite ids (16 bytes each) through which devices in `added` came."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "added", _sorted_ids(self.added, "added"))
        object.__setattr__(self, "removed", _sorted_ids(self.removed, "removed"))
        object.__setattr__(self, "invites", tuple(sorted(set(self.invites))))
        if any(len(invite) != 16 for invite in self.invites):
            raise WireError("An invite id must be 16 bytes.")

    def encode(self) -> bytes:
        """UTF-8 JSON, keys sorted, no white space."""
        record = {
            "added": list(self.added),
            "end_invites": self.end_invites,
            "invites": [invite.hex() for invite in self.invites],
            "removed": list(self.removed),
            "v": 1,
        }
        return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, data: bytes) -> "CommitData":
        """The record that `data` spells. Raises `WireError` (`malformed`, `not_canonical`, `too_large`)."""
        if len(data) > MAX_BYTES:
            raise WireError("The commit's authenticated data is too large.", code="too_large")
        parsed = cls._from_json(_load(data))
        if parsed.encode() != data:
            raise WireError(
                "The commit's authenticated data is not in its one spelling.", code="not_canonical"
            )
        return parsed

    @classmethod
    def _from_json(cls, raw: object) -> "CommitData":
        match raw:
            case {
                "added": list(added),
                "end_invites": bool(end_invites),
                "invites": list(invites),
                "removed": list(removed),
                "v": 1,
                **rest,
            } if not rest:
                return cls(
                    added=tuple(added),
                    removed=tuple(removed),
                    end_invites=end_invites,
                    invites=tuple(from_hex(invite, name="An invite id", size=16) for invite in invites),
                )
        raise WireError("The commit's authenticated data does not have its documented shape.")


def _load(data: bytes) -> object:
    # Counted first: nesting that is deep enough overflows the stack of a WebAssembly Python, which ends it for good.
    if data.count(b"[") + data.count(b"{") > BRACKETS:
        raise WireError("The commit's authenticated data does not have its documented shape.")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise WireError("The commit's authenticated data is not JSON.") from None


def _sorted_ids(ids: Iterable[object], name: str) -> tuple[str, ...]:
    return tuple(sorted({uuid_text(one, name=f"An id in {name}") for one in ids}))
