"""The Welcome was processed and saved: delivery begins."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import integer, uuid


async def handle(call: Call, group_id: str) -> str:
    """The Welcome is dropped: nobody needs it any more."""
    return await call.sql("select coterie.group_join_v1($1, $2)", group_id)


app = Function(
    handle,
    takes={"group_id": uuid()},
    gives={"group_id": uuid(), "from_seq": integer()},
    errors={403: ["not_a_member"]},
)
