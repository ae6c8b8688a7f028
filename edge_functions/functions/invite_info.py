"""What an invite says to one who holds the link: its sealed preview."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import boolean, hexes, time


async def handle(call: Call, invite_id: bytes) -> str:
    """One answer for unknown, expired, revoked and used up."""
    return await call.services.limits.look_up(
        call.address, invite_id, lambda: call.sql("select coterie.invite_info_v1($1, $2)", invite_id)
    )


app = Function(
    handle,
    takes={"invite_id": hexes(size=16)},
    gives={"invite_id": hexes(size=16), "preview": hexes(), "expires_at": time(), "approval": boolean()},
    errors={404: ["invite_unavailable"]},
    pace="joins",
)
