"""What a group posts: exact bytes in rows, one in flight, in order; and what its answers mean (design: save, then act).

A row leaves the outbox when the service took it, when its envelope came back, or when it was refused for good.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import cbor2

from coterie.core import content as contents
from coterie.core import views
from coterie.core.effects import CatchUp, Drain
from coterie.core.group import lines
from coterie.core.mls import new_id
from coterie.core.records import BEHIND, Group, Line, Me, Outgoing, Sent
from coterie.core.state import Turn
from coterie.errors import RemoteError, StateError
from coterie_wire import WireError, integer

MAX_WAITING = 900
"""Rows in a lane. Framing a whole lane anew must stay within the forward distance (2,000) of receivers."""
RETRY = frozenset({401, 408, 425, 429})
"""Client errors after which the same bytes are posted again; so are all of 5xx."""
TOO_SOON = 429


def send_text(turn: Turn, group_id: str, text: str) -> dict[str, Any]:
    """A line of text, encrypted and in the outbox; its view. Raises `LocalError`."""
    group = lines.need_sending(turn, group_id)
    if len(turn.rows(Outgoing, group.key)) >= MAX_WAITING:
        raise StateError("outbox_full", "Too much waits to be sent. It goes out when the service is back.")
    body = contents.encode_text(
        text, salt=turn.mls.random_bytes(16), epoch=group.epoch, authenticator=group.epoch_authenticator
    )
    group = send(turn, group, body)
    row = turn.rows(Outgoing, group.key)[-1]
    view = views.pending(turn, row)
    turn.show("line", group_id=group_id, line=view)
    lines.save(turn, group.with_(last_text=text[:200], last_at=turn.now))
    return view


def send_control(turn: Turn, group: Group, body: dict[str, Any]) -> Group:
    """A control message to all members."""
    content = contents.encode_control(
        body, salt=turn.mls.random_bytes(16), epoch=group.epoch, authenticator=group.epoch_authenticator
    )
    return send(turn, group, content)


def send_profile(turn: Turn, group: Group) -> Group:
    """Tell a group the own name."""
    me = turn.get(Me, b"me")
    return send_control(turn, group, {"type": "profile", "name": me.name}) if me else group


def send(turn: Turn, group: Group, content: bytes) -> Group:
    """Encrypt content into a new row at the end of the lane."""
    group, row = _encrypt(turn, group, content, group.next_order)
    group = group.with_(next_order=group.next_order + 1)
    turn.put(row)
    turn.put(group)
    lines.drain(turn, group)
    return group


def _encrypt(
    turn: Turn, group: Group, content: bytes, order: int, at: int | None = None
) -> tuple[Group, Outgoing]:
    group = group.with_(counter=group.counter + 1, framed=group.framed + 1)
    row = Outgoing(
        lane=group.key,
        order=order,
        kind="message",
        function="send_message",
        message_id=new_id(turn.mls),
        group_id=group.group_id,
        epoch=group.epoch,
        counter=group.counter,
        mls_bytes=turn.backend.encrypt(group.mls_id, content),
        content=content,
        at=at or turn.now,
    )
    return group, row


def call(turn: Turn, group: Group, function: str, **fields: Any) -> Group:
    """A call that belongs to the group, behind what already waits."""
    row = Outgoing(
        lane=group.key,
        order=group.next_order,
        kind="call",
        function=function,
        group_id=group.group_id,
        fields=fields,
    )
    group = group.with_(next_order=group.next_order + 1)
    turn.put(row)
    turn.put(group)
    lines.drain(turn, group)
    return group


def post(
    turn: Turn,
    lane: bytes,
    function: str,
    fields: dict[str, Any],
    *,
    group_id: str = "",
    note: dict[str, Any] | None = None,
) -> None:
    """A call in a lane that is no group's, behind what already waits there."""
    waiting = turn.rows(Outgoing, lane)  # a place may serve again: answers go by `ident` too
    order = waiting[-1].order + 1 if waiting else 0
    row = Outgoing(
        lane=lane,
        order=order,
        kind="call",
        function=function,
        group_id=group_id,
        fields=fields,
        note=note or {},
    )
    turn.put(row)
    turn.do(Drain(lane))


def body(row: Outgoing) -> dict[str, Any]:
    """The request's body, the same for every retry (docs/protocol.md)."""
    if row.kind == "call":
        return _hexed(row.fields)
    common = {
        "group_id": row.group_id,
        "epoch": row.epoch,
        "message_id": row.message_id,
        "counter": row.counter,
    }
    if row.kind == "message":
        return common | {"kind": "application", "mls_bytes": row.mls_bytes.hex()}
    return common | {"commit": row.mls_bytes.hex()} | _commit_fields(row.fields)


def _commit_fields(fields: dict[str, Any]) -> dict[str, Any]:
    welcome = fields["welcome"]
    welcomed = fields.get("welcomed", fields["added"])  # a row of an earlier version names none
    posted = {
        "group_info": fields["group_info"].hex(),
        "welcomes": [{"device_id": device, "welcome": welcome.hex()} for device in welcomed],
        "added": fields["added"],
        "removed": fields["removed"],
        "end_invites": fields["end_invites"],
    }
    if fields["joins"]:
        posted["joins"] = [{"join_id": join_id, "welcome_tag": tag.hex()} for join_id, tag in fields["joins"]]
    return posted


def _hexed(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _hex(value) for name, value in fields.items()}


def _hex(value: Any) -> Any:
    if isinstance(value, list):
        return [_hex(one) for one in value]
    return value.hex() if isinstance(value, bytes) else value


