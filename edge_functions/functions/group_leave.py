"""Delivery to this device ends."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import integer, uuid


async def handle(call: Call, group_id: str) -> str:
    """In MLS it stays a member until another one commits its Remove."""
    return await call.sql("select coterie.group_leave_v1($1, $2)", group_id)


app = Function(
    handle,
    takes={"group_id": uuid()},
    gives={"group_id": uuid(), "until_seq": integer()},
    errors={403: ["not_a_member"]},
)
