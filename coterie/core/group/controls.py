"""Control messages: what members' devices tell each other inside the encryption (profiles, invites, leaving)."""

from __future__ import annotations

from typing import Any

import cbor2

from coterie.core import people, views
from coterie.core.content import Content, received_name
from coterie.core.group import lines, outbox, roles, tasks
from coterie.core.mls import Member
from coterie.core.records import Chat, Group, Invite, Profile, group_key
from coterie.core.state import Turn
from coterie_wire import WireError, integer, uuid_text

HANDOVER_WITHIN = 60_000
"""How long a newcomer waits for the live invites before asking, in milliseconds."""
MAX_HANDOVER = 768 * 1024
"""Bytes of the control message; the binding frames at most 1 MiB."""
MAX_INVITES = 100
"""Live ones that members tell this device, in a group."""
MAX_KEPT = 200
"""Invites of a group of which this device knows, with those that are over."""
MAX_ENDED = 1000
UNSENT = "the group was started again before it went out."
ID_SIZE = 16
KEY_SIZE = 32


def take(turn: Turn, group: Group, sender: Member, content: Content) -> Group:
    """Act on a control message; unknown types are of a newer version and change nothing."""
    match content.control:
        case {"type": "profile", "name": name}:
            lines.learn_name(turn, group, sender.identity, name, hearsay=False)
        case {"type": "invite", "invite": dict(invite)} if _may_tell(group, content):
            _learn_invite(turn, group, invite)
        case {"type": "invite_end", "id": bytes(invite_id)} if len(invite_id) == ID_SIZE:
            _end_invite(turn, group, invite_id)
        case {"type": "leave"}:
            return _leaving(turn, group, sender)
        case {"type": "handover", "invites": list(invites), "profiles": dict(profiles), **rest}:
            _learn_group_name(turn, group, rest.get("name"))
            group = _learn_after(turn, group, sender, rest.get("after"))
            turn.put(roles.handed_over(turn, group, rest))
            invites = invites if _may_tell(group, content) else []
            return _handed_over(turn, group, invites, profiles, whole="offenders" in rest)
        case {"type": "ask"}:
            return _asked(turn, group, sender)
    return group


def _may_tell(group: Group, content: Content) -> bool:
    """Whether invites in a message can be alive: one that was written in an earlier epoch, and encrypted anew after
    a commit had ended all invites, still names them.
    """
    return content.epoch is not None and content.epoch >= group.invites_since


def invite_body(invite: Invite) -> dict[str, Any]:
    """An invite as members tell it to each other: the keys, never the link's secret."""
    return {
        "id": invite.invite_id,
        "keys": [invite.preview_key, invite.tag_key, invite.welcome_key],
        "created": invite.created_at,
        "expires": invite.expires_at,
        "uses": invite.uses,
        "max": invite.max_uses,
    }


def _learn_invite(turn: Turn, group: Group, body: dict[str, Any]) -> None:
    match body:
        case {
            "id": bytes(invite_id),
            "keys": [bytes(preview), bytes(tag), bytes(welcome)],
            "created": created,
            "expires": expires,
            "uses": uses,
            "max": most,
        } if len(invite_id) == ID_SIZE and {len(preview), len(tag), len(welcome)} == {KEY_SIZE}:
            if turn.get(Invite, invite_id):
                return
            try:
                made = Invite(
                    invite_id=invite_id,
                    group_id=group.group_id,
                    preview_key=preview,
                    tag_key=tag,
                    welcome_key=welcome,
                    created_at=integer(created),
                    expires_at=integer(expires),
                    uses=integer(uses),
                    max_uses=integer(most),
                )
            except WireError:
                return
            if made.alive(turn.now) and len(_alive(turn, group)) < MAX_INVITES:
                _make_room(turn, group)
                turn.put(made)


def _invites(turn: Turn, group: Group) -> list[Invite]:
    return [invite for invite in turn.rows(Invite) if invite.group_id == group.group_id]


def _alive(turn: Turn, group: Group) -> list[Invite]:
    return [invite for invite in _invites(turn, group) if invite.alive(turn.now)]


def _make_room(turn: Turn, group: Group) -> None:
    """For one more invite: of those that are over, the oldest are forgotten."""
    known = [one for one in _invites(turn, group) if one.tag_key]
    over = sorted((one for one in known if not one.alive(turn.now)), key=lambda one: one.created_at)
    for one in over[: max(0, len(known) + 1 - MAX_KEPT)]:
        turn.delete(one)


def _end_invite(turn: Turn, group: Group, invite_id: bytes) -> None:
    """An invite that is not known yet is remembered as ended: a handover written before its end may still come."""
    invite = turn.get(Invite, invite_id)
    if invite and invite.group_id == group.group_id:
        turn.put(invite.with_(ended=True))
    elif invite is None and len(_ended(turn, group)) < MAX_ENDED:
        turn.put(
            Invite(
                invite_id=invite_id,
                group_id=group.group_id,
                preview_key=b"",
                tag_key=b"",
                welcome_key=b"",
                created_at=turn.now,
                expires_at=turn.now,
                max_uses=0,
                ended=True,
            )
        )


