"""End an invite, and the joins that wait on it."""

from edge_functions.endpoint import Call, Function


async def handle(call: Call) -> str:
    """{invite_id} → {invite_id}."""
    invite = call.fields.hex("invite_id", size=16)
    call.fields.end()
    return await call.sql("select coterie.invite_revoke_v1($1, $2)", invite)


app = Function(handle)
