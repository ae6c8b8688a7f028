"""The invites of a group."""

from edge_functions.endpoint import Call, Function


async def handle(call: Call) -> str:
    """{group_id} → {invites}."""
    group = call.fields.uuid("group_id")
    call.fields.end()
    return await call.sql("select coterie.invites_list_v1($1, $2)", group)


app = Function(handle)
