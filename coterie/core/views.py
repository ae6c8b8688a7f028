"""Records as the page sees them (docs/bridge.md)."""

from __future__ import annotations

from typing import Any

from coterie.core import content as contents
from coterie.core import device
from coterie.core.causes import advice, sentence
from coterie.core.mls import Member
from coterie.core.records import (
    Chat,
    Device,
    Group,
    Invitation,
    Invite,
    Join,
    Line,
    Outgoing,
    Profile,
    Session,
    group_key,
)
from coterie.core.state import Turn
from coterie.errors import ContentError
from coterie_wire import is_uuid

PENDING_SEQ = 1 << 63
"""Lines that have no seq yet sort behind all others."""

OTHER_USER = (
    "This device belongs to somebody else, whose groups and history are here. Nothing was changed."
    " Sign in as that person, or sign out first, which deletes what is here."
)
ENDED = {
    "device_revoked": "This device was taken out of use. What is here can still be read; sign out to delete it.",
    "guest": "The service has ended this device's session, and a guest can't sign in again. What is here can still be"
    " read. To go on, sign out, which deletes it, and join again by a link as somebody new.",
    "session_ended": "The service has ended this device's session. Sign in again as the same person:"
    " your groups, your history and what waits to be sent are kept.",
}
"""Why the service does not take this device any more, and what can be done."""


def session(record: Session | None, device: Device) -> dict[str, Any]:
    """`Session` of docs/bridge.md."""
    if record:
        return {"state": "active", "guest": record.guest, "code": None, "why": ""}
    return {
        "state": "ended" if device.ended else "none",
        "guest": device.guest,
        "code": device.ended or None,
        "why": why_ended(device),
    }


def why_ended(device: Device) -> str:
    """The sentence of an ended session; empty while there is none to end."""
    if not device.ended:
        return ""
    return ENDED["guest" if device.ended == "session_ended" and device.guest else device.ended]


def name_of(turn: Turn, group_id: str, identity: str) -> str | None:
    """How a member calls themselves, or None."""
    profile = turn.get(Profile, group_key(group_id) + identity.encode())
    return profile.name if profile else None


def _word(turn: Turn, group_id: str, word: str) -> str:
    if not is_uuid(word.rpartition("#")[2]):  # a name or a number; names may have a # in them
        return word
    if is_own(turn, group_id, word):
        return "you"
    return name_of(turn, group_id, word) or "Someone new"


def is_own(turn: Turn, group_id: str, identity: str) -> bool:
    """Whether this identity is the user's, in what this device said or in lines from a backup."""
    if not identity or identity == turn.identity:
        return bool(identity)
    chat = turn.get(Chat, group_key(group_id))
    return chat is not None and identity in chat.former


def group(turn: Turn, record: Group) -> dict[str, Any]:
    """`Group` of docs/bridge.md."""
    chat = turn.get(Chat, record.key)
    return {
        "group_id": record.group_id,
        "name": chat.name if chat else "",
        "epoch": record.epoch,
        "state": record.state,
        "why": _why(turn, record),
        "unread": record.unread,
        "last_line": {"text": record.last_text, "at": record.last_at} if record.last_at else None,
        "members": len(turn.backend.members(record.mls_id)) if record.state in ("active", "broken") else 0,
        "updated_at": record.updated_at,
        "can_send": record.can_send and not turn.backend.read_only,
        "can_forget": record.over or record.stuck or turn.backend.read_only,
        "can_rejoin": record.stuck and not turn.backend.read_only,
        "again": _again(turn, record),
        "after": there(turn, record.after),
        "goes_on_in": there(turn, record.goes_on_in),
    }


def there(turn: Turn, group_id: str) -> str | None:
    """A group's id while this device has the group."""
    return group_id if group_id and turn.get(Group, group_key(group_id)) else None


def _again(turn: Turn, record: Group) -> dict[str, Any] | None:
    """`Again` of docs/bridge.md: what starting a group again would mean; None where that is not offered."""
    if not record.dead_end or there(turn, record.goes_on_in) or turn.backend.read_only:
        return None
    out = left_out(turn, record)
    gone, own = {leaf.identity for leaf in out}, turn.backend.user_id
    users = {leaf.user_id for leaf in turn.backend.members(record.mls_id) if leaf.identity not in gone}
    return {
        "without": sorted({called(turn, record, leaf.identity) for leaf in out}),
        "people": len(users - {own}),
    }


def left_out(turn: Turn, record: Group) -> list[Member]:
    """The leaves that do not come along when a broken group is started again.

    Those of the user whose device broke it; of the own user that device alone, and never this one.
    """
    user, own = record.suspect.partition("#")[0], turn.backend.user_id
    return [
        leaf
        for leaf in turn.backend.members(record.mls_id)
        if leaf.user_id == user
        and (user != own or leaf.identity == record.suspect)
        and leaf.identity != turn.identity
    ]


