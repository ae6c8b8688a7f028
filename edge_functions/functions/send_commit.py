"""Move a group to its next epoch: commit, Welcomes, GroupInfo and roster, all or nothing."""

from typing import Any

from edge_functions import commits
from edge_functions.endpoint import LARGE_BODY, Call, Function


async def handle(call: Call, **fields: Any) -> str:
    """With or without joins."""
    return await commits.handle(call, **fields)


app = Function(
    handle,
    takes={**commits.TAKES, "joins": commits.joins(default=[])},
    gives=commits.GIVES,
    errors=commits.ERRORS,
    limit=LARGE_BODY,
    pace="commits",
)
