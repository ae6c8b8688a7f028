"""The commit that adds those who wait on an invite."""

from typing import Any

from edge_functions import commits
from edge_functions.endpoint import LARGE_BODY, Call, Function


async def handle(call: Call, **fields: Any) -> str:
    """As `send_commit`, with at least one join."""
    return await commits.handle(call, **fields)


app = Function(
    handle,
    takes={**commits.TAKES, "joins": commits.joins(at_least=1)},
    gives=commits.GIVES,
    errors=commits.ERRORS,
    limit=LARGE_BODY,
    pace="commits",
)
