"""End an invite, and the joins that wait on it."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import hexes


async def handle(call: Call, invite_id: bytes) -> str:
    """By any member of its group."""
    return await call.sql("select coterie.invite_revoke_v1($1, $2)", invite_id)


app = Function(
    handle,
    takes={"invite_id": hexes(size=16)},
    gives={"invite_id": hexes(size=16)},
    errors={403: ["not_a_member"]},
)
