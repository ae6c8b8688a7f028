"""History apart from its group: what goes into a backup, and how it comes back beside what is here.

A chat that came from a backup and has no group on this device is an archive: it is read, and nothing else. When this
device enters that group, its lines are the earlier history of it. Nothing that MLS needs is ever in a backup.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from coterie.core import people, salvage, views
from coterie.core.backup import refused
from coterie.core.causes import sentence
from coterie.core.content import load, received_name
from coterie.core.effects import Call, Row
from coterie.core.mls import new_id
from coterie.core.records import ABOUT_GROUP, Chat, Contact, Group, Line, Me, Profile, UserRow, group_key
from coterie.core.state import Turn
from coterie.errors import ContentError, StorageError
from coterie_wire import is_uuid

MANIFEST = "backup"
Owned = Me | Chat | Profile | Contact | Line
KINDS: dict[str, type[Owned]] = {kind.TABLE: kind for kind in (Me, Chat, Profile, Contact, Line)}
"""All that a backup holds, by table; of the table `device` the own name alone."""
LARGEST = 1 << 53
"""Times and seqs are below it."""
KEY_SIZE = 32
GROUP, SEQ = 16, 8
"""Bytes of a line's key: its group's UUID, then its seq, then its index."""


# -- out --


def manifest(turn: Turn) -> list[Any]:
    """A backup's first record: whose lines in it are the user's own, and when it was made."""
    return [MANIFEST, {"identity": turn.identity, "at": turn.now}]


def records(turn: Turn) -> Iterator[UserRow]:
    """What a backup holds beside the lines: the own name, chats with read marks, names, people with their keys."""
    me = turn.get(Me, b"me")
    if me:
        yield me
    for chat in turn.rows(Chat):
        if not chat.deleted:
            yield chat
            yield from turn.rows(Profile, chat.key)
    for known in people.met(turn).values():
        if known.identity != turn.identity:
            kept = turn.get(Contact, known.identity.encode()) or Contact(
                id=new_id(turn.mls),
                rev=1,
                modified_at=turn.now,
                identity=known.identity,
                signature_key=known.signature_key,
                identity_key=known.identity_key,
            )
            yield kept.with_(name=known.name or "")


def is_history(value: bytes) -> bool:
    """Whether a stored line goes into a backup: it reads, was not deleted, and is not one that could be sent again."""
    try:
        line = Line.decode(value)
    except StorageError:
        return False
    return not line.deleted and line.notice != "not_sent"


# -- in --


@dataclass(slots=True)
class Restored:
    """What a backup held, checked record by record; nothing of it is saved yet."""

    identity: str | None = None
    """Who made it (`user#device`), or "" for a device that was not registered; None before the manifest came."""
    others: list[Me | Profile | Contact] = field(default_factory=list)
    chats: dict[bytes, Chat] = field(default_factory=dict)
    """By the group's UUID."""
    lines: dict[Row, bytes | None] = field(default_factory=dict)
    """Encoded lines, as they will be saved: history stands in memory once."""
    ends: dict[bytes, int] = field(default_factory=dict)
    """When the last line of each chat was said, in milliseconds."""

    def take(self, record: list[Any]) -> None:
        """One more record of the file. Raises `BackupError` (`backup_damaged`)."""
        match record:
            case ["backup", {"identity": str(identity)}] if self.identity is None:
                self.identity = identity
            case [str(table), bytes(value)] if self.identity is not None and table in KINDS:
                self._take(KINDS[table], value)
            case _:
                raise refused("backup_damaged")

    def _take(self, kind: type[Owned], value: bytes) -> None:
        try:
            load(value)  # stricter than `decode`, which is for rows that this device wrote itself
            record = kind.decode(value)
            sound = _is_sound(record)
        except (ContentError, StorageError):
            sound = False
        if not sound:
            raise refused("backup_damaged")
        match record:
            case Line():
                self._line(record, value)
            case Chat():
                self.chats[record.key] = record.with_(name=received_name(record.name) or "")
            case Contact():
                self.others.append(record.with_(name=received_name(record.name) or ""))
            case Profile() if group_key(record.group_id) not in self.chats:
                raise refused("backup_damaged")
            case Me() | Profile() if received_name(record.name) == record.name:
                self.others.append(record)

    def _line(self, line: Line, value: bytes) -> None:
        chat = group_key(line.group_id)
        if chat not in self.chats:
            raise refused("backup_damaged")
        self.lines[Line.TABLE, line.key] = value
        self.ends[chat] = max(line.at, self.ends.get(chat, 0))


def _is_sound(record: Owned) -> bool:
    """What `decode` leaves open: a backup can be made by anybody who tells a passphrase along with it."""
    if not _is_id(record.id) or record.deleted:
        return False
    match record:
        case Chat():
            return 0 <= record.read_seq < LARGEST and _are_words(record.former)
        case Profile():
            return _is_id(record.group_id)
        case Contact():
            return len(record.signature_key) == len(record.identity_key) == KEY_SIZE
        case Line():
            placed = 0 <= record.seq < LARGEST and 0 <= record.index < 1 << 16 and 0 <= record.at < LARGEST
            return placed and _is_id(record.group_id) and _are_words(record.about)
        case Me():
            return True


def _are_words(words: list[Any]) -> bool:
    return all(isinstance(word, str) for word in words)


def _is_id(text: str) -> bool:
    return is_uuid(text) and str(UUID(text)) == text


