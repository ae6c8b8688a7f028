"""The framing that an MLSMessage shows to everybody (RFC 9420 section 6): unencrypted and, here, unauthenticated.

Both sides read it: the service compares it with the request, the client sorts messages by it before MLS has its say.
"""

from dataclasses import dataclass
from enum import IntEnum

from coterie_wire.errors import WireError
from coterie_wire.ids import MAX_INTEGER
from coterie_wire.varint import Reader

MLS10 = 1
"""ProtocolVersion mls10."""


class WireFormat(IntEnum):
    """RFC 9420 section 17.2."""

    PUBLIC_MESSAGE = 1
    PRIVATE_MESSAGE = 2
    WELCOME = 3
    GROUP_INFO = 4
    KEY_PACKAGE = 5


class ContentType(IntEnum):
    """RFC 9420 section 6."""

    APPLICATION = 1
    PROPOSAL = 2
    COMMIT = 3


class SenderType(IntEnum):
    """RFC 9420 section 6."""

    MEMBER = 1
    EXTERNAL = 2
    NEW_MEMBER_PROPOSAL = 3
    NEW_MEMBER_COMMIT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a PrivateMessage or PublicMessage says about itself in clear."""

    wire_format: WireFormat
    group_id: bytes
    """MLS group id, 16 bytes in Coterie's own groups."""
    epoch: int
    content_type: ContentType
    authenticated_data: bytes
    sender_type: SenderType | None
    """Of a PublicMessage; None for a PrivateMessage, whose sender is encrypted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupInfoHeader:
    """The beginning of a GroupInfo (RFC 9420 section 12.4.3)."""

    group_id: bytes
    epoch: int


def wire_format(message: bytes) -> WireFormat:
    """Version and wire format of any MLSMessage. Raises `WireError` (`malformed`, `wrong_version`)."""
    return start(Reader(message))


def parse_header(message: bytes) -> Header:
    """The header of a PrivateMessage (read to its last byte) or of a PublicMessage (its content is left alone).

    Raises `WireError` for everything else.
    """
    reader = Reader(message)
    match start(reader):
        case WireFormat.PRIVATE_MESSAGE:
            return _private(reader)
        case WireFormat.PUBLIC_MESSAGE:
            return _public(reader)
        case other:
            raise WireError(f"A {other.name} is no framed message.")


def parse_group_info_header(message: bytes) -> GroupInfoHeader:
    """Group id and epoch of a GroupInfo. Raises `WireError`."""
    reader = Reader(message)
    if start(reader) is not WireFormat.GROUP_INFO:
        raise WireError("This MLS message is not a GroupInfo.")
    if reader.uint(2) != MLS10:
        raise WireError("The GroupInfo is not of MLS 1.0.", code="wrong_version")
    reader.uint(2)  # cipher suite
    return GroupInfoHeader(group_id=reader.vector(), epoch=_epoch(reader))


def start(reader: Reader) -> WireFormat:
    """Read version and wire format, with which every MLSMessage begins. Raises `WireError`."""
    if reader.uint(2) != MLS10:
        raise WireError("The MLS message is not of MLS 1.0.", code="wrong_version")
    number = reader.uint(2)
    try:
        return WireFormat(number)
    except ValueError:
        raise WireError("The MLS message has an unknown wire format.") from None


def _private(reader: Reader) -> Header:
    group_id, epoch, content_type = reader.vector(), _epoch(reader), _content_type(reader)
    authenticated_data = reader.vector()
    reader.vector()  # encrypted_sender_data
    reader.vector()  # ciphertext
    reader.end()
    return Header(
        wire_format=WireFormat.PRIVATE_MESSAGE,
        group_id=group_id,
        epoch=epoch,
        content_type=content_type,
        authenticated_data=authenticated_data,
        sender_type=None,
    )


def _public(reader: Reader) -> Header:
    group_id, epoch, sender_type = reader.vector(), _epoch(reader), _sender(reader)
    authenticated_data = reader.vector()
    return Header(
        wire_format=WireFormat.PUBLIC_MESSAGE,
        group_id=group_id,
        epoch=epoch,
        content_type=_content_type(reader),
        authenticated_data=authenticated_data,
        sender_type=sender_type,
    )


def _sender(reader: Reader) -> SenderType:
    try:
        sender_type = SenderType(reader.uint(1))
    except ValueError:
        raise WireError("The MLS message has an unknown sender type.") from None
    if sender_type in (SenderType.MEMBER, SenderType.EXTERNAL):
        reader.uint(4)  # leaf_index or sender_index
    return sender_type


def _content_type(reader: Reader) -> ContentType:
    try:
        return ContentType(reader.uint(1))
    except ValueError:
        raise WireError("The MLS message has an unknown content type.") from None


def _epoch(reader: Reader) -> int:
    epoch = reader.uint(8)
    if epoch > MAX_INTEGER:
        raise WireError("The epoch is above 2^53 - 1.")
    return epoch
