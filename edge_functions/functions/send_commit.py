"""Move a group to its next epoch: commit, Welcomes, GroupInfo and roster, all or nothing."""

from edge_functions import commits
from edge_functions.endpoint import LARGE_BODY, Call, Function


async def handle(call: Call) -> str:
    """The request of docs/protocol.md → {seq, epoch, server_time}."""
    return await commits.handle(call, joins_required=False)


app = Function(handle, limit=LARGE_BODY)
