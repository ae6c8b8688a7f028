"""Rows of a group: its state, what the user sees of it, what goes out and what came back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from coterie.core.records.base import Record, UserRow, group_key

SERVICE_BEHIND = ("service_behind", "epoch_lost")
"""Causes for which an active group does not send until the service has this device's state, or a later one."""
BEHIND = ("state_behind", *SERVICE_BEHIND)
"""Causes for which an active group does not send until this device has come back into it."""


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
    """A cause code (`causes.CAUSES`) when it is not active, or does not send."""
    cursor: int = 0
    """The last seq that is saved."""
    index: int = 0
    """The next free index of a line at the cursor's seq."""
    counter: int = 0
    """PrivateMessages that this device framed in this epoch."""
    next_order: int = 0
    """The next place in the outbox."""
    unread: int = 0
    last_text: str = field(default="", repr=False)
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
    astray: list[Any] = field(default_factory=list)
    """[device id, how] where the service's roster is not the group's (`group/roster.py`)."""
    mend_at: int = 0
    """When this device mends that by a commit of its own, if no other commit did; 0: nothing to mend."""
    offenders: list[Any] = field(default_factory=list)
    """[identity, due at (ms), tries] of who broke the roles: anybody may remove them (`group/roles.py`)."""
    wronged: list[Any] = field(default_factory=list)
    """[identity, due at (ms), listed until (ms; 0: not yet)] of those whom a breach took out: they are brought back."""
    told: bool = True
    """False from entering until a member tells who asked to leave and who broke the roles: so long this device judges
    nobody.
    """
    suspect: str = ""
    """Of a broken group: the identity from which the change came that broke it, by the service's word."""
    after: str = ""
    """The id of the broken group from which this one goes on."""
    goes_on_in: str = ""
    """Of a broken group: the id of the one in which it was started again."""
    leaf_key: bytes = b""
    """The own leaf's encryption key of which the next four tell; empty before it was looked at."""
    renewed_at: int = 0
    """When it came in; 0: with the key package, so others may have it."""
    renew_at: int = 0
    """When to renew it."""
    renew_soon: bool = False
    """Somebody was removed since it came in."""
    framed: int = 0
    """Messages framed under it."""
    losses: int = 0
    """Own commits in a row whose epoch another's won."""
    commit_at: int = 0
    """No own commit is built before."""
    counts: dict[str, int] = field(default_factory=dict)
    """How often each cause that is counted has happened (`causes.counts`)."""
    entered_at: int = 0
    """When this device made the group or came in; 0: before that was kept."""
    last_committer: int = -1
    """The leaf index of who made the last commit that came in; -1: none did."""
    last_commit_at: int = 0
    """The service's time of it."""
    rejoin_due: int = 0
    """When to ask for the GroupInfo of a rejoin; 0: none is wanted. Milliseconds, as in the next."""
    rejoin_at: int = 0
    """When this device last came back by itself, or will."""
    rejoin_tries: int = 0
    """How often the present rejoin lost its epoch to another commit."""
    passed: int = 0
    """Messages that were passed over since the group could not be read on."""
    went_back: int = 0
    """How many seqs the service has given anew since it lost them: places here are its seqs and so many."""
    in_doubt: bool = False
    """A message could not be read, in which somebody may have said that they leave: until a member tells who did, a
    removal is no breach to this device.
    """

    @property
    def key(self) -> bytes:
        return group_key(self.group_id)

    @property
    def over(self) -> bool:
        """This device is not a member any more."""
        return self.state in ("left", "removed")

    @property
    def stuck(self) -> bool:
        """A member that can neither read on nor send: broken, or this device or the service is behind the other."""
        return self.state == "broken" or self.why in BEHIND

    @property
    def dead_end(self) -> bool:
        """Nothing leads on from here: broken, or of an epoch that the service has lost. It can be started again."""
        return self.state == "broken" or (self.state == "active" and self.why == "epoch_lost")

    @property
    def service_cursor(self) -> int:
        """The cursor in the service's count."""
        return self.cursor - self.went_back

    @property
    def can_send(self) -> bool:
        return self.state == "active" and not self.why


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat(UserRow):
    """What the user sees of a group; `id` is the group's UUID."""

    TABLE = "chats"
    name: str
    read_seq: int = 0
    archived: int = 0
    """When its last line was said (ms), of a chat from a backup while there is no group of it; else 0."""
    former: list[str] = field(default_factory=list)
    """Identities that were the user's own in lines from a backup."""

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
    """A cause code (`causes.CAUSES`); empty for a text."""
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


SEGMENTS = 8
"""Rows of a sender; the oldest is written over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent(Record):
    """What came last from one sender, so that it is shown once: a segment of it (`core/group/once.py`)."""

    TABLE = "recent"
    group_id: str
    place: bytes
    """Of the sender: 15 bytes of a digest."""
    number: int
    """Of the segment, counted from the sender's first."""
    digests: list[bytes] = field(default_factory=list)
    """Of content ids, 16 bytes each, the oldest first."""

    @property
    def key(self) -> bytes:
        return group_key(self.group_id) + self.place + bytes([self.number % SEGMENTS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Record):
    """Digest of something that happens once in a group: a leaf that came, a Welcome that served, an hour's cause."""

    TABLE = "seen"
    group_id: str
    seq: int
    digest: bytes

    @property
    def key(self) -> bytes:
        return group_key(self.group_id) + self.digest
