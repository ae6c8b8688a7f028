"""The machine under the engine: turns that happen wholly or not at all, and who this device is.

Rule: nothing leaves this device before the `Step` that made it is saved. When a save fails, the engine is thrown away
and loaded again from the store, so memory never knows more than the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypeVar
from uuid import UUID

from coterie.core import archive, device, invitations, invite, joining, salvage, views
from coterie.core.completing import Completing
from coterie.core.effects import Step
from coterie.core.group import lines, outbox
from coterie.core.mls import Backend, Mls
from coterie.core.packages import Packages
from coterie.core.records import Device, Group, Join, Line, Me, Session, UserRow, corrupt, group_key
from coterie.core.standing import Standing
from coterie.core.state import State, Turn, read
from coterie.errors import LocalError, RemoteError, StateError, StorageError

T = TypeVar("T")


class Machine:
    """One device's state. Every method that changes something takes `now` in milliseconds."""

    def __init__(self, mls: Mls, state: State, backend: Backend | None) -> None:
        self.mls = mls
        self.state = state
        self.backend = backend
        self.completing = Completing()
        self.packages = Packages()
        self.previews: dict[bytes, invite.Preview] = {}
        self.additions: dict[str, dict[str, Any]] = {}
        """What became of people who were to be added, by claim, until somebody asks."""
        self.standing = Standing()
        self._blocked: set[bytes] = set()
        """Outbox rows whose epoch is gone and whose next one has not come in yet."""
        self.up_to_date: set[str] = set()
        """Groups of which all was read that the service had: what time brings is looked at in these alone."""

    @classmethod
    def load(cls, mls: Mls, rows: Mapping[str, Mapping[bytes, bytes]]) -> Self:
        """From the stored rows of every table but `messages`. Raises `StorageError` (`keys_damaged`)."""
        return cls(mls, *salvage.load(mls, rows))

    @property
    def damage(self) -> str:
        """What of the stored rows does not read back, in a sentence; empty when all is well."""
        return salvage.told(self.state)

    @property
    def met_defect(self) -> bool:
        """Whether a group was set aside of which all that is stored reads back."""
        return any(aside.whole for aside in self.state.set_aside.values())

    def set_aside(self, group_id: str, now: int, *, whole: bool) -> Step:
        """A group's keys do not read back, or (`whole`) what came in it met a defect: it is read no further.

        Nothing is sent in it, and nothing is changed.
        """

        def work(turn: Turn) -> None:
            salvage.put_aside(self.state, group_key(group_id), whole=whole)
            found = archive.find(turn, group_id)
            if found:
                turn.show("group", group=archive.view(turn, found))

        return self._turn(now, work)[0]

    # -- turns --

    def _turn(self, now: int, work: Callable[[Turn], T]) -> tuple[Step, T]:
        """All of `work`, or nothing of it."""
        turn = Turn(self.state, self.mls, self.backend, now)
        before = self.completing.copy(), self.packages.copy(), set(self._blocked)
        awaited = self.standing.awaited
        try:
            result = work(turn)
            return turn.finish(), result
        except (
            BaseException
        ) as error:  # a panic in the binding is one, and must not half-change the state either
            if self.backend:
                self.backend.rollback()
            self.completing, self.packages, self._blocked = before
            self.standing.awaited = awaited
            if isinstance(error, self.mls.MlsError) and getattr(error, "code", "") == "corrupt":
                raise corrupt("mls") from None
            raise

    def _look(self, work: Callable[[Turn], T], now: int = 0) -> T:
        return work(Turn(self.state, self.mls, self.backend, now))

    # -- the session and the device at the service --

    @property
    def session(self) -> Session | None:
        """The session at the service, if there is one."""
        return self._look(lambda turn: turn.get(Session, b"session"))

    @property
    def device(self) -> Device:
        """How this device stands with the service."""
        return self._look(lambda turn: turn.get(Device, b"device")) or Device(ended="")

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
            raise StateError("other_user", views.OTHER_USER)
        if self.backend is None:
            self.backend = self.mls.Backend.create(session.user_id)

        def work(turn: Turn) -> None:
            before = turn.get(Session, b"session")
            turn.put(session)
            if before and before.guest != session.guest:
                turn.show("session", session=views.session(session, self.device))

        return self._turn(now, work)[0]

    def keep_session(self, now: int) -> Step:
        """Write the session once more, as it is: saving that shows whether this device's state has another writer."""

        def work(turn: Turn) -> None:
            session = turn.get(Session, b"session")
            if session:
                turn.put(session)

        return self._turn(now, work)[0]

    def session_ended(self, code: str, now: int) -> tuple[Step, bool]:
        """The service takes this session or device no more (`session_ended`, `device_revoked`); all else stays.

        True when that is new.
        """

        def work(turn: Turn) -> bool:
            session = turn.get(Session, b"session")
            if session is None:
                return False
            turn.delete(session)
            ended = self.device.with_(ended=code, guest=session.guest)
            turn.put(ended)
            turn.show("session", session=views.session(None, ended))
            return True

        return self._turn(now, work)

    def registration(self, device_name: str) -> dict[str, Any]:
        """The body of `device_register`; `device_name` unless the user chose another."""
        session = self.session
        if self.backend is None or session is None:
            raise StateError("no_session", "This device is not signed in.")
        return device.registration(self.backend, session, self.device.name or device_name)

    def was_bound(self, body: Mapping[str, Any], now: int) -> Step:
        """The service's answer to `device_register`. Raises `RemoteError` (`bad_answer`, `other_device`)."""
        try:
            device_id = str(UUID(body["device_id"]))
        except (KeyError, ValueError, TypeError, AttributeError):
            raise RemoteError("bad_answer", "The service gave this device no id.") from None
        if self.registered and self.backend and self.backend.device_id != device_id:
            raise RemoteError(
                "other_device", "The service takes this device for another one. Nothing was changed."
            )

        def work(turn: Turn) -> None:
            turn.backend.bind_device(device_id)
            session = turn.get(Session, b"session")
            if session:
                turn.put(self.device.with_(guest=session.guest, ended=""))
                turn.show("session", session=views.session(session, self.device))

        return self._turn(now, work)[0]

    def rename_device(self, name: str, now: int) -> Step:
        """What the user calls this device; the service is told with the next registration. Raises `LocalError`."""
        clean = device.clean_device_name(name)
        return self._turn(now, lambda turn: turn.put(self.device.with_(name=clean)))[0]

    # -- what the page begins with --

    def snapshot(self, connection: str) -> dict[str, Any]:
        """`Snapshot` of docs/bridge.md."""

        def look(turn: Turn) -> dict[str, Any]:
            me = turn.get(Me, b"me")
            groups = [views.group(turn, group) for group in turn.rows(Group)] if self.registered else []
            return {
                "user_id": self.backend.user_id if self.backend else None,
                "device_id": self.backend.device_id if self.backend else None,
                "name": me.name if me else None,
                "session": views.session(self.session, self.device),
                "read_only": self.read_only,
                "groups": groups + archive.all_of(turn),
                "joins": [views.join(join) for join in turn.rows(Join)],
                "invitations": invitations.listed(turn),
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

    # -- history, elsewhere --

    def back_up(self, now: int) -> tuple[list[Any], list[UserRow]]:
        """A backup's first record, and all that it holds beside the lines."""
        return self._look(lambda turn: (archive.manifest(turn), list(archive.records(turn))), now)

    def places(self, chats: Iterable[bytes]) -> dict[bytes, int]:
        """The cursors of those of these chats (UUIDs) that are groups here."""
        found = self._look(lambda turn: [turn.get(Group, chat) for chat in chats])
        return {group.key: group.cursor for group in found if group}

    def restore(
        self, restored: archive.Restored, held: archive.Held, now: int
    ) -> tuple[Step, dict[str, int]]:
        """Put a backup beside what is here: how many `groups` and `lines` were new."""
        step, counts = self._turn(now, lambda turn: archive.merge(turn, restored, held))
        restored.lines.update(step.changes)  # the lines are most of it, and stand in memory once
        return Step(restored.lines, step.effects), counts

    # -- the whole state, elsewhere --

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


def _check_import(backend: Backend, rows: Mapping[str, Mapping[bytes, bytes]]) -> None:
    """That a device could start from these rows. Raises `StorageError`."""
    state = State.load(rows)
    for key, value in rows.get("messages", {}).items():
        read(Line, key, value)
    known = backend.groups()
    for group in state.tables[Group.TABLE].values():
        if isinstance(group, Group) and group.mls_id not in known:
            raise corrupt(Group.TABLE)
