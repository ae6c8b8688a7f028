"""Ask the others to hold their commits for a moment, when every line of this device comes too late."""

from datetime import timedelta

from edge_functions.endpoint import Call, Function


async def handle(call: Call) -> str:
    """{group_id} → {group_id, paused_until}."""
    group = call.fields.uuid("group_id")
    call.fields.end()
    settings = call.services.settings
    length, gap = timedelta(seconds=settings.pause_seconds), timedelta(seconds=settings.pause_gap_seconds)
    return await call.sql("select coterie.commit_pause_v1($1, $2, $3, $4)", group, length, gap)


app = Function(handle)
