"""Ask the others to hold their commits for a moment, when every line of this device comes too late."""

from datetime import timedelta

from edge_functions.endpoint import Call, Function
from edge_functions.fields import time, uuid


async def handle(call: Call, group_id: str) -> str:
    """For as long, and as often, as the settings say."""
    settings = call.services.settings
    length, gap = timedelta(seconds=settings.pause_seconds), timedelta(seconds=settings.pause_gap_seconds)
    return await call.sql("select coterie.commit_pause_v1($1, $2, $3, $4)", group_id, length, gap)


app = Function(
    handle,
    takes={"group_id": uuid()},
    gives={"group_id": uuid(), "paused_until": time()},
    errors={403: ["not_a_member"]},
)
