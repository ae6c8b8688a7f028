"""Append an application message to a group's log."""

from coterie_wire import ContentType, WireError, WireFormat, parse_header
from edge_functions.appends import Append
from edge_functions.endpoint import MIB, Call, Function
from edge_functions.fields import choice, hexes, integer, time, uuid


async def handle(
    call: Call,
    group_id: str,
    epoch: int,
    kind: str,  # noqa: ARG001 - it has one value
    mls_bytes: bytes,
    message_id: str,
    counter: int,
) -> str:
    """The framing must say what the request says. What is in order is appended together with what else arrives."""
    fault = None if _is_application(mls_bytes, epoch) else "wrong_header"
    if fault is None:
        append = Append(call.claims.json(), group_id, epoch, message_id, counter, mls_bytes)
        answer = await call.services.appends.send(append)
        if answer is not None:
            return answer
    return await call.sql(
        "select coterie.send_message_v1($1, $2, $3, $4, $5, $6, $7)",
        group_id,
        epoch,
        message_id,
        counter,
        mls_bytes,
        fault,
    )


def _is_application(body: bytes, epoch: int) -> bool:
    try:
        header = parse_header(body)
    except WireError:
        return False
    framing = (header.wire_format, header.content_type, header.epoch)
    return framing == (WireFormat.PRIVATE_MESSAGE, ContentType.APPLICATION, epoch)


app = Function(
    handle,
    takes={
        "group_id": uuid(),
        "epoch": integer(),
        "kind": choice("application"),
        "mls_bytes": hexes(at_most=MIB),
        "message_id": uuid(),
        "counter": integer(at_least=1),
    },
    gives={"seq": integer(at_least=1), "server_time": time()},
    errors={
        403: ["not_a_member"],
        409: ["message_id_reused", "stale_epoch", "state_behind"],
        422: ["wrong_header"],
    },
    pace="sends",
)
