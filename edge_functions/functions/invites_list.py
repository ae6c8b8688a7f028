"""The invites of a group."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import boolean, hexes, integer, listed, nullable, record, time, uuid


async def handle(call: Call, group_id: str) -> str:
    """Those that have ended too."""
    return await call.sql("select coterie.invites_list_v1($1, $2)", group_id)


INVITE = record(
    {
        "invite_id": hexes(size=16),
        "created_by": uuid(),
        "created_at": time(),
        "expires_at": time(),
        "max_uses": integer(at_least=1),
        "uses": integer(),
        "approval": boolean(),
        "ended_at": nullable(time()),
    }
)

app = Function(
    handle,
    takes={"group_id": uuid()},
    gives={"invites": listed(INVITE)},
    errors={403: ["not_a_member"]},
)
