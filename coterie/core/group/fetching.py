"""Key packages of devices that this one knows, for a group that wants them back, or as its first members.

The service chooses what it hands out, so each must be of a device that was wanted, under the keys that it had.
"""

from __future__ import annotations

from typing import Any

from coterie.core import people
from coterie.core.effects import DIRECTORY_LANE
from coterie.core.group import lines, outbox
from coterie.core.mls import Member, new_id
from coterie.core.records import Group, Outgoing, group_key
from coterie.core.state import Turn
from coterie_wire import WireError, from_hex, is_uuid

MOST_USERS = 50
"""In one claim; the service's bound."""


def ask(turn: Turn, group: Group, identities: list[str]) -> None:
    """Claim key packages of these devices, to add them to the group."""
    users = sorted({identity.partition("#")[0] for identity in identities})
    for some in (users[start : start + MOST_USERS] for start in range(0, len(users), MOST_USERS)):
        wanted = [identity for identity in identities if identity.partition("#")[0] in some]
        fields = {"claim_id": new_id(turn.mls), "user_ids": some}
        note = {"group_id": group.group_id, "identities": wanted}
        outbox.post(turn, DIRECTORY_LANE, "key_packages_claim", fields, note=note)


def answered(turn: Turn, row: Outgoing, status: int, body: dict[str, Any]) -> Group | None:
    """The final answer to such a claim: the group that wants the devices, or None when it does not send any more.

    Who cannot be added is a line.
    """
    turn.delete(row)
    group = turn.get(Group, group_key(row.note["group_id"]))
    if group is None or not group.can_send:
        return None
    packages = body.get("key_packages") if status < 300 else None
    known, found = people.met(turn), set()
    for raw in packages if isinstance(packages, list) else []:
        leaf, package = checked(turn, raw)
        if leaf is None or leaf.identity not in row.note["identities"] or leaf.identity in found:
            continue
        if leaf.identity not in known or people.differs(known[leaf.identity], leaf):
            group = lines.notice(turn, group, "refused_key", [_name(turn, leaf.identity)])
        elif not lines.member(turn, group, leaf.identity):
            others = [one for one in group.adding if one[0] != leaf.identity]
            group = group.with_(adding=[*others, [leaf.identity, leaf.signature_key, package]])
        found.add(leaf.identity)
    for identity in row.note["identities"]:
        if identity not in found:
            group = lines.notice(turn, group, "not_reached", [_name(turn, identity)])
    turn.put(group)
    return group


def checked(turn: Turn, raw: Any) -> tuple[Member | None, bytes]:
    """The leaf that a claimed key package would add, and the package, if it is the device's that the service names."""
    try:
        package = from_hex(raw.get("key_package") if isinstance(raw, dict) else None, name="key_package")
        leaf = turn.backend.check_key_package(package).leaf
    except (WireError, turn.mls.MlsError):
        return None, b""
    named = (raw.get("user_id"), raw.get("device_id"))
    fits = named == (leaf.user_id, leaf.device_id) and is_uuid(leaf.device_id)  # MLS takes any id
    return (leaf, package) if fits else (None, b"")


def _name(turn: Turn, identity: str) -> str:
    return people.name_of(turn, identity) or identity