@dataclass(frozen=True, slots=True)
class Held:
    """What this device had of a backup's chats before the restore began."""

    cursors: Mapping[bytes, int]
    """Of those that are groups here."""
    places: Mapping[bytes, set[bytes]]
    """Where lines stand: seqs (8 bytes) in a group, seq and index (10 bytes) in an archive."""


def merge(turn: Turn, restored: Restored, held: Held) -> dict[str, int]:
    """Put a backup beside what is here, which always wins; how much was new. `restored.lines` are then the new ones.

    In a group of this device only places below its cursor are filled, and of these only seqs of which it has nothing:
    what is above comes from the service. Lines are not put into the turn, which would hold them a second time.
    """
    for record in restored.others:
        _put_new(turn, record)
    highest: dict[bytes, bytes] = {}
    for row in list(restored.lines):
        chat, place = row[1][:GROUP], row[1][GROUP:]
        if _is_new(turn, held, chat, place):
            highest[chat] = max(place, highest.get(chat, b""))
        else:
            del restored.lines[row]
    chats = [key for key in restored.chats if _put_chat(turn, restored, key, changed=key in highest)]
    for chat in highest.keys() & held.cursors.keys():
        _mark(turn, restored.chats[chat].id, highest[chat])
    return {"groups": len(chats), "lines": len(restored.lines)}


def _is_new(turn: Turn, held: Held, chat: bytes, place: bytes) -> bool:
    if chat in held.cursors:
        seq = place[:SEQ]
        return int.from_bytes(seq) < held.cursors[chat] and seq not in held.places[chat]
    return turn.get(Group, chat) is None and place not in held.places[chat]


def _put_new(turn: Turn, record: Me | Profile | Contact) -> None:
    """What is here stays. Keys of people are kept as seen, not as heard: that, this device has not witnessed."""
    own = isinstance(record, Contact) and record.identity == turn.identity
    if own or turn.get(type(record), record.key):
        return
    turn.put(record.with_(heard=False) if isinstance(record, Contact) else record)
    if isinstance(record, Me):
        turn.show("named", name=record.name)


def _put_chat(turn: Turn, restored: Restored, key: bytes, *, changed: bool) -> bool:
    """Whether the chat has something that it had not."""
    found, old = restored.chats[key], turn.get(Chat, key)
    gone = old is None or old.deleted
    if not (changed or gone):
        return False
    former = {*(old.former if old else []), *found.former, restored.identity or ""} - {"", turn.identity}
    if old is None or gone:
        rev = old.rev + 1 if old else 1
        old = found.with_(rev=rev, modified_at=turn.now, archived=0, former=[])
    here = turn.get(Group, key) is not None
    archived = 0 if here else max(restored.ends.get(key, 0), old.archived, 1)
    chat = old.changed(turn.now, archived=archived, former=sorted(former))
    turn.put(chat)
    if here:
        turn.show("history", group_id=chat.id)
    else:
        turn.show("group", group=view(turn, chat))
    return True


def _mark(turn: Turn, group_id: str, place: bytes) -> None:
    """A line behind the last one from the backup, in a group that goes on."""
    seq, index = int.from_bytes(place[:SEQ]), int.from_bytes(place[SEQ:])
    line = Line(
        id=new_id(turn.mls),
        rev=1,
        modified_at=turn.now,
        group_id=group_id,
        seq=seq,
        index=min(index + 1, 0xFFFF),
        sender="",
        at=turn.now,
        notice="from_backup",
    )
    turn.put(line)


# -- what the user sees --


def all_of(turn: Turn) -> list[dict[str, Any]]:
    """`Group` of docs/bridge.md, of every archive."""
    return [view(turn, chat) for chat in turn.rows(Chat) if _is_archive(turn, chat)]


def find(turn: Turn, group_id: str) -> Chat | None:
    """The archive of this id."""
    chat = turn.get(Chat, group_key(group_id))
    return chat if chat and _is_archive(turn, chat) else None


def _is_archive(turn: Turn, chat: Chat) -> bool:
    kept = bool(chat.archived) or chat.key in turn.state.set_aside
    return kept and not chat.deleted and turn.get(Group, chat.key) is None


def view(turn: Turn, chat: Chat) -> dict[str, Any]:
    """`Group` of docs/bridge.md, of an archive."""
    aside = turn.state.set_aside.get(chat.key)
    why = "archived" if aside is None else "set_aside" if aside.whole else "damaged"
    return {
        "group_id": chat.id,
        "name": chat.name,
        "epoch": 0,
        "state": "archive",
        "why": sentence(why, []),
        "unread": 0,
        "last_line": None,
        "members": 0,
        "updated_at": chat.archived,
        "can_send": False,
        "can_forget": True,
        "can_rejoin": False,
        "again": None,
        "after": None,
        "goes_on_in": None,
    }


def opened(turn: Turn, chat: Chat, rows: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """What `open_group` gives of an archive."""
    stored = salvage.lines(rows)
    return {
        "group": view(turn, chat),
        "members": [],
        "lines": [views.line(turn, line) for line in stored if not line.deleted],
    }


def forget(turn: Turn, chat: Chat, line_keys: list[bytes]) -> None:
    """Delete an archive with its lines, and what is left of a group that was set aside."""
    if chat.key in turn.state.set_aside:  # the service still takes this device for a member
        salvage.clear(turn, chat.key)
        turn.do(Call("group_leave", {"group_id": chat.id}))
    turn.put(chat.changed(turn.now, deleted=True, name="", archived=0, former=[]))
    turn.delete_all(ABOUT_GROUP, chat.key)
    for key in line_keys:
        turn.delete_key("messages", key)
    turn.show("group_gone", group_id=chat.id)
