"""What a KeyPackage says in clear (RFC 9420 section 10), and its KeyPackageRef.

It is read to its last byte; its signatures are not checked here: MLS does that where the package is used.
"""

import hashlib
from dataclasses import dataclass

from coterie_wire.errors import WireError
from coterie_wire.header import MLS10, WireFormat, start
from coterie_wire.varint import Reader, encode_vector

MAX_KEY_PACKAGE = 64 * 1024
"""Largest one that is read, framed as MLSMessage, in bytes."""
SUITES = (0x0001, 0x0003)
"""Cipher suites that Coterie uses: in all of them signatures are Ed25519 and the hash is SHA-256."""

_BASIC = 1
"""CredentialType (section 17.5)."""
_FROM_KEY_PACKAGE = 1
"""LeafNodeSource (section 7.2)."""
_LAST_RESORT = 0x000A
"""ExtensionType `last_resort_key_package` (RFC 9420's registry, draft-ietf-mls-extensions)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPackage:
    """A KeyPackage with a basic credential."""

    ref: bytes
    """KeyPackageRef (section 5.2), 32 bytes."""
    suite: int
    """Cipher suite, one of `SUITES`."""
    signature_key: bytes
    """Ed25519, 32 bytes."""
    identity: bytes
    """Of the basic credential; in Coterie `user_id#device_id`."""
    not_before: int
    """Seconds since 1970, as `not_after`: the leaf's lifetime (section 7.2)."""
    not_after: int
    last_resort: bool
    """It may be used more than once, when no other is left."""


def parse_key_package(message: bytes) -> KeyPackage:
    """The KeyPackage in an MLSMessage of at most `MAX_KEY_PACKAGE` bytes.

    Raises `WireError` (`malformed`, `wrong_version`, `not_canonical`, `trailing_bytes`, `too_large`,
    `unsupported_suite`).
    """
    if len(message) > MAX_KEY_PACKAGE:
        raise WireError("The key package is too large.", code="too_large")
    reader = Reader(message)
    if start(reader) is not WireFormat.KEY_PACKAGE:
        raise WireError("This MLS message is not a KeyPackage.")
    content = reader.rest()
    suite = _suite(reader)
    reader.vector()  # init_key
    signature_key, identity, (not_before, not_after) = _leaf(reader)
    extensions = _extensions(reader)
    if extensions.get(_LAST_RESORT):
        raise WireError("The extension last_resort of the key package is not empty.")
    reader.vector()  # signature
    reader.end()
    return KeyPackage(
        ref=_ref(content),
        suite=suite,
        signature_key=signature_key,
        identity=identity,
        not_before=not_before,
        not_after=not_after,
        last_resort=_LAST_RESORT in extensions,
    )


def _suite(reader: Reader) -> int:
    if reader.uint(2) != MLS10:
        raise WireError("The KeyPackage is not of MLS 1.0.", code="wrong_version")
    suite = reader.uint(2)
    if suite not in SUITES:
        raise WireError("The KeyPackage is of a cipher suite that is not used.", code="unsupported_suite")
    return suite


def _leaf(reader: Reader) -> tuple[bytes, bytes, tuple[int, int]]:
    """Signature key, identity and lifetime of the LeafNode (section 7.2), which is read to its end."""
    reader.vector()  # encryption_key
    signature_key = reader.vector()
    if len(signature_key) != 32:
        raise WireError("The signature key of the key package is not one of Ed25519.")
    if reader.uint(2) != _BASIC:
        raise WireError("The credential of the key package is not a basic one.")
    identity = reader.vector()
    for _ in range(5):  # capabilities: versions, cipher suites, extensions, proposals, credentials
        if len(reader.vector()) % 2:
            raise WireError("A list in the capabilities of the key package has half an entry.")
    if reader.uint(1) != _FROM_KEY_PACKAGE:
        raise WireError("The leaf of the key package has no lifetime.")
    lifetime = reader.uint(8), reader.uint(8)
    _extensions(reader)
    reader.vector()  # signature
    return signature_key, identity, lifetime


def _extensions(reader: Reader) -> dict[int, bytes]:
    """A list of extensions by type, none of them twice (section 13.4)."""
    inner = Reader(reader.vector())
    found: dict[int, bytes] = {}
    while not inner.at_end:
        kind = inner.uint(2)
        if kind in found:
            raise WireError("An extension stands twice in the key package.")
        found[kind] = inner.vector()
    return found


def _ref(key_package: bytes) -> bytes:
    """RefHash("MLS 1.0 KeyPackage Reference", key_package)."""
    label = encode_vector(b"MLS 1.0 KeyPackage Reference")
    return hashlib.sha256(label + encode_vector(key_package)).digest()
