"""Make a group, with this device as its one member."""

from coterie_wire import WireError, parse_group_info_header
from edge_functions.endpoint import LARGE_BODY, MIB, Call, Function


async def handle(call: Call) -> str:
    """{group_id, group_info, message_id} → {group_id, epoch, seq}."""
    group = call.fields.uuid("group_id")
    info = call.fields.hex("group_info", at_most=8 * MIB)
    message = call.fields.uuid("message_id")
    call.fields.end()
    fault = None if _is_new(info) else "wrong_header"
    return await call.sql("select coterie.group_create_v1($1, $2, $3, $4, $5)", group, info, message, fault)


def _is_new(group_info: bytes) -> bool:
    try:
        return parse_group_info_header(group_info).epoch == 0
    except WireError:
        return False


app = Function(handle, limit=LARGE_BODY)
