"""Rows of this device: its session, its person, how it stands with the service, its key packages."""

from __future__ import annotations

from dataclasses import dataclass

from coterie.core.records.base import Record, UserRow


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

    @property
    def key(self) -> bytes:
        return b"device"


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
