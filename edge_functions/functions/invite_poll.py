"""How my own join stands, with its Welcome once it is there."""

from edge_functions.endpoint import Call, Function


async def handle(call: Call) -> str:
    """{join_id} → {join_id, status, group_id, welcome_hex, welcome_tag, from_seq}."""
    join = call.fields.uuid("join_id")
    call.fields.end()
    return await call.sql("select coterie.invite_poll_v1($1, $2)", join)


app = Function(handle)
