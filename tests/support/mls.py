"""MLS framing without any cryptography: what the service can see of a message, made byte by byte (RFC 9420)."""

import secrets

from coterie_wire import CommitData, ContentType, SenderType, WireFormat
from coterie_wire.varint import encode_vector


def start(wire_format: WireFormat, version: int = 1) -> bytes:
    """Version and wire format of an MLSMessage."""
    return version.to_bytes(2, "big") + wire_format.to_bytes(2, "big")


def private_message(
    mls_id: bytes,
    epoch: int,
    content_type: ContentType = ContentType.APPLICATION,
    authenticated_data: bytes = b"",
    ciphertext: bytes | None = None,
) -> bytes:
    """A PrivateMessage; its ciphertext is noise, another one each time."""
    return (
        start(WireFormat.PRIVATE_MESSAGE)
        + encode_vector(mls_id)
        + epoch.to_bytes(8, "big")
        + content_type.to_bytes(1, "big")
        + encode_vector(authenticated_data)
        + encode_vector(b"sender data")
        + encode_vector(secrets.token_bytes(24) if ciphertext is None else ciphertext)
    )


def private_commit(mls_id: bytes, epoch: int, data: CommitData) -> bytes:
    """A commit as members send it."""
    return private_message(mls_id, epoch, ContentType.COMMIT, data.encode())


def public_commit(
    mls_id: bytes,
    epoch: int,
    sender: SenderType = SenderType.NEW_MEMBER_COMMIT,
    authenticated_data: bytes = b"",
) -> bytes:
    """A commit in a PublicMessage; by default a rejoin."""
    leaf = b"\0\0\0\0" if sender in (SenderType.MEMBER, SenderType.EXTERNAL) else b""
    return (
        start(WireFormat.PUBLIC_MESSAGE)
        + encode_vector(mls_id)
        + epoch.to_bytes(8, "big")
        + sender.to_bytes(1, "big")
        + leaf
        + encode_vector(authenticated_data)
        + ContentType.COMMIT.to_bytes(1, "big")
        + secrets.token_bytes(40)
    )


def group_info(mls_id: bytes, epoch: int) -> bytes:
    """The beginning of a GroupInfo, then noise."""
    context = (
        (1).to_bytes(2, "big") + (1).to_bytes(2, "big") + encode_vector(mls_id) + epoch.to_bytes(8, "big")
    )
    return start(WireFormat.GROUP_INFO) + context + secrets.token_bytes(60)


def welcome() -> bytes:
    """A Welcome: another one each time."""
    return start(WireFormat.WELCOME) + secrets.token_bytes(60)


def key_package() -> bytes:
    """A KeyPackage: another one each time."""
    return start(WireFormat.KEY_PACKAGE) + secrets.token_bytes(60)


def whole_key_package(
    signature_key: bytes,
    identity: bytes,
    *,
    not_before: int,
    not_after: int,
    last_resort: bool = False,
    suite: int = 1,
    leaf_source: bytes = b"\x01",
    extensions: bytes | None = None,
) -> bytes:
    """A KeyPackage with every field in its place; keys and signatures are noise. Times in seconds since 1970."""
    basic = b"\0\x01"
    capabilities = b"".join(encode_vector(one) for one in (b"\0\x01", b"\0\x01\0\x03", b"\0\x0a", b"", basic))
    leaf = (
        encode_vector(secrets.token_bytes(32))
        + encode_vector(signature_key)
        + basic
        + encode_vector(identity)
        + capabilities
        + leaf_source
        + not_before.to_bytes(8, "big")
        + not_after.to_bytes(8, "big")
        + encode_vector(b"\xff\x12" + encode_vector(b"certificate"))
        + encode_vector(secrets.token_bytes(64))
    )
    if extensions is None:
        extensions = b"\0\x0a\0" if last_resort else b""
    return (
        start(WireFormat.KEY_PACKAGE)
        + b"\0\x01"
        + suite.to_bytes(2, "big")
        + encode_vector(secrets.token_bytes(32))
        + leaf
        + encode_vector(extensions)
        + encode_vector(secrets.token_bytes(64))
    )
