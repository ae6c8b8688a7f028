"""A page of a group's log, from where this device's copy ends."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import boolean, choice, hexes, integer, listed, record, text, time, uuid


async def handle(call: Call, group_id: str, after: int, limit: int) -> str:
    """Only what lies between this device's `from_seq` and `until_seq`."""
    return await call.sql("select coterie.get_messages_v1($1, $2, $3, $4)", group_id, after, limit)


ENVELOPE = record(
    {
        "v": integer(at_least=1, at_most=1),
        "group_id": uuid(),
        "seq": integer(at_least=1),
        "epoch": integer(),
        "kind": choice("application", "commit"),
        "message_id": uuid(),
        "sender_device": uuid(),
        "hash": hexes(size=32),
        "size": integer(at_least=1),
        "server_time": time(),
    },
    {"mls_bytes": hexes(), "ref": text(), "gone": boolean()},
)

app = Function(
    handle,
    takes={
        "group_id": uuid(),
        "after": integer(),
        "limit": integer(default=100, at_least=1, at_most=500),
    },
    gives={"envelopes": listed(ENVELOPE), "last_seq": integer()},
    errors={403: ["not_a_member"]},
    methods=("POST", "GET"),
)
