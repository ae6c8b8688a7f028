"""Where token keys come from: the database (embedded identity) or Supabase Auth's JWKS. Algorithm pinned by key."""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm

from edge_functions.db import Database
from edge_functions.errors import ServiceError

VerifyingKey = tuple[Any, str]
"""A public key and the one algorithm that it is for."""


class OwnKeys:
    """The embedded identity's ES256 keys: the newest signs, all of them verify."""

    def __init__(self, keys: list[dict[str, Any]]) -> None:
        self._private: dict[str, ec.EllipticCurvePrivateKey] = {}
        for one in keys:
            key = load_pem_private_key(one["private_key"].encode(), None)
            if isinstance(key, ec.EllipticCurvePrivateKey):
                self._private[one["kid"]] = key
        active = next(one for one in keys if not one["retired"])
        self._kid: str = active["kid"]
        self._refresh_secret = hmac.digest(active["private_key"].encode(), b"coterie refresh v1", "sha256")

    def __repr__(self) -> str:
        return f"OwnKeys(kid={self._kid!r})"

    @classmethod
    async def load(cls, db: Database) -> "OwnKeys":
        """The keys in the database; the first process to ask makes the first one."""
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        kept = await db.value("select coterie.auth_keys_v1($1, $2)", secrets.token_hex(16), pem.decode())
        return cls(json.loads(kept))

    async def find(self, kid: str) -> VerifyingKey | None:
        """The public key of that id."""
        private = self._private.get(kid)
        return None if private is None else (private.public_key(), "ES256")

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A JWT with these claims."""
        return jwt.encode(
            dict(claims), self._private[self._kid], algorithm="ES256", headers={"kid": self._kid}
        )

    def child_of(self, refresh_token: str) -> str:
        """The refresh token that follows this one: always the same, so that a lost answer can be asked for again."""
        digest = hmac.digest(self._refresh_secret, refresh_token.encode(errors="replace"), hashlib.sha256)
        return jwt.utils.base64url_encode(digest).decode()

    def jwks(self) -> dict[str, Any]:
        """The public keys, as /.well-known/jwks.json."""
        return {"keys": [_public_jwk(kid, private) for kid, private in self._private.items()]}


def _public_jwk(kid: str, private: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return {**jwk, "kid": kid, "alg": "ES256", "use": "sig", "key_ops": ["verify"]}


class SupabaseKeys:
    """Supabase Auth's public keys, fetched when a token names an unknown one, at most once in a cool-down."""

    def __init__(self, url: str, cache_seconds: float, cooldown_seconds: float) -> None:
        self._url = f"{url}/auth/v1/.well-known/jwks.json"
        self._cache_seconds = cache_seconds
        self._cooldown_seconds = cooldown_seconds
        self._keys: dict[str, VerifyingKey] = {}
        self._fetched = -1e9
        self._tried = -1e9
        self._lock = asyncio.Lock()

    async def find(self, kid: str) -> VerifyingKey | None:
        """The public key of that id. Raises `ServiceError` (503) when it is unknown and cannot be fetched."""
        async with self._lock:  # who comes while it is being fetched waits for it
            now = time.monotonic()
            stale = kid not in self._keys or now - self._fetched > self._cache_seconds
            if stale and now - self._tried > self._cooldown_seconds:
                self._tried = now
                await self._fetch()
        return self._keys.get(kid)

    async def _fetch(self) -> None:
        try:
            async with httpx.AsyncClient(timeout=5) as client:
                answer = (await client.get(self._url)).raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            if self._keys:
                return  # known keys go on working while the issuer is away
            raise ServiceError(
                503, "unavailable", "The identity service cannot be reached; try again."
            ) from error
        self._keys = dict(_usable(answer))
        self._fetched = time.monotonic()


def _usable(jwks: Any) -> list[tuple[str, VerifyingKey]]:
    """ES256 and RS256 keys only: a symmetric key in a public document would let everybody sign."""
    found: list[tuple[str, VerifyingKey]] = []
    for raw in jwks.get("keys", []) if isinstance(jwks, dict) else []:
        match raw:
            case {"kty": "EC", "crv": "P-256", "kid": str(kid)}:
                found.append((kid, (jwt.PyJWK(raw, algorithm="ES256").key, "ES256")))
            case {"kty": "RSA", "kid": str(kid)}:
                found.append((kid, (jwt.PyJWK(raw, algorithm="RS256").key, "RS256")))
    return found