def called(turn: Turn, record: Group, identity: str) -> str:
    """What a member is called in a sentence."""
    return _word(turn, record.group_id, identity)


def _why(turn: Turn, record: Group) -> str:
    """Why a group does not send, with the name of whose device broke it; empty when it does."""
    if turn.backend.read_only:
        return sentence("imported", [])
    about = [_word(turn, record.group_id, record.suspect)] if record.suspect else []
    return sentence(record.why, about) if record.why else ""


def members(turn: Turn, record: Group) -> list[dict[str, Any]]:
    """`[Member]` of docs/bridge.md."""
    if record.state not in ("active", "broken"):
        return []
    return [_member(turn, record, leaf) for leaf in turn.backend.members(record.mls_id)]


def _member(turn: Turn, record: Group, leaf: Member) -> dict[str, Any]:
    return {
        "identity": leaf.identity,
        "user_id": leaf.user_id,
        "device_id": leaf.device_id,
        "name": name_of(turn, record.group_id, leaf.identity),
        "fingerprint": leaf.identity_key[:4].hex(),
        "me": leaf.identity == turn.identity,
        "owner": leaf.identity == owner(turn, record),
    }


def owner(turn: Turn, record: Group) -> str:
    """The identity that created the group."""
    return record.owner or device.group_owner(turn.backend.group_data(record.mls_id))


def line(turn: Turn, record: Line) -> dict[str, Any]:
    """`Line` of docs/bridge.md."""
    mine = is_own(turn, record.group_id, record.sender)
    told = record.notice in ("", "not_sent") and bool(record.content)
    text, unreadable = read(record.content) if told else ("", "")
    code = record.notice or unreadable

    def name(word: str) -> str:
        return _word(turn, record.group_id, word)

    said = sentence(code, record.about, name) if code else ""
    return {
        "key": record.key[16:].hex(),
        "kind": "text" if told else "notice",
        "at": record.at,
        "sender": record.sender or None,
        "name": name_of(turn, record.group_id, record.sender) if record.sender else None,
        "text": text if told else capital(said),
        "mine": mine,
        "state": ("failed" if code == "not_sent" else "sent") if mine and record.content else None,
        "code": code or None,
        "why": said if code == "not_sent" else "",
        "advice": capital(advice(code, record.about, name)) if code else "",
    }


def capital(text: str) -> str:
    """The text as a sentence begins: a name in it may be small."""
    return text[:1].upper() + text[1:]


def read(content: bytes) -> tuple[str, str]:
    """The text of stored content and no cause; where this version can't show it a sentence, and its cause."""
    try:
        decoded = contents.decode(content)
    except ContentError as error:
        return error.sentence, error.code
    return (sentence("newer_version", []), "newer_version") if decoded.unknown else (decoded.text or "", "")


def pending(turn: Turn, row: Outgoing) -> dict[str, Any]:
    """`Line` of a message that waits in the outbox."""
    return {
        "key": pending_key(row.order),
        "kind": "text",
        "at": row.at,
        "sender": turn.identity,
        "name": None,
        "text": read(row.content)[0],
        "mine": True,
        "state": "pending",
        "code": None,
        "why": "",
        "advice": "",
    }


def pending_key(order: int) -> str:
    """Where a pending line stands: behind all lines with a seq."""
    return ((PENDING_SEQ + order).to_bytes(8, "big") + bytes(2)).hex()


def join(record: Join, group_id: str | None = None) -> dict[str, Any]:
    """`Join` of docs/bridge.md."""
    view = {
        "join_id": record.join_id,
        "group_name": record.group_name,
        "inviter_name": record.inviter_name,
        "state": "joined" if group_id else record.state,
        "why": record.why,
    }
    return view | ({"group_id": group_id} if group_id else {})


def invitation(turn: Turn, record: Invitation, sender: str | None) -> dict[str, Any]:
    """`Invitation` of docs/bridge.md; `sender` is the name by which the one is known whom the service names."""
    chat = turn.get(Chat, record.key)
    return {
        "group_id": record.group_id,
        "group_name": (chat.name or None) if chat else None,
        "sender": {"user_id": record.sender_user, "device_id": record.sender_device, "name": sender},
        "created_at": record.created_at,
        "state": record.state,
        "why": record.why,
    }


def invite(record: Invite, link: str | None) -> dict[str, Any]:
    """`Invite` of docs/bridge.md."""
    return {
        "invite_id": record.invite_id.hex(),
        "link": link,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "max_uses": record.max_uses,
        "uses": record.uses,
        "ended": record.ended,
    }
