"""The rows of a device's state, apart from the binding's own: one frozen record a kind, in CBOR behind a version.

A record is a CBOR array of its fields in order, so a field can be added at the end with a default and old rows still
read. Rows of user data (`UserRow`: lines, names, settings) carry an id, a revision and a time, so that they can be
synced one day; rows of MLS state never do, so that they never can.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from dataclasses import fields as fields_of
from typing import Any, ClassVar, Self
from uuid import UUID

import cbor2

from coterie.errors import StorageError

VERSION = 1
_TYPES: dict[str, type] = {"int": int, "str": str, "bytes": bytes, "bool": bool, "list": list, "dict": dict}
"""What a field may be annotated with, and what its value is then, exactly."""


def corrupt(table: str) -> StorageError:
    """A stored row does not read back."""
    return StorageError("corrupt_row", f"A row of the table “{table}” cannot be read.")


def _type_of(annotation: str) -> type | None:
    return _TYPES.get(annotation.partition("[")[0])


def group_key(group_id: str) -> bytes:
    """A group's UUID as 16 bytes."""
    return UUID(group_id).bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A row: where it lies, and how it is spelled."""

    TABLE: ClassVar[str]

    @property
    def key(self) -> bytes:
        raise NotImplementedError

    def encode(self) -> bytes:
        """The row's value."""
        return cbor2.dumps([VERSION, *(getattr(self, one.name) for one in fields_of(self))])

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """The record that `value` spells. Raises `StorageError` (`corrupt_row`)."""
        try:
            version, *values = cbor2.loads(value)
            fields = fields_of(cls)
            pairs = list(zip(fields, values, strict=False))
            fits = all(type(found) is _type_of(str(one.type)) for one, found in pairs)
            if version == VERSION and len(values) <= len(fields) and fits:
                return cls(**{one.name: found for one, found in pairs})
        except (cbor2.CBORDecodeError, ValueError, TypeError):
            pass
        raise corrupt(cls.TABLE)

    def with_(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow(Record):
    """A row of user data: `id` is a UUID, `rev` rises with every change, `modified_at` is in milliseconds."""

    id: str
    rev: int
    modified_at: int
    deleted: bool = False

    def changed(self, now: int, **changes: Any) -> Self:
        """A copy with some fields changed, the next revision."""
        return replace(self, rev=self.rev + 1, modified_at=now, **changes)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Session(Record):
    """The session at the service. Its tokens never stand in a repr."""

    TABLE = "device"
    access_token: str
    refresh_token: str
    expires_at: int
    """Seconds since 1970."""
    user_id: str
    session_id: str
    guest: bool = True
    """Signed in without anything to sign in with again."""

    @property
    def key(self) -> bytes:
        return b"session"

    def __repr__(self) -> str:
        return f"Session(user_id={self.user_id!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Me(UserRow):
    """This device's person, as they call themselves."""

    TABLE = "device"
    name: str

    @property
    def key(self) -> bytes:
        return b"me"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device(Record):
    """How this device stands with the service."""

    TABLE = "device"
    ended: str
    """Why the service does not take it any more (`session_ended`, `device_revoked`); empty: it does."""
    name: str = ""
    """What the user calls it; empty: as the program does."""
    guest: bool = True
    """Whether its user is a guest, who cannot sign in again."""
    bound: str = ""
    """The session_id under which the service last took it for this device."""

    @property
    def key(self) -> bytes:
        return b"device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Record):
    """MLS and delivery state of one group; moves in the same transaction as its ratchets."""

    TABLE = "groups"
    group_id: str
    mls_id: bytes
    epoch: int
    tree_hash: bytes
    epoch_authenticator: bytes
    updated_at: int
    state: str = "active"
    """active, left, removed, broken."""
    why: str = ""
    """A cause code (`views.CAUSES`) when it is not active, or does not send."""
    cursor: int = 0
    """The last seq that is saved."""
    index: int = 0
    """The next free index of a line at the cursor's seq."""
    counter: int = 0
    """PrivateMessages that this device framed in this epoch."""
    next_order: int = 0
    """The next place in the outbox."""
    unread: int = 0
    last_text: str = ""
    last_at: int = 0
    removals: list[str] = field(default_factory=list)
    """Identities that the user wants removed."""
    leavers: list[Any] = field(default_factory=list)
    """[identity, leaf index, encryption key, due at (ms)] of members who asked to leave."""
    dropped: list[Any] = field(default_factory=list)
    """[epoch, SHA-256] of own commits that were given up."""
    handover_by: int = 0
    """When to ask for the live invites, if nobody handed them over; 0: they came."""
    owner: str = ""
    """The identity that made the group, as its data named it when this device came in."""
    invites_since: int = 0
    """Invites told in content of an earlier epoch are over: a commit ended them, or this device was not there."""
    answer_at: int = 0
    """When to hand over the invites to a newcomer that asked, if nobody else did; 0: nobody asked."""
    adding: list[Any] = field(default_factory=list)
    """[identity, signature key, key package] of known devices that the user wants added without a link."""

    @property
    def key(self) -> bytes:
        return group_key(self.group_id)

    @property
    def over(self) -> bool:
        """This device is not a member any more."""
        return self.state in ("left", "removed")

    @property
    def stuck(self) -> bool:
        """A member that can neither read on nor send: broken, or behind its own record."""
        return self.state == "broken" or self.why == "state_behind"

    @property
    def can_send(self) -> bool:
        return self.state == "active" and not self.why


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat(UserRow):
    """What the user sees of a group; `id` is the group's UUID."""

    TABLE = "chats"
    name: str
    read_seq: int = 0

    @property
    def key(self) -> bytes:
        return group_key(self.id)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Line(UserRow):
    """A line of a conversation, in the group's order. Its text never stands in a repr."""

    TABLE = "messages"
    group_id: str
    seq: int
    index: int
    sender: str
    """Identity (`user#device`), empty for a notice of the device's own."""
    at: int
    content: bytes = b""
    """MIMI content; empty for a notice."""
    notice: str = ""
    """A cause code (`views.CAUSES`); empty for a text."""
    about: list[str] = field(default_factory=list)
    """Identities or words that the notice names."""

    @property
    def key(self) -> bytes:
        return line_key(self.group_id, self.seq, self.index)

    def __repr__(self) -> str:
        return f"Line({self.group_id}, {self.seq}, {self.index})"


def line_key(group_id: str, seq: int, index: int) -> bytes:
    """Sorts as the lines do."""
    return group_key(group_id) + seq.to_bytes(8, "big") + index.to_bytes(2, "big")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Outgoing(Record):
    """Something that waits to be posted, with its exact bytes; a retry posts them again."""

    TABLE = "outbox"
    lane: bytes
    order: int
    kind: str
    """message, commit, or call."""
    function: str
    message_id: str = ""
    group_id: str = ""
    epoch: int = 0
    counter: int = 0
    mls_bytes: bytes = b""
    content: bytes = b""
    """The sender's own plaintext (MIMI content) of a message."""
    at: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    """The rest of the body: JSON values, and bytes, which are posted in hex."""
    accepted_seq: int = 0
    """A commit that the service took and that has not come back."""
    note: dict[str, Any] = field(default_factory=dict)
    """What this device wants to know when the answer comes; never posted."""

    @property
    def key(self) -> bytes:
        return self.lane + self.order.to_bytes(8, "big")

    def __repr__(self) -> str:
        return f"Outgoing({self.function}, {self.order})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent(Record):
    """An own message that the service took, until its echo has passed."""

    TABLE = "sent"
    message_id: str
    group_id: str
    seq: int
    hash: bytes

    @property
    def key(self) -> bytes:
        return UUID(self.message_id).bytes


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(UserRow):
    """How a member calls themselves in a group; `hearsay` until they said it themselves."""

    TABLE = "profiles"
    group_id: str
    identity: str
    name: str
    hearsay: bool = False

    @property
    def key(self) -> bytes:
        return group_key(self.group_id) + self.identity.encode()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Package(Record):
    """An own key package for people who add this device without a link; its private keys are the binding's rows."""

    TABLE = "packages"
    ref: bytes
    """KeyPackageRef (RFC 9420 section 5.2), 32 bytes."""
    not_after: int
    """Seconds since 1970."""
    last_resort: bool = False
    package: bytes = b""
    """Its bytes until they stand in the outbox."""
    published: bool = False
    """The service has said that it has it."""
    used: bool = False
    """A last resort that somebody used; it stays openable until it ends."""

    @property
    def key(self) -> bytes:
        return self.ref

    def __repr__(self) -> str:
        return f"Package({self.ref.hex()[:8]})"


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

    @property
    def key(self) -> bytes:
        return self.identity.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Record):
    """Digest of (sender, content id) of a message, so that it is shown once."""

    TABLE = "seen"
    group_id: str
    seq: int
    digest: bytes

    @property
    def key(self) -> bytes:
        return group_key(self.group_id) + self.digest


IN_MEMORY: tuple[type[Record], ...] = (
    Group,
    Chat,
    Outgoing,
    Sent,
    Invite,
    Join,
    Profile,
    Seen,
    Package,
    Invitation,
    Contact,
)
"""Kinds that the engine holds in memory; lines are only written, and read by pages."""
DEVICE_KINDS: dict[bytes, type[Record]] = {b"me": Me, b"device": Device, b"session": Session}
"""The table `device` has one row of each."""
