"""The GroupInfo of the present epoch, for a rejoin."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import hexes, integer, uuid


async def handle(call: Call, group_id: str) -> str:
    """Members only."""
    return await call.sql("select coterie.group_info_get_v1($1, $2)", group_id)


app = Function(
    handle,
    takes={"group_id": uuid()},
    gives={"epoch": integer(), "group_info": hexes()},
    errors={403: ["not_a_member"]},
)
