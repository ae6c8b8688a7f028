"""The envelope: one ordered message of one group, as the service hands it out (docs/protocol.md)."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from coterie_wire.errors import WireError
from coterie_wire.hexes import from_hex
from coterie_wire.ids import integer, uuid_text

Kind = Literal["application", "commit"]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00:00)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A row of a group's log. Exactly one of `mls_bytes`, `ref` and `gone` is set."""

    group_id: str
    seq: int
    epoch: int
    """The epoch in which the message was framed: a commit's is the one that it ends."""
    kind: Kind
    message_id: str
    sender_device: str
    """A hint: the sender is the MLS leaf."""
    hash: bytes
    """SHA-256 of the MLS bytes."""
    size: int
    """Number of MLS bytes."""
    server_time: str
    """RFC 3339, UTC."""
    mls_bytes: bytes | None = None
    ref: str | None = None
    """Where the bytes lie, when another store has them."""
    gone: bool = False
    """The bytes have expired; the seq stays."""

    @property
    def intact(self) -> bool:
        """True when the bytes are here and are those that `hash` and `size` name."""
        body = self.mls_bytes
        return body is not None and len(body) == self.size and hashlib.sha256(body).digest() == self.hash

    @classmethod
    def from_json(cls, raw: object) -> "Envelope":
        """The envelope that a JSON object spells; unknown fields are ignored. Raises `WireError`."""
        if not isinstance(raw, Mapping):
            raise WireError("An envelope is a JSON object.")
        match raw:
            case {"v": 1, "kind": "application" | "commit" as kind, "server_time": str(time)} if (
                _TIME.fullmatch(time)
            ):
                return cls(
                    group_id=uuid_text(raw.get("group_id"), name="group_id"),
                    seq=integer(raw.get("seq"), name="seq", at_least=1),
                    epoch=integer(raw.get("epoch"), name="epoch"),
                    kind=kind,
                    message_id=uuid_text(raw.get("message_id"), name="message_id"),
                    sender_device=uuid_text(raw.get("sender_device"), name="sender_device"),
                    hash=from_hex(raw.get("hash"), name="hash", size=32),
                    size=integer(raw.get("size"), name="size"),
                    server_time=time,
                    **_body(raw),
                )
        raise WireError("This is not an envelope of version 1.")

    def to_json(self) -> dict[str, object]:
        """The JSON object, as documented."""
        record: dict[str, object] = {
            "v": 1,
            "group_id": self.group_id,
            "seq": self.seq,
            "epoch": self.epoch,
            "kind": self.kind,
            "message_id": self.message_id,
            "sender_device": self.sender_device,
            "hash": self.hash.hex(),
            "size": self.size,
            "server_time": self.server_time,
        }
        if self.mls_bytes is not None:
            record["mls_bytes"] = self.mls_bytes.hex()
        elif self.ref is not None:
            record["ref"] = self.ref
        else:
            record["gone"] = True
        return record


def _body(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The one of `mls_bytes`, `ref` and `gone` that an envelope has."""
    match {key: raw[key] for key in ("mls_bytes", "ref", "gone") if raw.get(key) is not None}:
        case {"mls_bytes": body, **rest} if not rest:
            return {"mls_bytes": from_hex(body, name="mls_bytes")}
        case {"ref": str(ref), **rest} if not rest:
            return {"ref": ref}
        case {"gone": True, **rest} if not rest:
            return {"gone": True}
    raise WireError("An envelope has exactly one of mls_bytes, ref and gone.")
