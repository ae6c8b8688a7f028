"""The user's own devices: taking one out of use, here and in every group that this device shares with it."""

from __future__ import annotations

from typing import Any

from coterie.core import people
from coterie.core.effects import DIRECTORY_LANE
from coterie.core.group import commits, outbox
from coterie.core.records import Outgoing
from coterie.core.state import Turn
from coterie.errors import StateError
from coterie_wire import is_uuid


def revoke(turn: Turn, device_id: str) -> None:
    """Have the service refuse a device for ever, and remove its leaf from the shared groups.

    Raises `StateError` (`own_device`, `no_device`).
    """
    if device_id == turn.backend.device_id:
        raise StateError("own_device", "This is the device that you are using. Sign out instead.")
    if not is_uuid(device_id):
        raise StateError("no_device", "There is no such device.")
    identity = f"{turn.backend.user_id}#{device_id}"
    outbox.post(turn, DIRECTORY_LANE, "device_revoke", {"device_id": device_id})
    for group in people.shared_groups(turn, identity):
        group = group.with_(removals=sorted({*group.removals, identity}))  # noqa: PLW2901
        turn.put(group)
        commits.advance(turn, group, [])


def answered(turn: Turn, row: Outgoing, status: int, body: dict[str, Any]) -> None:
    """The final answer to `device_revoke`."""
    turn.delete(row)
    if status >= 400:
        sentence = str(body.get("message") or f"The service answered {status}.")
        turn.show("problem", code=str(body.get("code", "refused")), sentence=sentence)
    turn.show("devices_changed")


def in_groups(turn: Turn, listed: list[Any]) -> list[dict[str, Any]]:
    """`[Device]` of docs/bridge.md: the service's list, and in how many of our groups each stands."""
    own = turn.backend.user_id
    return [
        {
            "device_id": str(one.get("device_id")),
            "name": str(one.get("name")),
            "created_at": one.get("created_at"),
            "last_seen": one.get("last_seen"),
            "current": one.get("device_id") == turn.backend.device_id,
            "revoked": one.get("revoked_at") is not None,
            "key": turn.backend.identity_key.hex()
            if one.get("device_id") == turn.backend.device_id
            else None,
            "groups": len(people.shared_groups(turn, f"{own}#{one.get('device_id')}")),
        }
        for one in listed
        if isinstance(one, dict)
    ]
