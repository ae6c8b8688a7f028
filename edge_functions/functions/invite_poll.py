"""How my own join stands, with its Welcome once it is there."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import JOIN_STATUS, hexes, integer, nullable, uuid


async def handle(call: Call, join_id: str) -> str:
    """To others the join does not exist."""
    return await call.sql("select coterie.invite_poll_v1($1, $2)", join_id)


app = Function(
    handle,
    takes={"join_id": uuid()},
    gives={
        "join_id": uuid(),
        "status": JOIN_STATUS,
        "group_id": nullable(uuid()),
        "welcome_hex": nullable(hexes()),
        "welcome_tag": nullable(hexes(size=32)),
        "from_seq": nullable(integer()),
    },
    errors={404: ["unknown_join"]},
)
