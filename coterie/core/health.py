"""How a group stands on this device: for a dialog of the page, for `coterie doctor`, for the report of a fault.

`view` has names and times for whoever sits here. Its `findings` say the same without a name, a key, an id or a word of
what was written, so that they can be handed to a stranger: members are told apart by their leaf index.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from coterie.core import causes, views
from coterie.core.group import leaves, lines
from coterie.core.records import Device, Group, Outgoing
from coterie.core.state import Turn

MINUTE = 60_000
"""Milliseconds."""
WAITS_LONG = 10 * MINUTE
"""What has waited longer than this in the outbox is worth a look."""
UNITS = ((1440, "day"), (60, "hour"), (1, "minute"))
"""In minutes."""
FINE = frozenset({"", "left_self", "not_a_member", "imported"})
"""Causes of not sending that are as they should be."""


def view(turn: Turn, group_id: str, *, connection: str, last_seq: int | None, service: str) -> dict[str, Any]:
    """`Health` of docs/bridge.md. `last_seq` is the service's; where it is not known, `service` says why.

    Raises `StateError` (`no_group`).
    """
    group = lines.need(turn, group_id)
    inside = group.state in ("active", "broken")
    why = "imported" if turn.backend.read_only else group.why
    shown = {
        "group_id": group_id,
        "at": turn.now,
        "state": group.state,
        "code": why or None,
        "why": causes.sentence(why, []) if why else "",
        "epoch": group.epoch,
        "last_commit": _last_commit(turn, group) if inside else None,
        "members": len(turn.backend.members(group.mls_id)) if inside else 0,
        "out_of_date": _out_of_date(turn, group) if inside else [],
        "outbox": _outbox(turn, group),
        "cursor": group.service_cursor,
        "last_seq": last_seq,
        "service": service,
        "connection": connection,
        "session": _session(turn),
        "causes": _causes(turn, group),
    }
    found = _findings(shown)
    return shown | {"findings": found, "good": all(one["good"] for one in found)}


def _last_commit(turn: Turn, group: Group) -> dict[str, Any] | None:
    maker = next(
        (leaf for leaf in turn.backend.members(group.mls_id) if leaf.index == group.last_committer), None
    )
    if maker is None:
        return None
    name = views.name_of(turn, group.group_id, maker.identity)
    return {"leaf": maker.index, "name": name, "at": group.last_commit_at}


def _out_of_date(turn: Turn, group: Group) -> list[dict[str, Any]]:
    return [
        {"leaf": leaf.index, "name": views.name_of(turn, group.group_id, leaf.identity), "days": days}
        for leaf, days in leaves.out_of_date(turn, group)
    ]


def _outbox(turn: Turn, group: Group) -> dict[str, Any]:
    rows = turn.rows(Outgoing, group.key)
    since = [row.at for row in rows if row.at]
    return {"waiting": len(rows), "oldest_at": min(since) if since else None}


def _session(turn: Turn) -> str | None:
    """Why the service does not take this device any more, or None."""
    device = turn.get(Device, b"device")
    return device.ended or None if device else None


def _causes(turn: Turn, group: Group) -> list[dict[str, Any]]:
    """What went wrong here, the most frequent first; `everywhere`: in all groups of this device."""
    everywhere: Counter[str] = Counter()
    for other in turn.rows(Group):
        everywhere.update(other.counts)
    return [
        {
            "code": code,
            "times": group.counts.get(code, 0),
            "everywhere": total,
            "sentence": views.capital(causes.sentence(code, [])),
            "advice": views.capital(causes.advice(code, [])),
        }
        for code, total in sorted(everywhere.items(), key=lambda one: (-group.counts.get(one[0], 0), one[0]))
    ]


def _findings(shown: dict[str, Any]) -> list[dict[str, Any]]:
    """`[{what, text, good}]`: the same for a stranger."""
    told = (
        ("state", *_state(shown)),
        ("epoch", *_epoch(shown)),
        ("members", *_members(shown)),
        ("outbox", *_waiting(shown)),
        ("cursor", *_cursor(shown)),
        ("connection", *_connection(shown)),
        ("causes", *_counted(shown)),
    )
    return [{"what": what, "text": text, "good": good} for what, text, good in told]


def _state(shown: dict[str, Any]) -> tuple[str, bool]:
    text = f"{shown['state']}: {shown['why']}" if shown["why"] else shown["state"]
    return text, shown["state"] != "broken" and (shown["code"] or "") in FINE


def _epoch(shown: dict[str, Any]) -> tuple[str, bool]:
    commit = shown["last_commit"]
    made = f", by leaf {commit['leaf']} at {_time(commit['at'])}" if commit else ""
    return f"{shown['epoch']}{made}", True


def _members(shown: dict[str, Any]) -> tuple[str, bool]:
    old = ", ".join(f"leaf {one['leaf']} ({one['days']} days)" for one in shown["out_of_date"])
    return f"{shown['members']}{'; keys not renewed: ' + old if old else ''}", True


def _waiting(shown: dict[str, Any]) -> tuple[str, bool]:
    waiting, oldest = shown["outbox"]["waiting"], shown["outbox"]["oldest_at"]
    if not waiting:
        return "nothing waits", True
    age = shown["at"] - (oldest or shown["at"])
    return f"{waiting} waiting, the oldest for {span(age)}", age < WAITS_LONG


def _cursor(shown: dict[str, Any]) -> tuple[str, bool]:
    """A service whose last seq lies before the cursor has lost what this device has."""
    cursor, last = shown["cursor"], shown["last_seq"]
    if last is None:
        return f"{cursor}; the service's is not known. {shown['service']}".strip(), True
    return f"{cursor} of {last}", cursor <= last


def _connection(shown: dict[str, Any]) -> tuple[str, bool]:
    """What ended the session ends with it what comes and goes."""
    ended = shown["session"]
    return f"{shown['connection']}{f': {ended}' if ended else ''}", not ended


def _counted(shown: dict[str, Any]) -> tuple[str, bool]:
    here = [one for one in shown["causes"] if one["times"]]
    return ", ".join(f"{one['code']} {one['times']}" for one in here) or "none", True


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def span(milliseconds: int) -> str:
    """How long: in minutes up to two hours, in hours up to two days, in days."""
    minutes = milliseconds // MINUTE
    size, unit = next((size, unit) for size, unit in UNITS if minutes >= 2 * size or size == 1)
    count = minutes // size
    return f"{count} {unit}{'' if count == 1 else 's'}"
