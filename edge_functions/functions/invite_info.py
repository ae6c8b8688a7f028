"""What an invite says to one who holds the link: its sealed preview."""

from edge_functions.endpoint import Call, Function


async def handle(call: Call) -> str:
    """{invite_id} → {invite_id, preview, expires_at, approval}."""
    invite = call.fields.hex("invite_id", size=16)
    call.fields.end()
    return await call.sql("select coterie.invite_info_v1($1, $2)", invite)


app = Function(handle)