def head(turn: Turn, lane: bytes, blocked: set[bytes]) -> Outgoing | None:
    """What to post next in a lane: its first row, unless that must wait for its envelope or a newer epoch."""
    rows = turn.rows(Outgoing, lane)
    group = turn.get(Group, lane)
    rejoin = next((row for row in rows if row.kind == "rejoin"), None)
    if rejoin:  # the way back goes before what waits for it
        return None if rejoin.accepted_seq else rejoin
    if not rows or rows[0].accepted_seq or rows[0].key in blocked:
        return None
    if group and (group.state in ("removed", "broken") or group.why in (*BEHIND, "added_anew")):
        return None
    return rows[0]


def final(function: str, body: Mapping[str, Any], status: int) -> bool:
    """Whether the service has decided about a request: done, or refused for good; else the same is posted again.

    That the renewal of a leaf comes too soon is decided: waiting with it would hold up the lines behind it.
    """
    if status == TOO_SOON and function == "send_commit" and body["counter"]:  # 0: a rejoin, which has to wait
        return bool(not body["added"] and not body["removed"])
    return 200 <= status < 300 or (400 <= status < 500 and status not in RETRY)


def ident(row: Outgoing) -> bytes:
    """Tells the row from any other that has its place in the lane, before it or after it."""
    return _hash(row.mls_bytes or cbor2.dumps([row.function, row.fields], canonical=True))[:16]


def seq_of(answer: dict[str, Any]) -> int:
    """The seq that the service gave. Raises `RemoteError` (`bad_answer`)."""
    try:
        return integer(answer.get("seq"), name="seq", at_least=1)
    except WireError:
        raise RemoteError("bad_answer", "The service took a message without giving it a place.") from None


def accepted(turn: Turn, row: Outgoing, answer: dict[str, Any]) -> None:
    """A message was taken: it has its seq, and is a line. Raises `RemoteError` (`bad_answer`)."""
    group = lines.need(turn, row.group_id)
    seq = seq_of(answer) + group.went_back
    if seq > group.cursor and seq not in sent_seqs(turn, group):
        turn.put(Sent(message_id=row.message_id, group_id=row.group_id, seq=seq, hash=_hash(row.mls_bytes)))
        settle(turn, group, row, seq, 0)
    else:  # what came at this seq was something else: the line goes to the end, and takes no other's place
        settle(turn, group, row, group.cursor, group.index)


def sent_seqs(turn: Turn, group: Group) -> set[int]:
    """Seqs at which own lines stand whose echoes have not passed."""
    return {sent.seq for sent in turn.rows(Sent) if sent.group_id == group.group_id}


def settle(turn: Turn, group: Group, row: Outgoing, seq: int, index: int) -> Group:
    """The row becomes a line at its place (a control message just goes)."""
    turn.delete(row)
    if contents.decode(row.content).text is None:
        return group
    line = _own_line(turn, group, row, seq, index)
    turn.put(line)
    turn.show("line", group_id=group.group_id, line=views.line(turn, line), was=views.pending_key(row.order))
    if seq == group.cursor:
        group = group.with_(index=index + 1)
        turn.put(group)
    return group


def refused(turn: Turn, row: Outgoing, code: str, sentence: str) -> None:
    """A message was refused for good: a line says so, and the row is never posted again."""
    group = lines.need(turn, row.group_id)
    turn.delete(row)
    if contents.decode(row.content).text is None:
        return
    line = _own_line(turn, group, row, group.cursor, group.index)
    line = line.with_(notice="not_sent", about=[sentence or code])
    turn.show("line_gone", group_id=group.group_id, key=views.pending_key(row.order))
    lines.save(turn, lines.add(turn, lines.counted(group, "not_sent"), line))


def _own_line(turn: Turn, group: Group, row: Outgoing, seq: int, index: int) -> Line:
    own = lines.own_identity(turn)
    return lines.text_line(turn, group, seq=seq, index=index, sender=own, at=row.at, content=row.content)


def give_up(turn: Turn, group: Group, code: str, sentence: str) -> Group:
    """Nothing that waits will go out: of each message a line says so. The group as it is then."""
    for row in turn.rows(Outgoing, group.key):
        if row.kind == "message":
            refused(turn, row, code, sentence)
        else:
            turn.delete(row)
    return lines.need(turn, group.group_id)


def stale(turn: Turn, row: Outgoing, blocked: set[bytes]) -> None:
    """The row's epoch is gone: encrypt anew once this device has reached the new one, never before."""
    group = lines.need(turn, row.group_id)
    if group.epoch <= row.epoch:
        blocked.add(row.key)
        turn.do(CatchUp(group.group_id))
        return
    for later in turn.rows(Outgoing, group.key):
        blocked.discard(later.key)
    lines.drain(turn, frame_anew(turn, group))


def frame_anew(turn: Turn, group: Group) -> Group:
    """All that waits in the lane, in the present epoch and under the content ids that it has."""
    for row in turn.rows(Outgoing, group.key):
        group = _anew(turn, group, row)
    return group


def _anew(turn: Turn, group: Group, row: Outgoing) -> Group:
    """The row in the present epoch, behind those before it.

    Rows behind the first one were never posted. They are framed anew with it, even those of this epoch: counters and
    generations must rise in the order of the lane, or the service and receivers would take the later ones for old.
    """
    if row.kind == "message":
        group, new = _encrypt(turn, group, row.content, row.order, row.at)
        row = new.with_(note=row.note)
    elif row.kind == "commit":  # of this epoch: a merge takes older ones away
        group = group.with_(counter=group.counter + 1)
        row = row.with_(counter=group.counter)
    turn.put(row)
    turn.put(group)
    return group


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