def _ended(turn: Turn, group: Group) -> list[Invite]:
    """Ends of invites that this device never knew."""
    return [one for one in turn.rows(Invite) if one.group_id == group.group_id and not one.tag_key]


def _leaving(turn: Turn, group: Group, sender: Member) -> Group:
    """Somebody asked to leave: the lowest leaf removes them at once, the others after it had its time."""
    others = [leaver for leaver in group.leavers if leaver[0] != sender.identity]
    due = turn.now + lines.rank(turn, group, sender.identity) * lines.TURN_STEP
    group = group.with_(leavers=[*others, [sender.identity, sender.index, sender.encryption_key, due]])
    turn.put(group)
    return group


def hand_over(turn: Turn, group: Group) -> Group:
    """Tell newcomers the live invites, and what everybody is called, as far as it fits into one message."""
    group = group.with_(answer_at=0)
    chat = turn.get(Chat, group.key)
    body = {
        "type": "handover",
        "name": chat.name if chat else "",
        "invites": [invite_body(invite) for invite in _alive(turn, group)[:MAX_INVITES]],
        "after": group.after,
    } | roles.handover(group)
    room = MAX_HANDOVER - len(cbor2.dumps(body))
    return outbox.send_control(turn, group, body | {"profiles": _names(turn, group, room)})


def _names(turn: Turn, group: Group, room: int) -> dict[str, str]:
    """What members are called, in the order of their leaves, in at most `room` bytes."""
    names: dict[str, str] = {}
    for leaf in turn.backend.members(group.mls_id):
        profile = turn.get(Profile, group.key + leaf.identity.encode())
        if profile:
            room -= len(cbor2.dumps([leaf.identity, profile.name]))
            if room < 0:
                break
            names[leaf.identity] = profile.name
    return names


def _handed_over(
    turn: Turn, group: Group, invites: list[Any], profiles: dict[Any, Any], *, whole: bool
) -> Group:
    """`whole`: who handed over knows who left and who broke the roles. Else who knows it answers all the same."""
    for invite in invites[:MAX_INVITES]:
        if isinstance(invite, dict):
            _learn_invite(turn, group, invite)
    present = {leaf.identity for leaf in turn.backend.members(group.mls_id)}
    for identity, name in profiles.items():
        if identity in present:
            lines.learn_name(turn, group, identity, name, hearsay=True)
    group = lines.need(turn, group.group_id)
    answered = whole or not roles.sure(group)
    group = group.with_(handover_by=0, answer_at=0 if answered else group.answer_at)
    turn.put(group)
    return group


def _learn_group_name(turn: Turn, group: Group, name: object) -> None:
    """Who was added without a link was told no name before; a name that is known is not changed."""
    chat, clean = turn.get(Chat, group.key), received_name(name)
    if chat and clean and not chat.name:
        turn.put(chat.changed(turn.now, name=clean))


def _learn_after(turn: Turn, group: Group, sender: Member, after: object) -> Group:
    """The group goes on from a broken one, as the first word says that a newcomer gets: each names the other.

    Who says it and who made the group were in that one, and neither was left out for having broken it.
    """
    try:
        old = turn.get(Group, group_key(uuid_text(after, name="after")))
    except WireError:
        return group
    if old is None or not old.dead_end or views.there(turn, old.goes_on_in) or group.told or group.after:
        return group
    out = {leaf.identity for leaf in views.left_out(turn, old)}
    there = [leaf for leaf in turn.backend.members(old.mls_id) if leaf.identity not in out]
    starter = next((leaf.identity for leaf in there if leaf.identity == group.owner), None)
    if starter is None or not people.among(there, sender):
        return group
    goes_on(turn, old, group.group_id, starter)
    return lines.save(turn, lines.notice(turn, group.with_(after=old.group_id), "started_again"))


def goes_on(turn: Turn, old: Group, group_id: str, starter: str) -> None:
    """A broken group was started again: what waits in it will not go out, and it says where it goes on."""
    old = outbox.give_up(turn, old, "broken", UNSENT)
    old = old.with_(state="broken", goes_on_in=group_id, rejoin_due=0)
    lines.save(turn, lines.notice(turn, old, "goes_on", [starter]))


def ask_if_due(turn: Turn, group: Group) -> Group:
    """A newcomer that nobody told the live invites asks for them, once, and so does who missed a message; who was asked
    answers when it is their turn.
    """
    if not group.can_send:
        return group
    with tasks.attempted(turn, group):
        if group.handover_by and turn.now >= group.handover_by:
            return outbox.send_control(turn, group.with_(handover_by=0), {"type": "ask"})
        if group.answer_at and turn.now >= group.answer_at:
            return hand_over(turn, group)
    return lines.need(turn, group.group_id)


def _asked(turn: Turn, group: Group, sender: Member) -> Group:
    """The lowest leaf answers at its next look, the others after it had its time."""
    group = group.with_(answer_at=turn.now + lines.rank(turn, group, sender.identity) * lines.TURN_STEP)
    turn.put(group)
    return group
