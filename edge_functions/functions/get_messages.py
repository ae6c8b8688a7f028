"""A page of a group's log, from where this device's copy ends."""

from edge_functions.endpoint import Call, Function


async def handle(call: Call) -> str:
    """{group_id, after, limit?} → {envelopes, last_seq}."""
    group = call.fields.uuid("group_id")
    after = call.fields.integer("after")
    limit = call.fields.integer("limit", default=100, at_least=1, at_most=500)
    call.fields.end()
    return await call.sql("select coterie.get_messages_v1($1, $2, $3, $4)", group, after, limit)


app = Function(handle, query=("group_id", "after", "limit"))
