"""Made `kdf.json`, once: keys at rest from docs/protocol.md and nothing of ours ("Keys at rest").

It uses the standard library, `cryptography` and its Argon2id (OpenSSL's) only, so that client and vectors do not
share a mistake. Run `python tests/vectors/make_kdf_vectors.py > tests/vectors/kdf.json` to see that nothing changed.
"""

from __future__ import annotations

import hashlib
import json
import sys
import unicodedata
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LABELS = ("encryption-context", "sync-context", "export-context")
CASES = (
    ("correct horse battery staple", 65536, 3, 4),
    ("pa\u0308sse-partout, zwo\u0308lf", 65536, 3, 4),  # not in NFC
    ("\U0001f511 keys", 98304, 4, 5),
)


def octets(name: str, case: int, size: int) -> bytes:
    """Fixed bytes that look random."""
    return hashlib.sha256(f"{name} {case}".encode()).digest()[:size]


def vector(number: int, passphrase: str, memory: int, passes: int, lanes: int) -> dict[str, Any]:
    """One passphrase, its key, and a master key wrapped under it."""
    salt, master, nonce = (
        octets("salt", number, 16),
        octets("master", number, 32),
        octets("nonce", number, 12),
    )
    kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
    key = kdf.derive(unicodedata.normalize("NFC", passphrase).encode())
    header = b"\x01" + memory.to_bytes(4, "big") + bytes([passes, lanes]) + salt
    purpose = b"coterie master key v1"
    sealed = nonce + AESGCM(key).encrypt(nonce, master, purpose + header)
    derived = {
        label: HKDF(SHA256(), 32, None, b"coterie/keys/v1/" + label.encode()).derive(master).hex()
        for label in LABELS
    }
    return {
        "passphrase": passphrase,
        "memory_kib": memory,
        "passes": passes,
        "lanes": lanes,
        "salt": salt.hex(),
        "header": header.hex(),
        "key": key.hex(),
        "purpose": purpose.decode(),
        "master": master.hex(),
        "wrapped": (header + sealed).hex(),
        "derived": derived,
    }


def main() -> None:
    vectors = [vector(number, *case) for number, case in enumerate(CASES)]
    sys.stdout.write(json.dumps(vectors, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
