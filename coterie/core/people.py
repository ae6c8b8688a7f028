"""Who this device knows: everybody in its groups, and those of groups that are over, each with the keys they had.

A device keeps its keys for ever, so an identity (`user#device`) that shows other keys is not that device. What is known
is what MLS authenticated in some group; the service is not asked.

A leaf alone proves little: whoever adds one chooses its keys and the name that it claims. A device that was *heard*, by
a message that its own session posted, can only have been made up by the service and a member together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from coterie.core import views
from coterie.core.mls import Member, new_id
from coterie.core.records import Contact, Group
from coterie.core.state import Turn


@dataclass(slots=True)
class Known:
    """One device as this one met it."""

    identity: str
    signature_key: bytes
    identity_key: bytes
    name: str | None = None
    heard: bool = False
    groups: list[str] = field(default_factory=list)
    """Ids of the groups in which it is now."""

    @property
    def user_id(self) -> str:
        return self.identity.partition("#")[0]


def met(turn: Turn, *, outside: str = "") -> dict[str, Known]:
    """Every device that was met, by identity; of another group than `outside`."""
    known = {
        one.identity: Known(one.identity, one.signature_key, one.identity_key, one.name or None, one.heard)
        for one in turn.rows(Contact)
        if not one.deleted
    }
    groups = turn.rows(Group)
    # A device that has only restored a backup has no keys yet.
    kept = set(turn.backend.groups()) if groups else set()
    for group in groups:
        for leaf in _leaves(turn, group, kept) if group.group_id != outside else []:
            found = known.setdefault(
                leaf.identity, Known(leaf.identity, leaf.signature_key, leaf.identity_key)
            )
            found.name = views.name_of(turn, group.group_id, leaf.identity) or found.name
            if group.state == "active":
                found.groups.append(group.group_id)
    return known


def leaves(turn: Turn, group: Group) -> list[Member]:
    """Who is in a group, or was when this device left it; nobody where its keys are gone."""
    return _leaves(turn, group, set(turn.backend.groups()))


def _leaves(turn: Turn, group: Group, kept: set[bytes]) -> list[Member]:
    return turn.backend.members(group.mls_id) if group.mls_id in kept else []


def impostors(turn: Turn, leaves: Iterable[Member], *, outside: str = "") -> list[str]:
    """What people are called whose leaves have other keys than those under which this device knows them."""
    known = met(turn, outside=outside)
    found = ((known.get(leaf.identity), leaf) for leaf in leaves)
    return [one.name or one.identity for one, leaf in found if one and differs(one, leaf)]


def among(leaves: Iterable[Member], leaf: Member) -> bool:
    """Whether a device stands among `leaves`, with its keys."""
    return any(one.identity == leaf.identity and not differs(one, leaf) for one in leaves)


def differs(known: Known | Member | None, leaf: Member) -> bool:
    """Whether a leaf has other keys than the device that was met; False for one that never was."""
    return known is not None and (known.signature_key, known.identity_key) != (
        leaf.signature_key,
        leaf.identity_key,
    )


def shut_out(turn: Turn, group: Group, leaf: Member) -> bool:
    """Whether a joiner by a link must not come in: a member, or a device that was heard, has its name and other keys.

    One that was never heard does not stand in the way: anybody could have added it under the name of who joins now.
    """
    here = [one for one in turn.backend.members(group.mls_id) if one.identity == leaf.identity]
    known = met(turn).get(leaf.identity)
    return any(differs(one, leaf) for one in here) or (
        known is not None and known.heard and differs(known, leaf)
    )


def keep(turn: Turn, group: Group, leaves: Iterable[Member]) -> None:
    """Remember devices that are about to be out of sight."""
    own = f"{turn.backend.user_id}#{turn.backend.device_id}"
    for leaf in leaves:
        if leaf.identity == own:
            continue
        old = turn.get(Contact, leaf.identity.encode())
        name = views.name_of(turn, group.group_id, leaf.identity) or (old.name if old else "")
        if old is None:
            turn.put(_contact(turn, leaf, name, heard=False))
        elif old.name != name:
            turn.put(old.changed(turn.now, name=name))


def hear(turn: Turn, sender: Member) -> None:
    """Pin the keys of a device by a message that its own session posted; keys that were heard before stay."""
    old = turn.get(Contact, sender.identity.encode())
    if old is None:
        turn.put(_contact(turn, sender, "", heard=True))  # `keep` adds the name
    elif not old.heard:
        keys = {"signature_key": sender.signature_key, "identity_key": sender.identity_key}
        turn.put(old.changed(turn.now, **keys, heard=True))


def _contact(turn: Turn, leaf: Member, name: str, *, heard: bool) -> Contact:
    return Contact(
        id=new_id(turn.mls),
        rev=1,
        modified_at=turn.now,
        identity=leaf.identity,
        signature_key=leaf.signature_key,
        identity_key=leaf.identity_key,
        name=name,
        heard=heard,
    )


def listed(turn: Turn) -> list[dict[str, Any]]:
    """`[Person]` of docs/bridge.md: other users, by name; those with whom a group is shared now come first."""
    own, users = turn.backend.user_id, dict[str, list[Known]]()
    for known in met(turn).values():
        if known.user_id != own:
            users.setdefault(known.user_id, []).append(known)
    people = [_person(user_id, devices) for user_id, devices in users.items()]
    return sorted(people, key=lambda one: (not one["groups"], (one["name"] or "").casefold(), one["user_id"]))


def _person(user_id: str, devices: list[Known]) -> dict[str, Any]:
    named = [one for one in devices if one.name]
    return {
        "user_id": user_id,
        "name": next((one.name for one in named if one.groups), named[0].name if named else None),
        "fingerprint": devices[0].identity_key[:4].hex(),
        "devices": len(devices),
        "groups": sorted({group_id for one in devices for group_id in one.groups}),
    }


def name_of(turn: Turn, identity: str) -> str | None:
    """How a device's person calls themselves in whatever group, or None."""
    for group in turn.rows(Group):
        name = views.name_of(turn, group.group_id, identity)
        if name:
            return name
    contact = turn.get(Contact, identity.encode())
    return (contact.name or None) if contact else None


def shared_groups(turn: Turn, identity: str) -> list[Group]:
    """The groups in which a device is, and in which this one may act."""
    return [
        group
        for group in turn.rows(Group)
        if group.can_send and any(leaf.identity == identity for leaf in turn.backend.members(group.mls_id))
    ]
