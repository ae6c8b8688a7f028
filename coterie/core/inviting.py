"""Invite links of the groups that this device is in: make one, list them, end one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from coterie.core import invite, views
from coterie.core.group import controls, lines, outbox
from coterie.core.records import Chat, Group, Invite, Me
from coterie.core.state import Turn
from coterie.errors import LocalError, StateError


def check(lifetime: int, max_uses: int) -> None:
    """Raises `LocalError` (`bad_invite`) for an invite out of its bounds; `lifetime` in seconds."""
    if not (1 <= lifetime <= invite.MAX_LIFETIME and 1 <= max_uses <= invite.MAX_USES):
        raise LocalError("bad_invite", "An invite link lasts up to a year and lets in up to 100,000.")


def create(turn: Turn, group_id: str, lifetime: int, max_uses: int, origin: str) -> dict[str, Any]:
    """A link; its view. The members are told, so that any of them can let people in."""
    group = lines.need_sending(turn, group_id)
    link = invite.Link(turn.mls.random_bytes(invite.ID_SIZE), turn.mls.random_bytes(invite.SECRET_SIZE))
    made = _new_invite(turn, group, link, lifetime, max_uses)
    turn.put(made)
    group = outbox.call(turn, group, "invite_create", **_invite_fields(turn, group, made))
    outbox.send_control(turn, group, {"type": "invite", "invite": controls.invite_body(made)})
    return views.invite(made, link.url(origin))


def _new_invite(turn: Turn, group: Group, link: invite.Link, lifetime: int, max_uses: int) -> Invite:
    keys = invite.Keys.derive(turn.mls, link.invite_id, link.secret)
    return Invite(
        invite_id=link.invite_id,
        group_id=group.group_id,
        preview_key=keys.preview,
        tag_key=keys.tag,
        welcome_key=keys.welcome,
        created_at=turn.now,
        expires_at=turn.now + lifetime * 1000,
        max_uses=max_uses,
        secret=link.secret,
    )


def _invite_fields(turn: Turn, group: Group, made: Invite) -> dict[str, Any]:
    chat, me = turn.get(Chat, group.key), turn.get(Me, b"me")
    if chat is None or me is None:
        raise StateError("no_name", "Choose a name first.")
    preview = invite.Preview(
        group_id=group.group_id,
        mls_id=group.mls_id,
        group_name=chat.name,
        inviter_name=me.name,
        inviter_key=turn.backend.identity_key,
        expires_at=made.expires_at,
    )
    expires = datetime.fromtimestamp(made.expires_at / 1000, UTC)
    return {
        "invite_id": made.invite_id,
        "group_id": group.group_id,
        "preview": preview.seal(turn.mls, made.preview_key, made.invite_id),
        "expires_at": expires.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "max_uses": made.max_uses,
        "approval": False,
    }


def listed(turn: Turn, group_id: str, origin: str) -> list[dict[str, Any]]:
    """The invites of a group that this device knows, the newest first."""
    lines.need(turn, group_id)
    known = [one for one in turn.rows(Invite) if one.group_id == group_id and one.tag_key]
    return [
        views.invite(
            one if one.alive(turn.now) else one.with_(ended=True),
            invite.Link(one.invite_id, one.secret).url(origin)
            if one.secret and one.alive(turn.now)
            else None,
        )
        for one in sorted(known, key=lambda one: -one.created_at)
    ]


def revoke(turn: Turn, invite_id: str) -> None:
    """End an invite for the service and the members. Raises `StateError` (`no_invite`)."""
    try:
        known = turn.get(Invite, bytes.fromhex(invite_id))
    except ValueError:
        known = None
    if known is None:
        raise StateError("no_invite", "There is no such invite on this device.")
    group = lines.need_sending(turn, known.group_id)
    turn.put(known.with_(ended=True))
    group = outbox.call(turn, group, "invite_revoke", invite_id=known.invite_id)
    outbox.send_control(turn, group, {"type": "invite_end", "id": known.invite_id})
