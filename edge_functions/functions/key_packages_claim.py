"""Take a key package of each device of some users, to add them to a group."""

from coterie_wire import SUITES
from edge_functions.endpoint import KIB, Call, Function
from edge_functions.fields import boolean, hexes, listed, one_of, record, text, user_ids, uuid


async def handle(call: Call, claim_id: str, user_ids: list[str], suite: int) -> str:
    """Each is given once; asked again under the same `claim_id`, the same ones."""
    return await call.sql("select coterie.key_packages_claim_v1($1, $2, $3, $4)", claim_id, user_ids, suite)


_DEVICE = {"device_id": uuid(), "user_id": text()}

app = Function(
    handle,
    takes={"claim_id": uuid(), "user_ids": user_ids(at_most=50), "suite": one_of(*SUITES, default=SUITES[0])},
    gives={
        "key_packages": listed(
            record({**_DEVICE, "key_package": hexes(at_most=8 * KIB), "last_resort": boolean()})
        ),
        "missing": listed(record(_DEVICE)),
    },
    errors={409: ["claim_id_reused"]},
    pace="packages",
)
