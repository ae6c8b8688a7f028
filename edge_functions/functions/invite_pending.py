"""The joins that wait in the groups of this device."""

from edge_functions.endpoint import Call, Function


async def handle(call: Call) -> str:
    """{} → {joins}."""
    call.fields.end()
    return await call.sql("select coterie.invite_pending_v1($1)")


app = Function(handle)
