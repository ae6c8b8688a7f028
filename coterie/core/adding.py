"""Adding somebody who is known, without a link: key packages of their devices are claimed, checked, and added at once.

The service chooses which key packages it hands out, so each must belong to a device that this one has met, under the
keys that it had; a device that was never met is only named to the user, who may accept its key.
"""

from __future__ import annotations

from typing import Any

from coterie.core import people
from coterie.core.effects import DIRECTORY_LANE
from coterie.core.group import commits, fetching, lines, outbox
from coterie.core.mls import new_id
from coterie.core.records import Group, Outgoing, group_key
from coterie.core.state import Turn
from coterie.errors import StateError

UNKNOWN = "You have met no device of this person, so only an invite link can bring them here."
NOBODY = "{0} has no device that can be added now. An invite link works for everybody."


def ask(turn: Turn, group_id: str, user_id: str, accept: list[str]) -> str:
    """Claim key packages of a user's devices; the id of the claim. `accept`: identity keys (hex) of devices never met.

    Raises `StateError` (`unknown_person`, or why the group does not send).
    """
    group = lines.need_sending(turn, group_id)
    own = turn.backend.user_id
    if user_id != own and not any(one.user_id == user_id for one in people.met(turn).values()):
        raise StateError("unknown_person", UNKNOWN)
    claim_id = new_id(turn.mls)
    note = {"group_id": group.group_id, "user_id": user_id, "accept": accept}
    fields = {"claim_id": claim_id, "user_ids": [user_id]}
    outbox.post(turn, DIRECTORY_LANE, "key_packages_claim", fields, note=note)
    return claim_id


def claimed(turn: Turn, row: Outgoing, status: int, body: dict[str, Any]) -> dict[str, Any] | None:
    """The final answer to a claim; `Addition` of docs/bridge.md, or None when the group does not send any more."""
    turn.delete(row)
    group = turn.get(Group, group_key(row.note["group_id"]))
    if group is None or not group.can_send:
        return None
    outcome: dict[str, Any] = {
        "group_id": group.group_id,
        "user_id": row.note["user_id"],
        "added": [],
        "members": [],
        "new_keys": [],
        "refused": [],
        "missing": 0,
        "why": "",
    }
    if status >= 400:
        outcome["why"] = str(body.get("message") or f"The service answered {status}.")
        return outcome
    group = _sort(turn, group, row, body, outcome)
    turn.put(group)
    if outcome["refused"]:
        group = lines.notice(turn, group, "refused_key", [_name(turn, row.note["user_id"])])
    if not any(outcome[kind] for kind in ("added", "members", "new_keys", "refused")):
        outcome["why"] = NOBODY.format(_name(turn, row.note["user_id"]))
    commits.advance(turn, group, [])
    return outcome


def _sort(turn: Turn, group: Group, row: Outgoing, body: dict[str, Any], outcome: dict[str, Any]) -> Group:
    """Each key package of the answer by what becomes of it."""
    packages, missing = body.get("key_packages"), body.get("missing")
    outcome["missing"] = len(missing) if isinstance(missing, list) else 0
    known = people.met(turn)
    for raw in packages if isinstance(packages, list) else []:
        leaf, package = fetching.checked(turn, raw)
        if (
            leaf is None
            or leaf.user_id != row.note["user_id"]
            or people.differs(known.get(leaf.identity), leaf)
        ):
            outcome["refused"].append(leaf.identity if leaf else "")
        elif lines.member(turn, group, leaf.identity):
            outcome["members"].append(leaf.identity)
        elif leaf.identity not in known and leaf.identity_key.hex() not in row.note["accept"]:
            outcome["new_keys"].append({"device_id": leaf.device_id, "key": leaf.identity_key.hex()})
        else:
            wanted = [one for one in group.adding if one[0] != leaf.identity]
            group = group.with_(adding=[*wanted, [leaf.identity, leaf.signature_key, package]])
            outcome["added"].append(leaf.identity)
    return group


def fetched(turn: Turn, row: Outgoing, status: int, body: dict[str, Any]) -> None:
    """The final answer to a claim of devices that a group wants by itself: they are added."""
    group = fetching.answered(turn, row, status, body)
    if group:
        commits.advance(turn, group, [])


def _name(turn: Turn, user_id: str) -> str:
    found = (one.name for one in people.met(turn).values() if one.user_id == user_id and one.name)
    return next(found, None) or "This person"
