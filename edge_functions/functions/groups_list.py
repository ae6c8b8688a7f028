"""The groups whose member this device is or was."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import boolean, choice, integer, listed, nullable, record, text, uuid


async def handle(call: Call) -> str:
    """Of a group that it has left: no epoch and no roster."""
    return await call.sql("select coterie.groups_list_v1($1)")


MEMBER = record({"device_id": uuid(), "user_id": text(), "name": text(), "kind": choice("person", "service")})
GROUP = record(
    {
        "group_id": uuid(),
        "epoch": nullable(integer()),
        "last_seq": integer(),
        "from_seq": integer(at_least=1),
        "until_seq": nullable(integer()),
        "acked_seq": integer(),
        "counter": integer(),
        "joined": boolean(),
        "roster": listed(MEMBER),
    }
)

app = Function(handle, takes={}, gives={"groups": listed(GROUP)})
