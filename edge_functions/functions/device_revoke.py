"""Shut out one of the user's own devices, for ever."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import time, uuid


async def handle(call: Call, device_id: str) -> str:
    """Its sockets, in whatever process, hear of it from the database."""
    return await call.sql("select coterie.device_revoke_v1($1, $2)", device_id)


app = Function(
    handle,
    takes={"device_id": uuid()},
    gives={"device_id": uuid(), "revoked_at": time()},
    errors={404: ["unknown_device"]},
)
