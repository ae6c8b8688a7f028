"""Others' joins: any member that knows the invite verifies the tag, claims the join, and adds the newcomer."""

from __future__ import annotations

import hashlib
from typing import Any

from coterie.core import invite, people
from coterie.core.effects import Call
from coterie.core.group import commits, lines
from coterie.core.group.commits import Newcomer
from coterie.core.records import Group, Invite, group_key
from coterie.core.state import Turn
from coterie.errors import InviteError
from coterie_wire import WireError, from_hex, is_uuid, uuid_text


class Completing:
    """Joins that this device has seen. Only in memory: the service is asked again after a restart."""

    def __init__(self) -> None:
        self.claiming: dict[str, Newcomer] = {}
        self.claimed: dict[str, Newcomer] = {}
        self.elsewhere: set[str] = set()
        """Claimed by another device: looked at again when its claim lapses."""
        self.rejected: dict[str, bytes] = {}
        """By join: a digest of what did not hold. The same join with what does hold is looked at again."""

    def copy(self) -> Completing:
        """As it is now, to go back to."""
        copy = Completing()
        copy.claiming, copy.claimed = dict(self.claiming), dict(self.claimed)
        copy.elsewhere, copy.rejected = set(self.elsewhere), dict(self.rejected)
        return copy

    def of(self, group_id: str) -> list[Newcomer]:
        """Newcomers of a group whose claims are held."""
        return [one for one in self.claimed.values() if one.group_id == group_id]

    def forget(self, group_id: str) -> None:
        """Drop what was claimed in a group: its commit is through, or lost. Those that still wait are told again."""
        for one in self.of(group_id):
            del self.claimed[one.join_id]
            self.elsewhere.add(one.join_id)

    def all_seen(self, turn: Turn, joins: list[Any], up_to_date: set[str]) -> None:
        """Look at all joins that wait: those that are not among them do not wait any more."""
        self.elsewhere.clear()
        self.seen(turn, joins, up_to_date)

    def seen(self, turn: Turn, joins: list[Any], up_to_date: set[str]) -> None:
        """Look at waiting joins; claim those that this device can verify, in groups that are up to date."""
        for raw in joins:
            join_id = str(raw.get("join_id")) if isinstance(raw, dict) else ""
            if not is_uuid(join_id) or join_id in self.claiming or join_id in self.claimed:
                continue
            if _may_commit(turn, raw) and raw["group_id"] not in up_to_date:
                self.elsewhere.add(join_id)  # a commit made now would be of an epoch that is gone
                continue
            self.elsewhere.discard(join_id)
            self._look_at(turn, join_id, raw)

    def _look_at(self, turn: Turn, join_id: str, raw: dict[str, Any]) -> None:
        digest = _digest(raw)
        if self.rejected.get(join_id) == digest:
            return
        try:
            newcomer = verify(turn, raw)
        except InviteError:
            self.rejected[join_id] = digest
            _tell(turn, str(raw["group_id"]))
            return
        if newcomer:
            self.claiming[join_id] = newcomer
            turn.do(Call("invite_claim", {"join_id": join_id}))

    def answered(self, turn: Turn, body: dict[str, Any], status: int) -> None:
        """The answer to a claim."""
        newcomer = self.claiming.pop(body["join_id"], None)
        if newcomer is None:
            return
        if status < 300:
            self.claimed[newcomer.join_id] = newcomer
        else:
            self.elsewhere.add(newcomer.join_id)
        if not any(one.group_id == newcomer.group_id for one in self.claiming.values()):
            group = turn.get(Group, group_key(newcomer.group_id))
            if group:
                commits.advance(turn, group, self.of(group.group_id))


def _may_commit(turn: Turn, raw: dict[str, Any]) -> bool:
    """Whether a join is for a group in which this device could let somebody in."""
    group_id = str(raw.get("group_id"))
    group = turn.get(Group, group_key(group_id)) if is_uuid(group_id) else None
    return group is not None and group.can_send


def _digest(raw: dict[str, Any]) -> bytes:
    shown = "\n".join(str(raw.get(field)) for field in ("kp_hex", "tag", "hello", "user_id", "device_id"))
    return hashlib.sha256(shown.encode(errors="replace")).digest()


def _tell(turn: Turn, group_id: str) -> None:
    """A line about joins that were refused: one in an hour, or the service could fill the history with them."""
    group = turn.get(Group, group_key(group_id))
    if group and lines.once_an_hour(turn, group, "bad_join"):
        lines.save(turn, lines.notice(turn, group, "bad_join"))


def verify(turn: Turn, raw: dict[str, Any]) -> Newcomer | None:
    """The newcomer of a waiting join, or None when this device has no say in it.

    Raises `InviteError` when the key package or the name does not come from a holder of the link.
    """
    try:
        group_id = uuid_text(raw.get("group_id"), name="group_id")
        invite_id = from_hex(raw.get("invite_id"), name="invite_id", size=16)
        package = from_hex(raw.get("kp_hex"), name="kp_hex")
        tag, hello = from_hex(raw.get("tag"), name="tag"), from_hex(raw.get("hello"), name="hello")
    except WireError:
        return None
    group, known = turn.get(Group, group_key(group_id)), turn.get(Invite, invite_id)
    if not (group and group.can_send and known and known.group_id == group_id and known.alive(turn.now)):
        return None
    if turn.backend.read_only or raw.get("status") == "approval":
        return None
    if not invite.same(tag, invite.join_tag(known.tag_key, invite_id, package, hello)):
        raise InviteError("bad_tag", "The key package does not come from a holder of the link.")
    return _newcomer(turn, raw, known, package, hello)


def _newcomer(
    turn: Turn, raw: dict[str, Any], known: Invite, package: bytes, hello: bytes
) -> Newcomer | None:
    try:
        leaf = turn.backend.check_key_package(package).leaf
    except turn.mls.MlsError as error:
        raise InviteError("bad_key_package", "The key package is not acceptable.") from error
    name = invite.open_hello(turn.mls, known.preview_key, known.invite_id, package, hello)
    named = (raw.get("user_id"), raw.get("device_id"))
    if name is None or named != (leaf.user_id, leaf.device_id) or not is_uuid(leaf.device_id):
        raise InviteError("bad_hello", "The key package is not the one of the device that asks.")
    group = lines.need(turn, known.group_id)
    if people.shut_out(turn, group, leaf):  # a device has its keys for ever
        raise InviteError("impostor", "The key package claims to be a known device and has other keys.")
    if leaf.identity == lines.own_identity(turn) or lines.was_here(turn, group, leaf):
        return None  # a join that is through, shown again: its key package must not take the leaf's place
    return Newcomer(
        join_id=raw["join_id"],
        invite_id=known.invite_id,
        group_id=known.group_id,
        identity=leaf.identity,
        signature_key=leaf.signature_key,
        key_package=package,
        name=name,
    )
