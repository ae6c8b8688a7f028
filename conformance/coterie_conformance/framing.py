"""MLS objects whose framing is valid and whose secrets are noise: all that a delivery service can see (RFC 9420).

Written from the RFC and docs/protocol.md and shared with no implementation, so that a fault in one's parser is not
hidden by the same fault here.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PUBLIC_MESSAGE, PRIVATE_MESSAGE, WELCOME, GROUP_INFO, KEY_PACKAGE = 1, 2, 3, 4, 5
"""wire_format (section 17.2)."""
APPLICATION, PROPOSAL, COMMIT = 1, 2, 3
"""content_type (section 6)."""
MEMBER, NEW_MEMBER_COMMIT = 1, 4
"""sender_type (section 6)."""
CIPHER_SUITE = 1
"""MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519."""
_BASIC_CREDENTIAL = 1
_LAST_RESORT = 0x000A
DAY = 86400


def vector(data: bytes) -> bytes:
    """`opaque<V>` (section 2.1.2)."""
    for prefix, length in enumerate((1, 2, 4)):
        if len(data) < 1 << (8 * length - 2):
            return (len(data) | prefix << (8 * length - 2)).to_bytes(length, "big") + data
    raise ValueError("A vector has at most 2^30 - 1 bytes.")


def _message(wire_format: int) -> bytes:
    return b"\0\1" + wire_format.to_bytes(2, "big")


def private_message(
    mls_id: bytes,
    epoch: int,
    content_type: int = APPLICATION,
    authenticated_data: bytes = b"",
    ciphertext: bytes | None = None,
) -> bytes:
    """A PrivateMessage (section 6.3), each time another one."""
    return (
        _message(PRIVATE_MESSAGE)
        + vector(mls_id)
        + epoch.to_bytes(8, "big")
        + bytes([content_type])
        + vector(authenticated_data)
        + vector(b"sender data")
        + vector(secrets.token_bytes(32) if ciphertext is None else ciphertext)
    )


def private_message_of(size: int, mls_id: bytes, epoch: int) -> bytes:
    """An application message of exactly `size` bytes, from 20 KiB on (where the length takes four bytes)."""
    around = len(private_message(mls_id, epoch, ciphertext=bytes(1 << 14))) - (1 << 14)
    return private_message(mls_id, epoch, ciphertext=bytes(size - around))


def public_message(
    mls_id: bytes, epoch: int, sender_type: int = NEW_MEMBER_COMMIT, content_type: int = COMMIT
) -> bytes:
    """A PublicMessage (section 6.2); by default an external commit."""
    leaf = bytes(4) if sender_type == MEMBER else b""
    head = _message(PUBLIC_MESSAGE) + vector(mls_id) + epoch.to_bytes(8, "big")
    return head + bytes([sender_type]) + leaf + vector(b"") + bytes([content_type]) + secrets.token_bytes(48)


def commit_data(
    added: Iterable[str], removed: Iterable[str], invites: Iterable[bytes], *, end_invites: bool
) -> bytes:
    """The authenticated data of a commit (docs/protocol.md): JSON in its one spelling."""
    record = {
        "added": sorted(added),
        "end_invites": end_invites,
        "invites": sorted(invite.hex() for invite in invites),
        "removed": sorted(removed),
        "v": 1,
    }
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def group_info(mls_id: bytes, epoch: int) -> bytes:
    """A GroupInfo (section 12.4.3): its GroupContext, then noise."""
    context = b"\0\1" + CIPHER_SUITE.to_bytes(2, "big") + vector(mls_id) + epoch.to_bytes(8, "big")
    return _message(GROUP_INFO) + context + secrets.token_bytes(64)


def welcome() -> bytes:
    """A Welcome (section 12.4.3.1), each time another one."""
    return _message(WELCOME) + secrets.token_bytes(64)


def posted_key_package() -> bytes:
    """What `invite_join` takes: a KeyPackage by its wire format, each time another one."""
    return _message(KEY_PACKAGE) + secrets.token_bytes(64)


def key_package(
    key: Ed25519PrivateKey,
    identity: str,
    *,
    not_before: int | None = None,
    not_after: int | None = None,
    last_resort: bool = False,
) -> bytes:
    """A whole, signed KeyPackage (section 10) of a device; times in seconds since 1970, by default a week from now."""
    now = int(time.time())
    begin = now - 3600 if not_before is None else not_before
    end = now + 7 * DAY if not_after is None else not_after
    leaf = (
        vector(secrets.token_bytes(32))  # encryption_key
        + vector(key.public_key().public_bytes_raw())
        + _BASIC_CREDENTIAL.to_bytes(2, "big")
        + vector(identity.encode())
        + _capabilities()
        + b"\1"  # leaf_node_source key_package
        + begin.to_bytes(8, "big")
        + end.to_bytes(8, "big")
        + vector(b"")  # extensions
    )
    signed_leaf = leaf + vector(_sign(key, "LeafNodeTBS", leaf))
    extensions = _LAST_RESORT.to_bytes(2, "big") + vector(b"") if last_resort else b""
    package = (
        b"\0\1"
        + CIPHER_SUITE.to_bytes(2, "big")
        + vector(secrets.token_bytes(32))  # init_key
        + signed_leaf
        + vector(extensions)
    )
    return _message(KEY_PACKAGE) + package + vector(_sign(key, "KeyPackageTBS", package))


def _capabilities() -> bytes:
    """Versions, cipher suites, extensions, proposals, credentials (section 7.2)."""
    lists = ((1,), (CIPHER_SUITE,), (_LAST_RESORT,), (), (_BASIC_CREDENTIAL,))
    return b"".join(vector(b"".join(one.to_bytes(2, "big") for one in values)) for values in lists)


def _sign(key: Ed25519PrivateKey, label: str, content: bytes) -> bytes:
    """SignWithLabel (section 5.1.2)."""
    return key.sign(vector(b"MLS 1.0 " + label.encode()) + vector(content))


def sha256(data: bytes) -> str:
    """As envelopes carry it."""
    return hashlib.sha256(data).hexdigest()
