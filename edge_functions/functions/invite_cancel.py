"""Stop waiting: by the joining device alone."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import JOIN_STATUS, uuid


async def handle(call: Call, join_id: str) -> str:
    """To others the join does not exist."""
    return await call.sql("select coterie.invite_cancel_v1($1, $2)", join_id)


app = Function(
    handle,
    takes={"join_id": uuid()},
    gives={"join_id": uuid(), "status": JOIN_STATUS},
    errors={404: ["unknown_join"], 409: ["already_completed"]},
)
