"""The commit that adds those who wait on an invite."""

from edge_functions import commits
from edge_functions.endpoint import LARGE_BODY, Call, Function


async def handle(call: Call) -> str:
    """As `send_commit`, with at least one join → {seq, epoch, server_time}."""
    return await commits.handle(call, joins_required=True)


app = Function(handle, limit=LARGE_BODY)
