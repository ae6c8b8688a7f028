"""The joins that wait in the groups of this device."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import JOIN_STATUS, hexes, listed, nullable, record, text, time, uuid


async def handle(call: Call) -> str:
    """A claim that lapsed is shown as waiting."""
    return await call.sql("select coterie.invite_pending_v1($1)")


JOIN = record(
    {
        "join_id": uuid(),
        "group_id": uuid(),
        "invite_id": hexes(size=16),
        "device_id": uuid(),
        "user_id": text(),
        "kp_hex": hexes(),
        "tag": hexes(size=32),
        "hello": hexes(),
        "status": JOIN_STATUS,
        "created_at": time(),
        "claimed_by": nullable(uuid()),
        "claimed_until": nullable(time()),
    }
)

app = Function(handle, takes={}, gives={"joins": listed(JOIN)})
