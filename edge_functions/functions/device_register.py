"""Bind this session to a device by a proof of its signature key."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from coterie_wire import device_proof_message
from edge_functions.endpoint import EVERYWHERE, Call, Function
from edge_functions.errors import ServiceError
from edge_functions.fields import choice, hexes, label, text, uuid


async def handle(call: Call, signature_key: bytes, name: str, kind: str, proof: bytes) -> str:
    """The proof is over the session's own user and id, so nobody else's can be used again."""
    message = device_proof_message(call.claims.sub, call.claims.session_id, signature_key)
    try:
        Ed25519PublicKey.from_public_bytes(signature_key).verify(proof, message)
    except (InvalidSignature, ValueError):
        raise ServiceError(403, "bad_proof") from None
    return await call.sql("select coterie.device_register_v1($1, $2, $3, $4)", signature_key, name, kind)


app = Function(
    handle,
    takes={
        "signature_key": hexes(size=32),
        "name": label(64),
        "kind": choice("person", "service", default="person"),
        "proof": hexes(size=64),
    },
    gives={"device_id": uuid(), "user_id": text()},
    errors={403: ["bad_proof", "device_revoked"], 409: ["key_in_use", "too_many_devices"]},
    common=EVERYWHERE,
)
