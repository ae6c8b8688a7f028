"""Rows of who comes in and who is known: invites, own joins, invitations, contacts."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from coterie.core.records.base import Record, UserRow, group_key


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Invite(Record):
    """An invite that this device knows, and can complete joins of."""

    TABLE = "invites"
    invite_id: bytes
    group_id: str
    preview_key: bytes
    tag_key: bytes
    welcome_key: bytes
    created_at: int
    expires_at: int
    max_uses: int
    uses: int = 0
    ended: bool = False
    secret: bytes = b""
    """Only where it was made: the link can be shown again."""

    @property
    def key(self) -> bytes:
        return self.invite_id

    def alive(self, now: int) -> bool:
        """By this device's own clock and count (`now` in milliseconds)."""
        return not self.ended and now < self.expires_at and self.uses < self.max_uses

    def __repr__(self) -> str:
        return f"Invite({self.invite_id.hex()})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Join(Record):
    """An own join that waits, or has ended and was not dismissed."""

    TABLE = "joins"
    join_id: str
    invite_id: bytes
    secret: bytes
    key_package: bytes
    key_package_ref: bytes
    group_id: str
    mls_id: bytes
    group_name: str
    inviter_name: str
    inviter_key: bytes
    """The identity key that the link's preview names."""
    created_at: int
    state: str = "waiting"
    """waiting, refused, expired, cancelled, failed; a join that succeeded is deleted."""
    why: str = ""

    @property
    def key(self) -> bytes:
        return UUID(self.join_id).bytes

    def __repr__(self) -> str:
        return f"Join({self.join_id}, {self.state})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Invitation(Record):
    """A Welcome that this device did not ask for; nothing of it is processed before the user accepts."""

    TABLE = "invitations"
    group_id: str
    welcome: bytes
    seq: int
    """Of the commit that added this device."""
    from_seq: int
    sender_user: str
    """As the service says, until the Welcome is opened."""
    sender_device: str
    created_at: int
    state: str = "waiting"
    """waiting, failed, declined (until the service knows)."""
    why: str = ""

    @property
    def key(self) -> bytes:
        return group_key(self.group_id)

    @property
    def sender(self) -> str:
        """Identity of who added this device, as the service says."""
        return f"{self.sender_user}#{self.sender_device}"

    def __repr__(self) -> str:
        return f"Invitation({self.group_id}, {self.state})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact(UserRow):
    """A device of somebody with whom this device shared a group, and the keys that it had there."""

    TABLE = "contacts"
    identity: str
    signature_key: bytes
    identity_key: bytes
    name: str = ""
    heard: bool = False
    """It has spoken under these keys, and the service says that the message came from this very device."""

    @property
    def key(self) -> bytes:
        return self.identity.encode()
