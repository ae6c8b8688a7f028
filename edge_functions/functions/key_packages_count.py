"""What is left of this device's key packages."""

from edge_functions.endpoint import Call, Function
from edge_functions.fields import STOCK


async def handle(call: Call) -> str:
    """Expired ones do not count."""
    return await call.sql("select coterie.key_packages_count_v1($1)")


app = Function(handle, takes={}, gives=STOCK)
