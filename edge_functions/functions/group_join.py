"""The Welcome was processed and saved: delivery begins."""

from edge_functions.endpoint import Call, Function


async def handle(call: Call) -> str:
    """{group_id} → {group_id, from_seq}."""
    group = call.fields.uuid("group_id")
    call.fields.end()
    return await call.sql("select coterie.group_join_v1($1, $2)", group)


app = Function(handle)
