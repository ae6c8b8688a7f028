"""Say that this device works on a join, so that others do something else."""

from datetime import timedelta

from edge_functions.endpoint import Call, Function


async def handle(call: Call) -> str:
    """{join_id} → {join_id, claimed_until}."""
    join = call.fields.uuid("join_id")
    call.fields.end()
    settings = call.services.settings
    lapse, lockout = (
        timedelta(seconds=settings.claim_seconds),
        timedelta(seconds=settings.claim_lockout_seconds),
    )
    return await call.sql("select coterie.invite_claim_v1($1, $2, $3, $4)", join, lapse, lockout)


app = Function(handle)
