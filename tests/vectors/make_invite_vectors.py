"""Made `invite.json`, once: the link's keys, tags and seals, from docs/protocol.md and nothing of ours.

It uses the standard library and `cryptography` only, so that client and vectors do not share a mistake.
Run `python tests/vectors/make_invite_vectors.py > tests/vectors/invite.json` to see that nothing has changed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def text(value: str) -> bytes:
    """CBOR text string (RFC 8949 section 3.1)."""
    data = value.encode()
    return _head(3, len(data)) + data


def octets(value: bytes) -> bytes:
    """CBOR byte string."""
    return _head(2, len(value)) + value


def number(value: int) -> bytes:
    """CBOR unsigned integer."""
    return _head(0, value)


def _head(major: int, value: int) -> bytes:
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 24:
            return bytes([major << 5 | value])
        if value < 1 << (8 * size):
            return bytes([major << 5 | info]) + value.to_bytes(size, "big")
    raise ValueError(value)


def mapping(pairs: dict[str, bytes]) -> bytes:
    """CBOR map with text keys in deterministic order: the shorter encoded key first, then bytewise."""
    keys = sorted(pairs, key=lambda key: (len(text(key)), text(key)))
    return _head(5, len(keys)) + b"".join(text(key) + pairs[key] for key in keys)


def key_of(secret: bytes, invite_id: bytes, label: str) -> bytes:
    info = b"coterie/invite/v1/" + label.encode()
    return HKDF(SHA256(), 32, invite_id, info).derive(secret)


def sealed(key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    return nonce + AESGCM(key).encrypt(nonce, plaintext, associated_data)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def bytes_of(seed: str, size: int) -> bytes:
    return hashlib.shake_256(seed.encode()).digest(size)


def vector(name: str) -> dict[str, Any]:
    invite_id, secret = bytes_of(f"{name} invite", 16), bytes_of(f"{name} secret", 16)
    keys = {label: key_of(secret, invite_id, label) for label in ("preview", "tag", "welcome")}
    package, welcome = bytes_of(f"{name} key package", 300), bytes_of(f"{name} welcome", 900)
    group, join = (
        UUID(bytes=bytes_of(f"{name} group", 16), version=4),
        UUID(bytes=bytes_of(f"{name} join", 16), version=4),
    )
    preview = {
        "group": octets(group.bytes),
        "mls": octets(bytes_of(f"{name} mls", 16)),
        "name": text(f"Friends of {name} ✓"),
        "inviter": text(name),
        "key": octets(bytes_of(f"{name} identity", 32)),
        "expires": number(1_790_000_000_000),
    }
    nonce, hello_nonce = bytes_of(f"{name} nonce", 12), bytes_of(f"{name} hello nonce", 12)
    preview_sealed = sealed(keys["preview"], nonce, mapping(preview), b"preview" + invite_id)
    hello = sealed(
        keys["preview"],
        hello_nonce,
        mapping({"name": text(f"{name} the joiner")}),
        b"hello" + invite_id + sha256(package),
    )
    tag = hmac.digest(keys["tag"], b"coterie join v1" + invite_id + sha256(package) + sha256(hello), "sha256")
    signed = b"coterie welcome v1" + join.bytes + sha256(package) + sha256(welcome)
    return {
        "link": f"https://chat.example/?join={url64(invite_id)}#1.{url64(secret)}",
        "invite_id": invite_id.hex(),
        "secret": secret.hex(),
        "keys": {label: key.hex() for label, key in keys.items()},
        "preview": {
            "group_id": str(group),
            "mls_id": bytes_of(f"{name} mls", 16).hex(),
            "group_name": f"Friends of {name} ✓",
            "inviter_name": name,
            "inviter_key": bytes_of(f"{name} identity", 32).hex(),
            "expires_at": 1_790_000_000_000,
        },
        "preview_plaintext": mapping(preview).hex(),
        "preview_sealed": preview_sealed.hex(),
        "key_package": package.hex(),
        "hello_name": f"{name} the joiner",
        "hello_sealed": hello.hex(),
        "tag": tag.hex(),
        "join_id": str(join),
        "welcome": welcome.hex(),
        "welcome_tag": hmac.digest(keys["welcome"], signed, "sha256").hex(),
    }


if __name__ == "__main__":
    json.dump([vector(name) for name in ("Ada", "Émilie", "名前")], sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
