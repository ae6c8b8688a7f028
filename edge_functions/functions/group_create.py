"""Make a group, with this device as its one member."""

from coterie_wire import WireError, parse_group_info_header
from edge_functions.endpoint import LARGE_BODY, MIB, Call, Function
from edge_functions.fields import hexes, integer, uuid


async def handle(call: Call, group_id: str, group_info: bytes, message_id: str) -> str:
    """Of the GroupInfo only the header is read: it must be of epoch 0."""
    fault = None if _is_new(group_info) else "wrong_header"
    return await call.sql(
        "select coterie.group_create_v1($1, $2, $3, $4, $5)", group_id, group_info, message_id, fault
    )


def _is_new(group_info: bytes) -> bool:
    try:
        return parse_group_info_header(group_info).epoch == 0
    except WireError:
        return False


app = Function(
    handle,
    takes={"group_id": uuid(), "group_info": hexes(at_most=8 * MIB), "message_id": uuid()},
    gives={"group_id": uuid(), "epoch": integer(), "seq": integer()},
    errors={409: ["group_exists"], 422: ["wrong_header"]},
    limit=LARGE_BODY,
    pace="commits",
)
