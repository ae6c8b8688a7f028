"""Append an application message to a group's log."""

from coterie_wire import ContentType, WireError, WireFormat, parse_header
from edge_functions.endpoint import MIB, Call, Function


async def handle(call: Call) -> str:
    """{group_id, epoch, kind, mls_bytes, message_id, counter} → {seq, server_time}."""
    group = call.fields.uuid("group_id")
    epoch = call.fields.integer("epoch")
    call.fields.choice("kind", "application")
    body = call.fields.hex("mls_bytes", at_most=MIB)
    message = call.fields.uuid("message_id")
    counter = call.fields.integer("counter", at_least=1)
    call.fields.end()
    fault = None if _is_application(body, epoch) else "wrong_header"
    return await call.sql(
        "select coterie.send_message_v1($1, $2, $3, $4, $5, $6, $7)",
        group,
        epoch,
        message,
        counter,
        body,
        fault,
    )


def _is_application(body: bytes, epoch: int) -> bool:
    try:
        header = parse_header(body)
    except WireError:
        return False
    framing = (header.wire_format, header.content_type, header.epoch)
    return framing == (WireFormat.PRIVATE_MESSAGE, ContentType.APPLICATION, epoch)


app = Function(handle)
