"""MLS (RFC 9420) for one device: the contract of the compiled module.

Bytes in, bytes out. MLS objects are framed as `MLSMessage` (RFC 9420 section 6). Every call that changes
state is all or nothing: when it raises, nothing has changed. What it changed is handed out by
`take_changes()`, to be saved *before* anything that the call returned leaves the device.
"""

import builtins
from collections.abc import Mapping, Sequence
from typing import final

__all__ = [
    "Application",
    "Backend",
    "Commit",
    "Joined",
    "KeyPackage",
    "Member",
    "Merged",
    "Own",
    "Rejoin",
    "header",
    "hkdf",
    "open",
    "random_bytes",
    "seal",
]

@final
class Member:
    """One leaf of a group."""

    index: int
    """Leaf index (RFC 9420 section 7.7)."""
    identity: str
    """`user_id#device_id`, from the basic credential."""
    user_id: str
    device_id: str
    signature_key: bytes
    """Ed25519 public key of the leaf, 32 bytes."""
    encryption_key: bytes
    """HPKE public key of the leaf; a new one with every update of the leaf."""
    identity_key: bytes
    """Ed25519 public key that signed the device certificate, 32 bytes."""

@final
class KeyPackage:
    """A key package made by this device, or one that was checked."""

    bytes: builtins.bytes
    """The key package, framed as MLSMessage."""
    ref: builtins.bytes
    """KeyPackageRef (RFC 9420 section 5.2), 32 bytes."""
    leaf: Member
    """The leaf that it would add; `index` is 0 and means nothing."""
    last_resort: bool
    not_after: int
    """Seconds since 1970, from the lifetime."""

@final
class Commit:
    """A commit that was built and is pending; merged by `merge_pending` when it comes back."""

    commit: bytes
    welcome: bytes | None
    """One Welcome for everybody who was added."""
    group_info: bytes
    """GroupInfo of the epoch after the commit, with ratchet tree and external key."""
    epoch: int
    """The epoch in which it was framed, which it ends."""

@final
class Joined:
    """A group that was entered by a Welcome."""

    group_id: bytes
    epoch: int
    inviter: Member
    """Who signed the GroupInfo in the Welcome."""
    group_data: bytes
    """GroupContext extension 0xff11."""

@final
class Application:
    """An application message of another member."""

    sender: Member
    epoch: int
    data: bytes
    authenticated_data: bytes

@final
class Merged:
    """A commit that was merged; the group is in `epoch` now."""

    committer: Member
    """As it was before the commit; for an external commit, the new leaf."""
    epoch: int
    added: list[Member]
    removed: list[Member]
    updated: list[Member]
    """Leaves with new keys and the same identity, the committer's path leaf among them."""
    external: bool
    """An external commit: a resync of `committer`, whose older leaf is in `removed`."""
    group_data: bytes | None
    """GroupContext extension 0xff11, if this commit changed it."""
    self_removed: bool
    """This device is no longer a member; the group only serves to be forgotten."""
    authenticated_data: bytes

@final
class Own:
    """A message that names this device as its sender: not decrypted, so *not* authenticated."""

    content_type: int
    """1 application, 2 proposal, 3 commit (RFC 9420 section 6)."""
    epoch: int

@final
class Rejoin:
    """An external commit that replaces this device's own leaf (RFC 9420 section 12.4.3.2)."""

    commit: bytes
    group_info: bytes
    epoch: int
    """The epoch which it ends."""
    record: bytes
    """All rows of the rejoined group, for `merge_rejoin`; save it beside the old rows."""
    members: list[Member]

