"""The Welcomes of groups to which somebody added this device without a link."""

from edge_functions.endpoint import MIB, Call, Function
from edge_functions.fields import hexes, integer, listed, nullable, optional, record, text, time, uuid


async def handle(call: Call, group_id: str | None) -> str:
    """`group_join` accepts one, `group_leave` declines it."""
    return await call.sql("select coterie.welcomes_list_v1($1, $2)", group_id)


INVITATION = record(
    {
        "group_id": uuid(),
        "seq": integer(at_least=1),
        "welcome": nullable(hexes(at_most=8 * MIB)),
        "from_seq": integer(at_least=1),
        "sender_device": uuid(),
        "sender_user": text(),
        "created_at": time(),
    }
)

app = Function(handle, takes={"group_id": optional(uuid())}, gives={"welcomes": listed(INVITATION)})
