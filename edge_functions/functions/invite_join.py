"""Wait to be added to the group of an invite."""

from coterie_wire import WireError, WireFormat, wire_format
from edge_functions.endpoint import KIB, Call, Function
from edge_functions.fields import JOIN_STATUS, hexes, uuid


async def handle(call: Call, join_id: str, invite_id: bytes, kp_hex: bytes, tag: bytes, hello: bytes) -> str:
    """The key package is for the members to judge; here it only must be one."""
    fault = None if _is_key_package(kp_hex) else "wrong_header"
    statement = "select coterie.invite_join_v1($1, $2, $3, $4, $5, $6, $7)"
    return await call.services.limits.look_up(
        call.address,
        invite_id,
        lambda: call.sql(statement, join_id, invite_id, kp_hex, tag, hello, fault),
    )


def _is_key_package(message: bytes) -> bool:
    try:
        return wire_format(message) is WireFormat.KEY_PACKAGE
    except WireError:
        return False


app = Function(
    handle,
    takes={
        "join_id": uuid(),
        "invite_id": hexes(size=16),
        "kp_hex": hexes(at_most=64 * KIB),
        "tag": hexes(size=32),
        "hello": hexes(at_most=4 * KIB),
    },
    gives={"join_id": uuid(), "status": JOIN_STATUS},
    errors={
        404: ["invite_unavailable"],
        409: ["already_member", "join_id_reused", "join_open"],
        422: ["wrong_header"],
    },
    pace="joins",
)
