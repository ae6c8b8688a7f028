"""Make an invite whose id and secret the client made."""

from datetime import UTC, datetime, timedelta

from edge_functions.endpoint import KIB, Call, Function
from edge_functions.errors import bad_request

LONGEST = timedelta(days=366)


async def handle(call: Call) -> str:
    """{invite_id, group_id, preview, expires_at, max_uses, approval} → {invite_id}."""
    invite = call.fields.hex("invite_id", size=16)
    group = call.fields.uuid("group_id")
    preview = call.fields.hex("preview", at_most=4 * KIB)
    expires = call.fields.time("expires_at")
    uses = call.fields.integer("max_uses", at_least=1, at_most=100_000)
    approval = call.fields.boolean("approval")
    call.fields.end()
    if expires > datetime.now(UTC) + LONGEST:
        raise bad_request("expires_at must be at most 366 days from now.")
    return await call.sql(
        "select coterie.invite_create_v1($1, $2, $3, $4, $5, $6, $7)",
        invite,
        group,
        preview,
        expires,
        uses,
        approval,
    )


app = Function(handle)
