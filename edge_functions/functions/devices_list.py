"""The user's own devices."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import boolean, choice, integer, listed, nullable, record, text, time, uuid


async def handle(call: Call) -> str:
    """Revoked ones too."""
    return await call.sql("select coterie.devices_list_v1($1)")


DEVICE = record(
    {
        "device_id": uuid(),
        "name": text(),
        "kind": choice("person", "service"),
        "created_at": time(),
        "last_seen": time(),
        "current": boolean(),
        "revoked_at": nullable(time()),
        "key_packages": integer(),
    }
)

app = Function(handle, takes={}, gives={"devices": listed(DEVICE)})
