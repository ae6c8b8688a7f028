"""A member approves or refuses somebody who waits."""

from edge_functions.endpoint import Call, Function


async def handle(call: Call) -> str:
    """{join_id, approve} → {join_id, status}."""
    join = call.fields.uuid("join_id")
    approve = call.fields.boolean("approve")
    call.fields.end()
    return await call.sql("select coterie.invite_decide_v1($1, $2, $3)", join, approve)


app = Function(handle)
