"""Make an invite whose id and secret the client made."""

from datetime import UTC, datetime, timedelta

from edge_functions.endpoint import KIB, Call, Function
from edge_functions.errors import bad_request
from edge_functions.fields import boolean, hexes, integer, time, uuid

LONGEST = timedelta(days=366)


async def handle(
    call: Call,
    invite_id: bytes,
    group_id: str,
    preview: bytes,
    expires_at: datetime,
    max_uses: int,
    *,
    approval: bool,
) -> str:
    """The preview is sealed; its key is in the link."""
    if expires_at > datetime.now(UTC) + LONGEST:
        raise bad_request("expires_at must be at most 366 days from now.")
    return await call.sql(
        "select coterie.invite_create_v1($1, $2, $3, $4, $5, $6, $7)",
        invite_id,
        group_id,
        preview,
        expires_at,
        max_uses,
        approval,
    )


app = Function(
    handle,
    takes={
        "invite_id": hexes(size=16),
        "group_id": uuid(),
        "preview": hexes(at_most=4 * KIB),
        "expires_at": time(),
        "max_uses": integer(at_least=1, at_most=100_000),
        "approval": boolean(),
    },
    gives={"invite_id": hexes(size=16)},
    errors={403: ["not_a_member"], 409: ["invite_exists"]},
    pace="invites",
)
