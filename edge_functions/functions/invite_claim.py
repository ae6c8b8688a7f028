"""Say that this device works on a join, so that others do something else."""

from datetime import timedelta

from edge_functions.endpoint import Call, Function
from edge_functions.fields import time, uuid


async def handle(call: Call, join_id: str) -> str:
    """A claim lapses by itself, and who let one lapse lets others try first."""
    settings = call.services.settings
    lapse = timedelta(seconds=settings.claim_seconds)
    lockout = timedelta(seconds=settings.claim_lockout_seconds)
    return await call.sql("select coterie.invite_claim_v1($1, $2, $3, $4)", join_id, lapse, lockout)


app = Function(
    handle,
    takes={"join_id": uuid()},
    gives={"join_id": uuid(), "claimed_until": time()},
    errors={403: ["not_a_member"], 409: ["already_claimed", "not_open"]},
    pace="claims",
)
