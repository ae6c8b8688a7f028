"""Records that the client and the service both read: the MLS framing header and what stands in JSON.

Nothing here can decrypt, and nothing here needs more than Python's standard library.
"""

from coterie_wire.commit_data import CommitData
from coterie_wire.device_proof import device_proof_message
from coterie_wire.envelope import Envelope
from coterie_wire.errors import WireError
from coterie_wire.header import (
    ContentType,
    GroupInfoHeader,
    Header,
    SenderType,
    WireFormat,
    parse_group_info_header,
    parse_header,
    wire_format,
)
from coterie_wire.hexes import from_hex, to_hex
from coterie_wire.ids import MAX_INTEGER, integer, is_uuid, uuid_bytes, uuid_text
from coterie_wire.key_package import SUITES, KeyPackage, parse_key_package
from coterie_wire.welcome import welcome_refs

__all__ = [
    "MAX_INTEGER",
    "SUITES",
    "CommitData",
    "ContentType",
    "Envelope",
    "GroupInfoHeader",
    "Header",
    "KeyPackage",
    "SenderType",
    "WireError",
    "WireFormat",
    "device_proof_message",
    "from_hex",
    "integer",
    "is_uuid",
    "parse_group_info_header",
    "parse_header",
    "parse_key_package",
    "to_hex",
    "uuid_bytes",
    "uuid_text",
    "welcome_refs",
    "wire_format",
]
