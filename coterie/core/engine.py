"""The engine: takes what the user does and what the service says, one at a time, and answers with a `Step`.

Rule: nothing leaves this device before the `Step` that made it is saved. When a save fails, the engine is thrown away
and loaded again from the store, so memory never knows more than the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from coterie.core import answers, chats, device, invite, inviting, joining, views
from coterie.core.completing import Completing
from coterie.core.effects import DEVICE_LANE, Step
from coterie.core.effects import Call as CallEffect
from coterie.core.group import commits, controls, inbox, lines, outbox
from coterie.core.mls import Backend, Mls
from coterie.core.records import Group, Invite, Join, Line, Me, Outgoing, Session, corrupt, group_key
from coterie.core.state import State, Turn, read
from coterie.errors import InviteError, LocalError, RemoteError, StateError, StorageError
from coterie_wire import Envelope

T = TypeVar("T")

OUTBOX_KEY = 24
"""Bytes of an outbox row's key: lane and order."""


class Engine:
    """One device's state machine. Every method that changes something takes `now` in milliseconds."""

    def __init__(self, mls: Mls, state: State, backend: Backend | None) -> None:
        self.mls = mls
        self.state = state
        self.backend = backend
        self.completing = Completing()
        self.previews: dict[bytes, invite.Preview] = {}
        self._blocked: set[bytes] = set()
        """Outbox rows whose epoch is gone and whose next one has not come in yet."""

    @classmethod
    def load(cls, mls: Mls, rows: Mapping[str, Mapping[bytes, bytes]]) -> Engine:
        """From the stored rows of every table but `messages`. Raises `StorageError`, or the binding's `Corrupt`."""
        backend = mls.Backend.load(dict(rows["mls"])) if rows.get("mls") else None
        return cls(mls, State.load(rows), backend)

    # -- turns --

    def _turn(self, now: int, work: Callable[[Turn], T]) -> tuple[Step, T]:
        """All of `work`, or nothing of it."""
        turn = Turn(self.state, self.mls, self.backend, now)
        completing, blocked = self.completing.copy(), set(self._blocked)
        try:
            result = work(turn)
            return turn.finish(), result
        except BaseException:  # a panic in the binding is one, and must not half-change the state either
            if self.backend:
                self.backend.rollback()
            self.completing, self._blocked = completing, blocked
            raise

    def _look(self, work: Callable[[Turn], T], now: int = 0) -> T:
        return work(Turn(self.state, self.mls, self.backend, now))

    # -- this device --

    @property
    def session(self) -> Session | None:
        """The session at the service, if there is one."""
        return self._look(lambda turn: turn.get(Session, b"session"))

    @property
    def registered(self) -> bool:
        """Whether the service gave this device its id."""
        return self.backend is not None and self.backend.device_id is not None

    @property
    def read_only(self) -> bool:
        """Whether this is an imported copy."""
        return self.backend is not None and self.backend.read_only

    def signed_in(self, session: Session, now: int) -> Step:
        """Keep a session; the first one makes the device's keys. Raises `StateError` (`other_user`)."""
        if self.backend is not None and self.backend.user_id != session.user_id:
            raise StateError("other_user", "This device belongs to another user.")
        if self.backend is None:
            self.backend = self.mls.Backend.create(session.user_id)
        return self._turn(now, lambda turn: turn.put(session))[0]

    def registration(self, device_name: str) -> dict[str, Any]:
        """The body of `device_register`."""
        session = self.session
        if self.backend is None or session is None:
            raise StateError("no_session", "This device is not signed in.")
        return device.registration(self.backend, session, device_name)

    def bound(self, body: Mapping[str, Any], now: int) -> Step:
        """The service's answer to `device_register`. Raises `RemoteError` (`bad_answer`)."""
        try:
            device_id = str(UUID(body["device_id"]))
        except (KeyError, ValueError, TypeError, AttributeError):
            raise RemoteError("bad_answer", "The service gave this device no id.") from None
        return self._turn(now, lambda turn: turn.backend.bind_device(device_id))[0]

    def snapshot(self, connection: str) -> dict[str, Any]:
        """`Snapshot` of docs/bridge.md."""

        def look(turn: Turn) -> dict[str, Any]:
            me = turn.get(Me, b"me")
            return {
                "user_id": self.backend.user_id if self.backend else None,
                "device_id": self.backend.device_id if self.backend else None,
                "name": me.name if me else None,
                "read_only": self.read_only,
                "groups": [views.group(turn, group) for group in turn.rows(Group)] if self.registered else [],
                "joins": [views.join(join) for join in turn.rows(Join)],
                "connection": connection,
            }

        return self._look(look)

    def set_name(self, name: str, now: int) -> tuple[Step, dict[str, Any]]:
        """The own name, told to all groups. Raises `LocalError` (`bad_name`)."""

        def work(turn: Turn) -> dict[str, Any]:
            me = joining.set_name(turn, name)
            self._tell_name(turn)
            return {"name": me.name}

        return self._turn(now, work)

    def _tell_name(self, turn: Turn) -> None:
        for group in turn.rows(Group) if self.registered and not self.read_only else []:
            if group.can_send:
                lines.learn_own_name(turn, group)
                outbox.send_profile(turn, group)

    def export(self, rows: Mapping[str, Mapping[bytes, bytes]]) -> bytes:
        """The whole state, with the stored rows of `device.EXPORTED`."""
        if self.backend is None:
            raise StateError("no_device", "There is nothing to export yet.")
        me = self._look(lambda turn: turn.get(Me, b"me"))
        return device.pack(self.backend, rows, me.encode() if me else None)

    @classmethod
    def import_(cls, mls: Mls, data: bytes) -> dict[tuple[str, bytes], bytes | None]:
        """The rows that make an empty store a copy that reads and never sends. Raises `LocalError` (`bad_export`)."""
        packed, rows = device.unpack(data)
        try:
            backend = mls.Backend.import_state(packed)
            _check_import(backend, rows)
        except (mls.MlsError, StorageError):
            raise LocalError("bad_export", "The keys or the history in this file cannot be read.") from None
        changes: dict[tuple[str, bytes], bytes | None] = {
            (table, key): value for table, held in rows.items() for key, value in held.items()
        }
        return changes | {("mls", key): value for key, value in backend.take_changes().items()}

    # -- groups --

    def create_group(self, name: str, now: int) -> tuple[Step, dict[str, Any]]:
        """A group with this device in it. Raises `LocalError`."""
        return self._turn(now, lambda turn: chats.create(turn, name))

    def open_group(self, group_id: str, rows: list[tuple[bytes, bytes]], *, newest: bool) -> dict[str, Any]:
        """Group, members and the lines of stored `rows`; with the pending ones at the end of the newest page."""
        return self._look(lambda turn: chats.opened(turn, group_id, rows, newest=newest))

    def send_text(self, group_id: str, text: str, now: int) -> tuple[Step, dict[str, Any]]:
        """A line of text into the outbox. Raises `LocalError`."""
        return self._turn(now, lambda turn: outbox.send_text(turn, group_id, text))

    def discard_line(self, group_id: str, value: bytes, now: int) -> Step:
        """Forget an own line that was not sent; `value` is its stored row."""
        return self._turn(now, lambda turn: chats.discard_line(turn, group_id, value))[0]

    def mark_read(self, group_id: str, seq: int, now: int) -> Step:
        """The user has seen all up to `seq`."""
        return self._turn(now, lambda turn: chats.mark_read(turn, group_id, seq))[0]

    def remove_member(self, group_id: str, identity: str, now: int) -> Step:
        """Remove somebody; ends the invites. Raises `StateError` (`not_owner`, `no_member`)."""
        newcomers = self.completing.of(group_id)
        return self._turn(now, lambda turn: chats.remove_member(turn, group_id, identity, newcomers))[0]

    def leave_group(self, group_id: str, now: int) -> Step:
        """Tell the members, then the service; the members commit the removal."""
        return self._turn(now, lambda turn: chats.leave(turn, group_id))[0]

    def forget_group(self, group_id: str, line_keys: list[bytes], now: int) -> Step:
        """Delete a group that is over or stuck, with its history. Raises `StateError` (`still_member`)."""
        return self._turn(now, lambda turn: chats.forget(turn, group_id, line_keys))[0]

    # -- invites --

    def create_invite(
        self, group_id: str, lifetime: int, max_uses: int, origin: str, now: int
    ) -> tuple[Step, dict[str, Any]]:
        """A link; `lifetime` in seconds. Raises `LocalError` (`bad_invite` out of its bounds)."""
        inviting.check(lifetime, max_uses)
        return self._turn(now, lambda turn: inviting.create(turn, group_id, lifetime, max_uses, origin))

    def list_invites(self, group_id: str, origin: str, now: int) -> list[dict[str, Any]]:
        """The invites of a group that this device knows, the newest first."""
        return self._look(lambda turn: inviting.listed(turn, group_id, origin), now)

    def revoke_invite(self, invite_id: str, now: int) -> Step:
        """End an invite for the service and the members. Raises `StateError` (`no_invite`)."""
        return self._turn(now, lambda turn: inviting.revoke(turn, invite_id))[0]

    def known_link(self, link: invite.Link) -> dict[str, Any] | None:
        """What this device knows of a link without asking: a group it is in, or a join that waits."""

        def look(turn: Turn) -> dict[str, Any] | None:
            known = turn.get(Invite, link.invite_id)
            group = turn.get(Group, group_key(known.group_id)) if known else None
            if group and group.state == "active":
                return {"kind": "member", "group_id": group.group_id}
            return joining.known(turn, link)

        return self._look(look)

    def previewed(self, link: invite.Link, body: Mapping[str, Any]) -> dict[str, Any]:
        """The service's answer to `invite_info`, opened with the link. Raises `InviteError` (`bad_preview`)."""
        try:
            sealed = bytes.fromhex(body["preview"])
        except (KeyError, ValueError, TypeError):
            sealed = b""
        keys = invite.Keys.derive(self.mls, link.invite_id, link.secret)
        preview = invite.Preview.open(self.mls, keys.preview, link.invite_id, sealed)
        self.previews[link.invite_id] = preview
        group = self._look(lambda turn: turn.get(Group, group_key(preview.group_id)))
        if group and group.state == "active":
            return {"kind": "member", "group_id": group.group_id}
        waiting = self._look(lambda turn: joining.waiting_for(turn, preview.group_id))
        if waiting:
            return {"kind": "waiting", "join_id": waiting.join_id}
        return {
            "kind": "preview",
            "group_name": preview.group_name,
            "inviter_name": preview.inviter_name,
            "expires_at": preview.expires_at,
        }

    def join(self, link: invite.Link, name: str, now: int) -> tuple[Step, dict[str, Any]]:
        """Ask to join, after `previewed`; asking again is the same request. Raises `LocalError`."""
        preview = self.previews.get(link.invite_id)
        if preview is None:
            return Step(), self._join_again(link)

        def work(turn: Turn) -> dict[str, Any]:
            before = turn.get(Me, b"me")
            view = joining.start(turn, link, preview, name)
            me = turn.get(Me, b"me")
            if me and me != before:
                self._tell_name(turn)
            return view

        return self._turn(now, work)

    def _join_again(self, link: invite.Link) -> dict[str, Any]:
        """The join of a link that was not looked at in this run."""
        known = self.known_link(link)
        if known is None:
            raise StateError("no_preview", "The invitation was not looked at yet.")
        if known["kind"] == "member":
            raise StateError("already_member", "You are in this group already.")
        return next(view for view in self.snapshot("")["joins"] if view["join_id"] == known["join_id"])

    def cancel_join(self, join_id: str, now: int) -> Step:
        """Take a request back. Raises `StateError` (`no_join`)."""
        return self._turn(now, lambda turn: joining.cancel(turn, join_id))[0]

    def dismiss_join(self, join_id: str, now: int) -> Step:
        """Forget a request that has ended. Raises `StateError`."""
        return self._turn(now, lambda turn: joining.dismiss(turn, join_id))[0]

    # -- what the service says --

    def cursors(self) -> dict[str, int]:
        """The saved cursor of every group that delivers."""
        groups = self._look(lambda turn: turn.rows(Group))
        return {group.group_id: group.cursor for group in groups if group.state in ("active", "broken")}

    def open_joins(self) -> list[str]:
        """Own joins that wait."""
        return [join.join_id for join in self._look(lambda turn: turn.rows(Join)) if join.state == "waiting"]

    def lanes(self) -> set[bytes]:
        """Lanes that have something to post."""
        return {row.lane for row in self._look(lambda turn: turn.rows(Outgoing))}

    def next_post(self, lane: bytes) -> tuple[bytes, str, dict[str, Any]] | None:
        """What to post next in a lane: a key for `posted`, the function, the body. None: nothing, or it must wait."""
        if self.read_only:
            return None
        row = self._look(lambda turn: outbox.head(turn, lane, self._blocked))
        return (row.key + outbox.ident(row), row.function, outbox.body(row)) if row else None

    def posted(self, key: bytes, status: int, body: dict[str, Any], now: int) -> Step:
        """The service's final answer (not 5xx, not one of `outbox.RETRY`) to what `next_post` gave.

        It means nothing for a row that is gone, or was framed anew meanwhile. Raises `RemoteError` (`bad_answer`).
        """

        def work(turn: Turn) -> None:
            row = turn.get(Outgoing, key[:OUTBOX_KEY])
            if row is None or key[OUTBOX_KEY:] != outbox.ident(row):
                return
            if row.lane == DEVICE_LANE:
                joining.answered(turn, row, status, body)
            elif row.kind == "call":
                answers.called(turn, row, status, body)
            elif status < 300:
                (outbox.accepted if row.kind == "message" else commits.taken)(turn, row, body)
            else:
                answers.not_taken(turn, row, status, body, self.completing, self._blocked)

        return self._turn(now, work)[0]

    def receive(self, envelope: Envelope, now: int, *, paged: bool = False) -> Step:
        """One envelope, from the socket or (`paged`) from a page of `get_messages`."""

        def work(turn: Turn) -> None:
            before = turn.get(Group, group_key(envelope.group_id))
            inbox.receive(turn, envelope, paged=paged)
            after = turn.get(Group, group_key(envelope.group_id))
            if before and after and after.epoch != before.epoch:
                self._epoch_moved(turn, after)

        return self._turn(now, work)[0]

    def _epoch_moved(self, turn: Turn, group: Group) -> None:
        """Rows of the old epoch may be encrypted anew; joins are looked at again, other intents carried out."""
        for row in turn.rows(Outgoing, group.key):
            if row.key in self._blocked and row.kind == "message":
                outbox.stale(turn, row, self._blocked)
        self._blocked = {key for key in self._blocked if not key.startswith(group.key)}
        had_newcomers = self.completing.forget(group.group_id)
        if had_newcomers or self.completing.elsewhere:
            turn.do(CallEffect("invite_pending", {}))
        commits.advance(turn, group, [])

    def joins_waiting(self, joins: list[Any], now: int) -> Step:
        """Elements of `invite_pending`, from an answer or a `join_waiting` frame."""
        return self._turn(now, lambda turn: self.completing.seen(turn, joins))[0]

    def answered(
        self, function: str, request: dict[str, Any], status: int, body: dict[str, Any], now: int
    ) -> Step:
        """The answer to a `Call` effect."""

        def work(turn: Turn) -> None:
            if function == "invite_claim":
                self.completing.answered(turn, request, status)
            elif function == "invite_pending" and isinstance(body.get("joins"), list):
                self.completing.all_seen(turn, body["joins"])

        if function == "invite_poll":
            return self.polled(body, now)
        return self._turn(now, work)[0]

    def polled(self, answer: dict[str, Any], now: int) -> Step:
        """An answer of `invite_poll`, or a `welcome` frame. A Welcome that is not the link's fails the join."""
        try:
            return self._turn(now, lambda turn: joining.polled(turn, answer))[0]
        except InviteError as error:
            refusal = error
            return self._turn(now, lambda turn: joining.fail(turn, str(answer["join_id"]), refusal))[0]

    def tick(self, now: int) -> Step:
        """What time brings: people who asked to leave, invites to ask for, claims of others that lapsed."""

        def work(turn: Turn) -> None:
            for group in turn.rows(Group) if self.registered and not self.read_only else []:
                current = controls.ask_if_due(turn, group)
                commits.advance(turn, current, self.completing.of(group.group_id))
            if self.completing.elsewhere:
                turn.do(CallEffect("invite_pending", {}))

        return self._turn(now, work)[0]


def _check_import(backend: Backend, rows: Mapping[str, Mapping[bytes, bytes]]) -> None:
    """That a device could start from these rows. Raises `StorageError`."""
    state = State.load(rows)
    for key, value in rows.get("messages", {}).items():
        read(Line, key, value)
    known = backend.groups()
    for group in state.tables[Group.TABLE].values():
        if isinstance(group, Group) and group.mls_id not in known:
            raise corrupt(Group.TABLE)
