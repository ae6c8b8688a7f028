"""Bind this session to a device by a proof of its signature key."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from coterie_wire import device_proof_message
from edge_functions.endpoint import Call, Function
from edge_functions.errors import ServiceError


async def handle(call: Call) -> str:
    """{signature_key, name, kind?, proof} → {device_id, user_id}."""
    key = call.fields.hex("signature_key", size=32)
    name = call.fields.label("name", 64)
    kind = call.fields.choice("kind", "person", "service", default="person")
    proof = call.fields.hex("proof", size=64)
    call.fields.end()
    message = device_proof_message(call.claims.sub, call.claims.session_id, key)
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(proof, message)
    except (InvalidSignature, ValueError):
        raise ServiceError(403, "bad_proof") from None
    return await call.sql("select coterie.device_register_v1($1, $2, $3, $4)", key, name, kind)


app = Function(handle)
