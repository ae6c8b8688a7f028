"""Wait to be added to the group of an invite."""

from coterie_wire import WireError, WireFormat, wire_format
from edge_functions.endpoint import KIB, Call, Function


async def handle(call: Call) -> str:
    """{join_id, invite_id, kp_hex, tag, hello} → {join_id, status}."""
    join = call.fields.uuid("join_id")
    invite = call.fields.hex("invite_id", size=16)
    key_package = call.fields.hex("kp_hex", at_most=64 * KIB)
    tag = call.fields.hex("tag", size=32)
    hello = call.fields.hex("hello", at_most=4 * KIB)
    call.fields.end()
    fault = None if _is_key_package(key_package) else "wrong_header"
    return await call.sql(
        "select coterie.invite_join_v1($1, $2, $3, $4, $5, $6, $7)",
        join,
        invite,
        key_package,
        tag,
        hello,
        fault,
    )


def _is_key_package(message: bytes) -> bool:
    try:
        return wire_format(message) is WireFormat.KEY_PACKAGE
    except WireError:
        return False


app = Function(handle)
