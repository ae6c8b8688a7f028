"""The GroupInfo of the present epoch, for a rejoin."""

from edge_functions.endpoint import Call, Function


async def handle(call: Call) -> str:
    """{group_id} → {epoch, group_info}."""
    group = call.fields.uuid("group_id")
    call.fields.end()
    return await call.sql("select coterie.group_info_get_v1($1, $2)", group)


app = Function(handle)
