"""Stop waiting: by the joining device alone."""

from edge_functions.endpoint import Call, Function


async def handle(call: Call) -> str:
    """{join_id} → {join_id, status}."""
    join = call.fields.uuid("join_id")
    call.fields.end()
    return await call.sql("select coterie.invite_cancel_v1($1, $2)", join)


app = Function(handle)
