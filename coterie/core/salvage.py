"""A device's stored rows when some of them do not read back: what they concern is set aside, the rest goes on.

Nothing is deleted, and nothing is made anew in the place of what was lost: the rows stay as they are. A group whose
keys or state are damaged is neither read on nor written in; its lines are shown as those of an archive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from uuid import UUID

from coterie.core.mls import Backend, Mls
from coterie.core.records import DEVICE_KINDS, IN_MEMORY, Chat, Device, Group, Line, Outgoing, Session
from coterie.core.state import SetAside, State, Turn, read
from coterie.errors import StorageError

UUID_SIZE = 16
"""Bytes of a group's UUID, with which the keys of its rows begin."""
WHOLE_GROUP = (Group.TABLE, Outgoing.TABLE)
"""Tables of which a damaged row puts its group aside: what it said of a ratchet or of a commit is unknown."""
WORDS = {
    "messages": "a line",
    "chats": "a group's name",
    "device": "the session or your name",
    "invites": "an invite link",
    "joins": "a request to join",
    "profiles": "a member's name",
    "packages": "a key package",
    "invitations": "an invitation",
    "contacts": "a person of an earlier group",
}
"""What a row is called that is missing; of the others nobody misses anything."""


def load(mls: Mls, rows: Mapping[str, Mapping[bytes, bytes]]) -> tuple[State, Backend | None]:
    """The state, and the binding's. Raises `StorageError` (`keys_damaged`) when the device's own keys do not read."""
    state = State()
    kinds = [(kind, key, value) for kind in IN_MEMORY for key, value in rows.get(kind.TABLE, {}).items()]
    own = [(DEVICE_KINDS.get(key, Session), key, value) for key, value in rows.get("device", {}).items()]
    for kind, key, value in (*kinds, *own):
        try:
            state.tables[kind.TABLE][key] = read(kind, key, value)
        except StorageError:
            _miss(state, kind.TABLE, key)
    if b"session" in rows.get("device", {}) and b"session" not in state.tables["device"]:
        _end_session(state)
    backend = _backend(mls, rows.get("mls", {}))
    if backend is not None:
        _probe(mls, state, backend)
    for key in list(state.set_aside):
        put_aside(state, key)
    return state, backend


def put_aside(state: State, key: bytes, *, whole: bool = False) -> None:
    """From now on this device has of a group (by its UUID) the lines alone; `whole`: until it starts anew."""
    aside = state.set_aside.setdefault(key, SetAside(whole=whole))
    group = state.tables[Group.TABLE].pop(key, None)
    if isinstance(group, Group):
        aside.mls_id = group.mls_id
        aside.rows.append((Group.TABLE, key))
    waiting = state.tables[Outgoing.TABLE]
    for row in [row for row in waiting if row.startswith(key)]:
        aside.rows.append((Outgoing.TABLE, row))
        record = waiting.pop(row)
        if isinstance(record, Outgoing):
            aside.waiting.append(record)


def clear(turn: Turn, key: bytes, mls_id: bytes = b"") -> list[Outgoing]:
    """Delete what is left of a group that was set aside: it is entered anew (as `mls_id`), or forgotten.

    What waited in it to be sent, as far as it reads back.
    """
    aside = turn.state.set_aside.get(key)
    if aside is None or turn.get(Group, key):
        return []
    for table, row in aside.rows:
        turn.delete_key(table, row)
    others = {group.mls_id for group in turn.rows(Group)}
    for left in ({aside.mls_id, mls_id} & set(turn.backend.groups())) - others:
        turn.backend.delete_group(left)
    return aside.waiting


def lines(rows: Iterable[tuple[bytes, bytes]]) -> list[Line]:
    """Stored lines in their order; one that does not read back says so in its place."""
    found: list[Line] = []
    for key, value in rows:
        try:
            found.append(Line.decode(value))
        except StorageError:
            found.append(_damaged(key, found[-1].at if found else 0))
    return found


def _damaged(key: bytes, at: int) -> Line:
    """`at`: of the line before it."""
    seq, index = int.from_bytes(key[UUID_SIZE:-2]), int.from_bytes(key[-2:])
    group_id = str(UUID(bytes=key[:UUID_SIZE]))
    return Line(
        id=group_id,
        rev=0,
        modified_at=0,
        group_id=group_id,
        seq=seq,
        index=index,
        sender="",
        at=at,
        notice="damaged_line",
    )


def told(state: State) -> str:
    """What is damaged, in a sentence for the user; empty when all is well."""
    damaged = sorted(key for key, aside in state.set_aside.items() if not aside.whole)
    chats = (state.tables[Chat.TABLE].get(key) for key in damaged)
    parts = [f"the group “{chat.name}”" if isinstance(chat, Chat) else "a group" for chat in chats]
    for table, count in sorted(Counter(state.missing).items()):
        if word := WORDS.get(table):
            parts.append(word if count == 1 else f"{word} ({count} times)")
    if not parts:
        return ""
    return f"A part of what was stored on this device is damaged and set aside: {', '.join(parts)}. The rest goes on."


def _miss(state: State, table: str, key: bytes) -> None:
    if table in WHOLE_GROUP and any(key[:UUID_SIZE]):  # lanes of no group begin with zeros
        state.set_aside.setdefault(key[:UUID_SIZE], SetAside()).rows.append((table, key))
        return
    state.missing.append(table)


def _end_session(state: State) -> None:
    """As when the service has ended it: one signs in again."""
    old = state.tables["device"].get(b"device")
    device = old if isinstance(old, Device) else Device(ended="")
    state.tables["device"][b"device"] = device.with_(ended="session_ended")


def _backend(mls: Mls, rows: Mapping[bytes, bytes]) -> Backend | None:
    """The binding's state, without the rows that are in no form that it reads."""
    if not rows:
        return None
    try:
        return mls.Backend.load(dict(rows))
    except mls.MlsError:
        pass
    formats = Counter(row[:1] for row in rows.values())
    usual = formats.most_common(1)[0][0]
    try:
        return mls.Backend.load({key: row for key, row in rows.items() if row[:1] == usual})
    except mls.MlsError:
        raise StorageError(
            "keys_damaged",
            "This device's own keys are damaged, so nothing can be read or sent with them. Nothing was deleted."
            " To begin anew, clear this site's data in the browser, or name another profile in the terminal.",
        ) from None


def _probe(mls: Mls, state: State, backend: Backend) -> None:
    """Set the groups aside whose keys do not read, also those that are over: who was met in them is asked for."""
    for key, group in state.tables[Group.TABLE].items():
        if isinstance(group, Group):
            try:
                backend.members(group.mls_id)
            except mls.MlsError:
                state.set_aside.setdefault(key, SetAside())
