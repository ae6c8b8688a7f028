"""A member approves or refuses somebody who waits."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import JOIN_STATUS, boolean, uuid


async def handle(call: Call, join_id: str, *, approve: bool) -> str:
    """To others the join does not exist."""
    return await call.sql("select coterie.invite_decide_v1($1, $2, $3)", join_id, approve)


app = Function(
    handle,
    takes={"join_id": uuid(), "approve": boolean()},
    gives={"join_id": uuid(), "status": JOIN_STATUS},
    errors={404: ["unknown_join"], 409: ["not_open"]},
)