@final
class Backend:
    """The MLS state of one device: its signer and all its groups, behind one lock."""

    @staticmethod
    def create(user_id: str) -> Backend:
        """Make a device: signature key and identity key, both Ed25519.

        Raises `Malformed` when `user_id` is empty, over 200 bytes, or has a '#'.
        """

    @staticmethod
    def load(rows: Mapping[bytes, bytes]) -> Backend:
        """The device that was saved row by row. Raises `Corrupt`."""

    def export_state(self) -> bytes:
        """Everything, private keys included, in one value for `import_state`. Keep it secret."""

    @staticmethod
    def import_state(state: bytes) -> Backend:
        """A copy of another device's state that reads and never sends.

        Two devices that send from one state would use message keys twice, so every call that encrypts,
        commits, joins, or makes a group or key package raises `NotAllowed` for it. `rejoin` and `merge_rejoin`
        work, and from then on it sends in that group. Raises `Malformed`.
        """

    @property
    def read_only(self) -> bool:
        """True for an imported state, and for what was loaded from its rows."""
    @property
    def user_id(self) -> str: ...
    @property
    def device_id(self) -> str | None:
        """None until `bind_device`."""
    @property
    def signature_key(self) -> bytes: ...
    @property
    def identity_key(self) -> bytes: ...
    @property
    def certificate(self) -> bytes:
        """Device certificate: version (1 byte, 1) ‖ identity key (32) ‖ signature (64).

        Signed is "coterie certificate v1" ‖ user id ‖ device id ‖ signature_key, each preceded by its length
        (u16, big-endian). Raises `NotAllowed` before `bind_device`.
        """

    def sign_device_proof(self, sub: str, session_id: str) -> bytes:
        """Signature over "coterie device v1" ‖ sub ‖ session_id ‖ signature_key.

        Each of the four, the label too, is preceded by its length (u16, big-endian).
        """

    def bind_device(self, device_id: str) -> None:
        """Take the id that the service gave; makes the certificate. The same id again is a no-op.

        Raises `NotAllowed` when another id is bound, `Malformed` when the identity would pass 255 bytes.
        """

    def take_changes(self) -> dict[bytes, bytes | None]:
        """What changed since the last call, by storage key; None means delete."""

    def rollback(self) -> None:
        """Undo what changed since the last `take_changes`; the groups touched are loaded again."""

    def create_key_package(
        self, *, suite: int = 1, lifetime: int = 7257600, last_resort: bool = False
    ) -> KeyPackage:
        """Make a key package, its private keys in the state. `lifetime` in seconds, at most 84 days."""

    def delete_key_package(self, ref: bytes) -> None:
        """Forget one, for example of a join that was cancelled. Unknown refs are fine."""

    def check_key_package(self, key_package: bytes) -> KeyPackage:
        """Parse and check somebody's: signatures, lifetime, capabilities, credential, certificate.

        Raises `Malformed`, `Forged`, `Unacceptable`, `Unsupported`.
        """

    def create_group(self, group_data: bytes, *, suite: int = 1) -> bytes:
        """Make a group with this device as its one member; its random group id, 16 bytes.

        `group_data` becomes GroupContext extension 0xff11 and can be read by the service.
        """

    def load_group(self, group_id: bytes) -> None:
        """Bring a saved group into memory; sending and receiving do it by themselves.

        Raises `NotAllowed` when there is none, `Corrupt`.
        """

    def delete_group(self, group_id: bytes) -> None:
        """Remove all rows of a group."""

    def groups(self) -> list[bytes]:
        """Group ids that have rows."""

    def members(self, group_id: bytes) -> list[Member]: ...
    def own_leaf(self, group_id: bytes) -> Member: ...
    def epoch(self, group_id: bytes) -> int: ...
    def suite(self, group_id: bytes) -> int: ...
    def epoch_authenticator(self, group_id: bytes) -> bytes: ...
    def tree_hash(self, group_id: bytes) -> bytes: ...
    def group_data(self, group_id: bytes) -> bytes: ...
    def group_info(self, group_id: bytes) -> bytes:
        """GroupInfo of the present epoch, with ratchet tree and external key."""

    def export_secret(self, group_id: bytes, label: str, context: bytes, length: int) -> bytes:
        """MLS exporter (RFC 9420 section 8.5)."""

    def has_pending_commit(self, group_id: bytes) -> bool: ...
    def encrypt(self, group_id: bytes, data: bytes, authenticated_data: bytes = b"") -> bytes:
        """An application message as PrivateMessage. Raises `NotAllowed`, `Malformed` over 1 MiB."""

    def commit(
        self,
        group_id: bytes,
        *,
        add: Sequence[bytes] = (),
        remove: Sequence[int] = (),
        group_data: bytes | None = None,
        authenticated_data: bytes = b"",
    ) -> Commit:
        """Several changes in one commit, always with an update path; without any it is a self-update.

        `add` are key packages, `remove` leaf indices. The commit stays pending: `merge_pending` when it came
        back, `discard_pending` when it was refused for good; merging another commit drops it. Raises
        `NotAllowed` while one is pending, and for leaves that are not there or our own; `Unacceptable` when an
        identity would stand in the group twice; `Malformed` when it is too large; and what
        `check_key_package` raises.
        """

    def merge_pending(self, group_id: bytes) -> Merged:
        """Merge the pending commit. Raises `NotAllowed` without one."""

    def discard_pending(self, group_id: bytes) -> None:
        """Forget the pending commit. Raises `NotAllowed` without one."""

    def join(self, welcome: bytes) -> Joined:
        """Enter a group; every leaf is checked. The key package is used up only when this succeeds.

        Raises `Malformed`, `Forged`, `Unacceptable`, `Unsupported`, `NotAllowed` (no key package for it, or a
        member already; who was removed may enter again).
        """

    def process(self, group_id: bytes, message: bytes) -> Application | Merged | Own:
        """Open one message: decrypt it, or check and merge a commit in the same call.

        Standalone proposals are `Unacceptable`. Per sender and epoch, the keys of 64 late messages are kept
        (older ones are `Stale`), and a message may be 2,000 ahead of the last one (further is `TooEarly`).
        Raises `Malformed` (over 1 MiB too), `WrongGroup`, `Stale`, `TooEarly`, `Forged`, `Unacceptable`,
        `NotAllowed` (no such group, or removed from it).
        """

    def inspect_group_info(self, group_info: bytes) -> tuple[bytes, int, Member, bytes]:
        """Of a GroupInfo with tree, checked: group id, epoch, its signer, group data.

        Raises `Malformed`, `Forged`, `Unacceptable`, `Unsupported`.
        """

    def rejoin(self, group_info: bytes, authenticated_data: bytes = b"") -> Rejoin:
        """Build an external commit that replaces the own leaf, in a store of its own.

        Nothing here changes. Raises what `inspect_group_info` raises, and `Unacceptable` when the own leaf
        (same identity and signature key) is not in the tree.
        """

    def merge_rejoin(self, record: bytes) -> Merged:
        """Put the rejoined group in the place of the old rows, in one change.

        Told is what the commit did, as to the other members; what else changed since the old rows shows when
        `members` is compared. `group_data` is None when it is what the old rows had. Raises `Corrupt`.
        """

def seal(key: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    """AES-256-GCM; the nonce (12 bytes) is made inside and stands first."""

def open(key: bytes, sealed: bytes, associated_data: bytes) -> bytes:  # noqa: A001 - the opposite of seal
    """The opposite of `seal`. Raises `Forged`."""

def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256 (RFC 5869)."""

def random_bytes(length: int) -> bytes:
    """From the operating system."""

def header(message: bytes) -> tuple[int, bytes, int, int]:
    """Of a PrivateMessage or PublicMessage, unauthenticated: wire format, group id, epoch, content type."""
