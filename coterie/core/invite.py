"""Invite links: the secret in the fragment, the keys that come of it, and what is sealed or tagged with them.

docs/protocol.md has every byte; tests/vectors/invite.json has known answers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import cbor2

from coterie.core.content import load, received_name
from coterie.core.mls import Mls
from coterie.errors import CoterieError, InviteError, LinkError

VERSION = "1"
ID_SIZE = SECRET_SIZE = 16
INFO = b"coterie/invite/v1/"
DEFAULT_LIFETIME = 7 * 86_400
"""Seconds."""
DEFAULT_USES = 50
MAX_LIFETIME = 366 * 86_400
MAX_USES = 100_000


@dataclass(frozen=True, slots=True, repr=False)
class Link:
    """An invite link. The secret (16 bytes) stays in the fragment: no server, log or repr sees it."""

    invite_id: bytes
    secret: bytes
    origin: str = ""

    def __repr__(self) -> str:
        return f"Link({self.invite_id.hex()})"

    def url(self, origin: str) -> str:
        """`<origin>/?join=<invite_id>#1.<secret>`."""
        return f"{origin.rstrip('/')}/?join={_base64(self.invite_id)}#{VERSION}.{_base64(self.secret)}"

    @classmethod
    def parse(cls, text: str) -> Link:
        """Read a link. Raises `LinkError` (`bad_link`, `newer_link`)."""
        try:
            parts = urlsplit(text.strip())
            ids = parse_qs(parts.query).get("join", [])
        except ValueError:
            ids = []
        version, _, secret = parts.fragment.partition(".") if ids else ("", "", "")
        if len(ids) != 1 or not secret:
            raise LinkError(
                "bad_link",
                "This is not a complete invite link. Copy it again, with all that follows the “#”.",
            )
        if version != VERSION:
            raise LinkError("newer_link", "This invite link was made by a newer version of Coterie.")
        return cls(_bytes(ids[0], ID_SIZE), _bytes(secret, SECRET_SIZE), f"{parts.scheme}://{parts.netloc}")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str, size: int) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != size or _base64(data) != text:
        raise LinkError("bad_link", "This invite link is damaged. Copy it again.")
    return data


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The three keys of an invite, 32 bytes each."""

    preview: bytes
    tag: bytes
    welcome: bytes

    @classmethod
    def derive(cls, mls: Mls, invite_id: bytes, secret: bytes) -> Keys:
        """HKDF-SHA256 of the link's secret, salted with the invite id."""
        return cls(
            *(mls.hkdf(secret, invite_id, INFO + label, 32) for label in (b"preview", b"tag", b"welcome"))
        )


@dataclass(frozen=True, slots=True)
class Preview:
    """What a link shows before one joins, sealed by the inviter."""

    group_id: str
    mls_id: bytes
    group_name: str
    inviter_name: str
    inviter_key: bytes
    expires_at: int
    """Milliseconds since 1970."""

    def seal(self, mls: Mls, key: bytes, invite_id: bytes) -> bytes:
        """AES-256-GCM under the preview key."""
        body = {
            "group": UUID(self.group_id).bytes,
            "mls": self.mls_id,
            "name": self.group_name,
            "inviter": self.inviter_name,
            "key": self.inviter_key,
            "expires": self.expires_at,
        }
        return mls.seal(key, cbor2.dumps(body, canonical=True), b"preview" + invite_id)

    @classmethod
    def open(cls, mls: Mls, key: bytes, invite_id: bytes, sealed: bytes) -> Preview:
        """Raises `InviteError` (`bad_preview`)."""
        match _unsealed(mls, key, sealed, b"preview" + invite_id):
            case {
                "group": bytes(group),
                "mls": bytes(mls_id),
                "key": bytes(identity_key),
                "expires": int(expires),
                **rest,
            }:
                name, inviter = received_name(rest.get("name")), received_name(rest.get("inviter"))
                if len(group) == 16 and name and inviter and len(identity_key) == 32:
                    return cls(str(UUID(bytes=group)), mls_id, name, inviter, identity_key, expires)
        raise InviteError(
            "bad_preview", "The invitation does not belong to this link: it was changed on the way."
        )


def _unsealed(mls: Mls, key: bytes, sealed: bytes, associated_data: bytes) -> Any:
    try:
        return load(mls.open(key, sealed, associated_data))
    except (mls.MlsError, CoterieError):
        return None


def seal_hello(mls: Mls, key: bytes, invite_id: bytes, key_package: bytes, name: str) -> bytes:
    """The joiner's display name, for the members alone."""
    return mls.seal(key, cbor2.dumps({"name": name}), _hello_data(invite_id, key_package))


def open_hello(mls: Mls, key: bytes, invite_id: bytes, key_package: bytes, sealed: bytes) -> str | None:
    """The name, or None when it was not sealed for this key package."""
    hello = _unsealed(mls, key, sealed, _hello_data(invite_id, key_package))
    return received_name(hello.get("name")) if isinstance(hello, dict) else None


def _hello_data(invite_id: bytes, key_package: bytes) -> bytes:
    return b"hello" + invite_id + hashlib.sha256(key_package).digest()


def join_tag(key: bytes, invite_id: bytes, key_package: bytes, hello: bytes) -> bytes:
    """Shows that the join comes from someone who holds the link; 32 bytes."""
    data = (
        b"coterie join v1" + invite_id + hashlib.sha256(key_package).digest() + hashlib.sha256(hello).digest()
    )
    return hmac.digest(key, data, "sha256")


def welcome_tag(key: bytes, join_id: str, key_package: bytes, welcome: bytes) -> bytes:
    """Shows that the Welcome comes from someone who knows the link's keys; 32 bytes."""
    data = b"coterie welcome v1" + UUID(join_id).bytes
    data += hashlib.sha256(key_package).digest() + hashlib.sha256(welcome).digest()
    return hmac.digest(key, data, "sha256")


def same(one: bytes, other: bytes) -> bool:
    """Compare tags in constant time."""
    return hmac.compare_digest(one, other)
