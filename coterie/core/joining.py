"""Own joins: from a link to a group, over a wait that may outlast the page.

The join is saved, with its key package, before anything is posted; the Welcome is believed only under the link's tag.
"""

from __future__ import annotations

from typing import Any

from coterie.core import causes, device, entering, invite, views
from coterie.core import content as contents
from coterie.core.effects import DEVICE_LANE, Call
from coterie.core.group import lines, outbox
from coterie.core.mls import new_id
from coterie.core.records import Chat, Group, Invitation, Join, Me, Outgoing, group_key
from coterie.core.state import Turn
from coterie.errors import InviteError, StateError
from coterie_wire import WireError, from_hex, integer, is_uuid, uuid_bytes

ENDED = {
    "refused": "A member refused this request.",
    "expired": "The invite link ended before anybody let you in.",
    "cancelled": "You cancelled this request.",
}
GONE = "You were let in, but that is over. If there is an invitation to the group, accept it; else ask for a new link."
"""This device was removed before it came, or another Welcome took the place of the join's."""
NOT_OURS = (
    "The service handed over a group that does not come from this link. It was refused; nothing was joined."
)
TAKEN = (
    "This link leads into what this device has as another group already, “{}”. It was refused; nothing was joined. If"
    " you trust whoever sent it, leave that group and delete it from this device, and ask again."
)
NOT_THE_SAME = (
    "This link leads into another group than the one that this device had under its name. It was refused; nothing was"
    " joined. If you trust whoever sent it, delete that group from this device and ask again."
)


def set_name(turn: Turn, name: str) -> Me:
    """Keep the own name. Raises `LocalError` (`bad_name`)."""
    clean, old = contents.clean_name(name), turn.get(Me, b"me")
    if old and old.name == clean:
        return old
    me = (
        old.changed(turn.now, name=clean)
        if old
        else Me(id=new_id(turn.mls), rev=1, modified_at=turn.now, name=clean)
    )
    turn.put(me)
    turn.show("named", name=clean)
    return me


def known(turn: Turn, link: invite.Link) -> dict[str, Any] | None:
    """What this device already knows of a link: a join that waits."""
    for join in turn.rows(Join):
        if join.invite_id == link.invite_id and join.state == "waiting":
            return {"kind": "waiting", "join_id": join.join_id}
    return None


def waiting_for(turn: Turn, group_id: str) -> Join | None:
    """The join of a group that waits, through whatever link."""
    joins = (join for join in turn.rows(Join) if join.group_id == group_id and join.state == "waiting")
    return next(joins, None)


def start(turn: Turn, link: invite.Link, preview: invite.Preview, name: str) -> dict[str, Any]:
    """Ask to join; asking again is the same request.

    Raises `StateError` (`already_member`, `invited`, `read_only`), `InviteError` (`other_group`).
    """
    if turn.backend.read_only:
        raise StateError("read_only", causes.sentence("imported", []))
    group = turn.get(Group, group_key(preview.group_id))
    if group and group.state == "active":
        raise StateError("already_member", "You are in this group already.")
    if turn.get(Invitation, group_key(preview.group_id)):  # the service takes this device for a member
        raise StateError("invited", "Somebody has added you to this group: accept or decline that first.")
    open_join = waiting_for(turn, preview.group_id)
    if open_join:
        return views.join(open_join)
    _not_another(turn, preview.group_id, preview.mls_id)
    me = set_name(turn, name)
    keys = invite.Keys.derive(turn.mls, link.invite_id, link.secret)
    package = turn.backend.create_key_package()
    hello = invite.seal_hello(turn.mls, keys.preview, link.invite_id, package.bytes, me.name)
    join = Join(
        join_id=new_id(turn.mls),
        invite_id=link.invite_id,
        secret=link.secret,
        key_package=package.bytes,
        key_package_ref=package.ref,
        group_id=preview.group_id,
        mls_id=preview.mls_id,
        group_name=preview.group_name,
        inviter_name=preview.inviter_name,
        inviter_key=preview.inviter_key,
        created_at=turn.now,
    )
    turn.put(join)
    if group_key(preview.group_id) in turn.state.set_aside:  # the service still takes it for a member
        outbox.post(turn, DEVICE_LANE, "group_leave", {"group_id": preview.group_id})
    tag = invite.join_tag(keys.tag, link.invite_id, package.bytes, hello)
    fields = {
        "join_id": join.join_id,
        "invite_id": link.invite_id,
        "kp_hex": package.bytes,
        "tag": tag,
        "hello": hello,
    }
    outbox.post(turn, DEVICE_LANE, "invite_join", fields)
    turn.show("join", join=views.join(join))
    return views.join(join)


def cancel(turn: Turn, join_id: str) -> None:
    """Take the request back; the key package stays until the service confirms that nobody used it."""
    join = _need(turn, join_id)
    if join.state != "waiting":
        return
    for row in turn.rows(Outgoing, DEVICE_LANE):
        if row.function == "invite_join" and row.fields["join_id"] == join_id:
            turn.delete(row)
    _end(turn, join, "cancelled", ENDED["cancelled"])
    outbox.post(turn, DEVICE_LANE, "invite_cancel", {"join_id": join_id})


def dismiss(turn: Turn, join_id: str) -> None:
    """Forget a join that has ended."""
    join = _need(turn, join_id)
    if join.state == "waiting":
        raise StateError("still_waiting", "This request still waits; cancel it first.")
    turn.delete(join)
    turn.backend.delete_key_package(join.key_package_ref)
    turn.show("join_gone", join_id=join_id)


