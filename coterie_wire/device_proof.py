"""What a device signs to show that it holds its signature key (docs/protocol.md, `device_register`)."""

LABEL = b"coterie device v1"


def device_proof_message(sub: str, session_id: str, signature_key: bytes) -> bytes:
    """`LABEL ‖ sub ‖ session_id ‖ signature_key`, each prefixed with its length as u16 big-endian."""
    parts = (LABEL, sub.encode(), session_id.encode(), signature_key)
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)
