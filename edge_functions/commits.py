"""`send_commit` and `invite_complete`: the same call, with and without joins."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from coterie_wire import (
    CommitData,
    ContentType,
    Header,
    SenderType,
    WireError,
    WireFormat,
    parse_group_info_header,
    parse_header,
    wire_format,
)
from edge_functions.endpoint import MIB, Call
from edge_functions.fields import Field, boolean, hexes, integer, keyed, time, uuid, uuids

_STATEMENT = """select coterie.send_commit_v1(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"""


TAKES = {
    "group_id": uuid(),
    "epoch": integer(),
    "commit": hexes(at_most=MIB),
    "message_id": uuid(),
    "counter": integer(),
    "group_info": hexes(at_most=8 * MIB),
    "welcomes": keyed("device_id", "welcome", hexes(at_most=8 * MIB)),
    "added": uuids(),
    "removed": uuids(),
    "end_invites": boolean(),
}
"""All but `joins`."""

GIVES = {"seq": integer(at_least=1), "epoch": integer(at_least=1), "server_time": time()}

ERRORS = {
    403: ["not_a_member"],
    409: [
        "already_completed",
        "invites_ended",
        "message_id_reused",
        "not_open",
        "stale_epoch",
        "state_behind",
    ],
    422: ["wrong_header", "wrong_roster"],
}


def joins(**options: Any) -> Field:
    """The joins that a commit completes, and the tags of their Welcomes."""
    return keyed("join_id", "welcome_tag", hexes(size=32), **options)


@dataclass(frozen=True, slots=True)
class _Commit:
    """The request, each field of the right type and size."""

    group_id: str
    epoch: int
    commit: bytes
    message_id: str
    counter: int
    group_info: bytes
    welcomes: dict[str, bytes]
    added: list[str]
    removed: list[str]
    end_invites: bool
    joins: dict[str, bytes]


async def handle(call: Call, **fields: Any) -> str:
    """Check the framing and hand everything to the database in one statement."""
    request = _Commit(**fields)
    header = _header(request.commit)
    rejoin = header is not None and header.sender_type is SenderType.NEW_MEMBER_COMMIT
    data = _data(header, rejoin=rejoin)
    settings = call.services.settings
    return await call.sql(
        _STATEMENT,
        request.group_id,
        request.epoch,
        request.message_id,
        None if rejoin else request.counter,
        request.commit,
        request.group_info,
        request.added,
        request.removed,
        request.end_invites,
        list(request.welcomes),
        list(request.welcomes.values()),
        list(request.joins),
        list(request.joins.values()),
        [] if data is None else list(data.invites),
        _fault(request, header, data, rejoin=rejoin),
        timedelta(seconds=settings.commit_group_seconds),
        timedelta(seconds=settings.commit_device_seconds),
    )


def _header(commit: bytes) -> Header | None:
    try:
        return parse_header(commit)
    except WireError:
        return None


def _data(header: Header | None, *, rejoin: bool) -> CommitData | None:
    """The authenticated data; a rejoin may leave it empty, because it changes no roster."""
    if header is None:
        return None
    if rejoin and not header.authenticated_data:
        return CommitData()
    try:
        return CommitData.parse(header.authenticated_data)
    except WireError:
        return None


def _fault(request: _Commit, header: Header | None, data: CommitData | None, *, rejoin: bool) -> str | None:
    """A code of docs/protocol.md, or None. The database answers it in its place in the order of checks."""
    if header is None or not _framed(request, header, rejoin=rejoin):
        return "wrong_header"
    said = (sorted(request.added), sorted(request.removed), request.end_invites)
    if data is None or (list(data.added), list(data.removed), data.end_invites) != said:
        return "wrong_roster"
    if not request.welcomes.keys() <= set(request.added):
        return "wrong_roster"
    if rejoin and (request.added or request.removed or request.end_invites or request.joins):
        return "wrong_roster"
    return None


def _framed(request: _Commit, header: Header, *, rejoin: bool) -> bool:
    """Is it a commit of this epoch, by a member in a PrivateMessage or by a returning one, with what belongs to it?"""
    private = header.wire_format is WireFormat.PRIVATE_MESSAGE
    if (
        header.content_type is not ContentType.COMMIT
        or header.epoch != request.epoch
        or not (private or rejoin)
    ):
        return False
    if rejoin != (request.counter == 0):
        return False  # a PrivateMessage is counted, from 1
    try:
        info = parse_group_info_header(request.group_info)
        welcomes = {wire_format(welcome) for welcome in request.welcomes.values()}
    except WireError:
        return False
    return (info.group_id, info.epoch) == (header.group_id, request.epoch + 1) and welcomes <= {
        WireFormat.WELCOME
    }
