"""The groups whose member this device is or was."""

from edge_functions.endpoint import Call, Function


async def handle(call: Call) -> str:
    """{} → {groups}."""
    call.fields.end()
    return await call.sql("select coterie.groups_list_v1($1)")


app = Function(handle)
