"""The rows of a device's state, apart from the binding's own: one frozen record a kind, in CBOR behind a version.

A record is a CBOR array of its fields in order, so a field can be added at the end with a default and old rows still
read. Rows of user data (`UserRow`: lines, names, settings) carry an id, a revision and a time, so that they can be
synced one day; rows of MLS state never do, so that they never can.
"""

from __future__ import annotations

from coterie.core.records.base import Record, UserRow, corrupt, group_key
from coterie.core.records.group import (
    BEHIND,
    SEGMENTS,
    SERVICE_BEHIND,
    Chat,
    Group,
    Line,
    Outgoing,
    Profile,
    Recent,
    Seen,
    Sent,
    line_key,
)
from coterie.core.records.leaf import Leaf
from coterie.core.records.own import Device, Me, Package, Session
from coterie.core.records.people import Contact, Invitation, Invite, Join

__all__ = [
    "ABOUT_GROUP",
    "BEHIND",
    "DEVICE_KINDS",
    "IN_MEMORY",
    "SEGMENTS",
    "SERVICE_BEHIND",
    "Chat",
    "Contact",
    "Device",
    "Group",
    "Invitation",
    "Invite",
    "Join",
    "Leaf",
    "Line",
    "Me",
    "Outgoing",
    "Package",
    "Profile",
    "Recent",
    "Record",
    "Seen",
    "Sent",
    "Session",
    "UserRow",
    "corrupt",
    "group_key",
    "line_key",
]

IN_MEMORY: tuple[type[Record], ...] = (
    Group,
    Chat,
    Outgoing,
    Sent,
    Invite,
    Join,
    Profile,
    Recent,
    Seen,
    Package,
    Invitation,
    Contact,
    Leaf,
)
"""Kinds that the engine holds in memory; lines are only written, and read by pages."""
ABOUT_GROUP: tuple[type[Record], ...] = (Leaf, Profile, Recent, Seen)
"""Kinds whose keys begin with a group's, beside the group and its outbox."""
DEVICE_KINDS: dict[bytes, type[Record]] = {b"me": Me, b"device": Device, b"session": Session}
"""The table `device` has one row of each."""