def _need(turn: Turn, join_id: str) -> Join:
    join = turn.get(Join, uuid_bytes(join_id)) if is_uuid(join_id) else None
    if join is None:
        raise StateError("no_join", "There is no such request on this device.")
    return join


def _end(turn: Turn, join: Join, state: str, why: str) -> None:
    ended = join.with_(state=state, why=why)
    turn.put(ended)
    turn.show("join", join=views.join(ended))


def answered(turn: Turn, row: Outgoing, status: int, body: dict[str, Any]) -> None:
    """The service's final word on `invite_join` or `invite_cancel`; what it says to `group_leave` changes nothing."""
    turn.delete(row)
    join = turn.get(Join, uuid_bytes(row.fields["join_id"])) if "join_id" in row.fields else None
    if join is None:
        return
    if row.function == "invite_cancel":
        if body.get("code") == "already_completed" and join.state == "cancelled":  # somebody was faster
            waiting = join.with_(state="waiting", why="")
            turn.put(waiting)
            turn.show("join", join=views.join(waiting))
            turn.do(Call("invite_poll", {"join_id": join.join_id}))
        else:
            turn.backend.delete_key_package(join.key_package_ref)
    elif status >= 400:
        why = str(body.get("message") or "The service refused the request.")
        if body.get("code") == "invite_unavailable":
            why = "This invite link does not work any more. Ask for a new one."
        _end(turn, join, "failed", why)
        turn.backend.delete_key_package(join.key_package_ref)


def polled(turn: Turn, answer: dict[str, Any]) -> None:
    """How an own join stands. Raises `InviteError` when the Welcome is not what the link promises."""
    match answer:
        case {"join_id": str(join_id), "status": str(status)} if is_uuid(join_id):
            join = turn.get(Join, uuid_bytes(join_id))
        case _:
            return
    if join is None or join.state != "waiting":
        return
    if status == "welcomed" and answer.get("group_id", "") is None:
        _end(turn, join, "failed", GONE)
        turn.backend.delete_key_package(join.key_package_ref)
    elif status in ENDED:
        _end(turn, join, status, ENDED[status])
        turn.backend.delete_key_package(join.key_package_ref)
    elif status == "welcomed":
        _welcome(turn, join, answer)


def fail(turn: Turn, join_id: str, error: Exception) -> None:
    """The Welcome was refused: the join has failed, with words, and is taken back so that one can ask anew."""
    join = turn.get(Join, uuid_bytes(join_id))
    if join:
        _end(turn, join, "failed", str(error))
        outbox.post(turn, DEVICE_LANE, "invite_cancel", {"join_id": join_id})


def _welcome(turn: Turn, join: Join, answer: dict[str, Any]) -> None:
    try:
        welcome = from_hex(answer.get("welcome_hex"), name="welcome_hex")
        tag = from_hex(answer.get("welcome_tag"), name="welcome_tag", size=32)
        from_seq = integer(answer.get("from_seq"), name="from_seq", at_least=1)
    except WireError:
        raise InviteError("bad_welcome", NOT_OURS) from None
    if answer.get("group_id") != join.group_id:
        raise InviteError("other_group", NOT_OURS)
    keys = invite.Keys.derive(turn.mls, join.invite_id, join.secret)
    if not invite.same(tag, invite.welcome_tag(keys.welcome, join.join_id, join.key_package, welcome)):
        raise InviteError("bad_welcome", NOT_OURS)
    old = turn.get(Group, group_key(join.group_id))
    _not_another(turn, join.group_id, join.mls_id)
    entering.make_room(turn, old, join.group_id, join.mls_id)
    try:
        joined = turn.backend.join(welcome)
    except turn.mls.MlsError:
        raise InviteError("bad_welcome", "What let you in could not be read. Ask for a new link.") from None
    if joined.group_id != join.mls_id or device.group_uuid(joined.group_data) != group_key(join.group_id):
        raise InviteError("other_group", NOT_OURS)
    _enter(turn, join, joined, from_seq - 1, old)


def _not_another(turn: Turn, group_id: str, mls_id: bytes) -> None:
    """Raises `InviteError` (`other_group`) where this device has the MLS id, or the group's id, as something else."""
    taken = entering.taken(turn, group_id).get(mls_id)
    if taken is not None:
        chat = turn.get(Chat, taken)
        raise InviteError("other_group", TAKEN.format(chat.name if chat else ""))
    if not entering.same(turn, group_id, mls_id):
        raise InviteError("other_group", NOT_THE_SAME)


def _enter(turn: Turn, join: Join, joined: Any, cursor: int, old: Group | None) -> None:
    """`old`: the group as it was before this device left it; its lines stay, and none takes the place of one."""
    group = entering.enter(turn, joined, join.group_id, join.group_name, cursor, old)
    group = lines.notice(turn, group, "joined_self")
    group = _check_inviter(turn, group, join)
    group = entering.say_hello(turn, group)
    turn.delete(join)
    turn.show("join", join=views.join(join, group.group_id))
    turn.show("join_gone", join_id=join.join_id)
    lines.save(turn, group)


def _check_inviter(turn: Turn, group: Group, join: Join) -> Group:
    """Warn before the first message when the inviter that the link names is not in the group under that key."""
    for leaf in turn.backend.members(group.mls_id):
        if leaf.identity_key == join.inviter_key:
            lines.learn_name(turn, group, leaf.identity, join.inviter_name, hearsay=True)
            return group
    return lines.notice(turn, group, "inviter_absent", [join.inviter_name])
