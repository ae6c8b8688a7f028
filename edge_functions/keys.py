"""Where token keys come from: the database (embedded identity) or Supabase Auth's JWKS. Algorithm pinned by key."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

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
from edge_functions.settings import Settings

VerifyingKey = tuple[Any, str]
"""A public key and the one algorithm that it is for."""

DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An ES256 key and when it signs, in seconds of this process's monotonic clock: no two clocks are compared."""

    kid: str
    private: ec.EllipticCurvePrivateKey = field(repr=False)
    signs_from: float
    signs_until: float


class OwnKeys:
    """The embedded identity's keys: one signs, those before it verify until their last token has ended.

    They lie in the database and are read again every `COTERIE_KEY_CHECK_SECONDS`, so that every process signs with the
    same key. After `COTERIE_KEY_DAYS` whoever reads them first adds a successor. It is published
    `COTERIE_KEY_LEAD_SECONDS` before it signs: by then every process and every reader of the JWKS knows it.
    """

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        self._keys: dict[str, SigningKey] = {}
        self._refresh_secret = b""
        self._read = self._looked = float("-inf")
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"OwnKeys(kids={list(self._keys)!r})"

    @classmethod
    async def load(cls, db: Database, settings: Settings) -> Self:
        """The keys in the database; the first process to ask makes the first one. Raises `ServiceError` (503)."""
        keys = cls(db, settings)
        await keys.refresh()
        return keys

    async def refresh(self) -> None:
        """Read the keys if that was long ago, and add a successor if it is time. Raises `ServiceError` (503)."""
        async with self._lock:  # who comes while they are being read waits for it
            if time.monotonic() - self._read >= self._settings.key_check_seconds:
                await self._load()

    async def find(self, kid: str) -> VerifyingKey | None:
        """The public key of that id. An unknown one is looked for in the database, at most once in a cool-down."""
        await self.refresh()
        async with self._lock:
            now = time.monotonic()
            if kid not in self._keys and now - self._looked >= self._settings.jwks_cooldown_seconds:
                self._looked = now
                await self._load()
        key = self._keys.get(kid)
        return None if key is None else (key.private.public_key(), "ES256")

    async def rotate(self) -> bool:
        """Add a successor now; false when there is one that still waits to sign. Raises `ServiceError` (503)."""
        async with self._lock:
            made = await self._rotate(0)
            await self._load()
        return made

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A JWT with these claims. Call `refresh` before."""
        key = self._signing()
        return jwt.encode(dict(claims), key.private, algorithm="ES256", headers={"kid": key.kid})

    def child_of(self, refresh_token: str) -> str:
        """The refresh token that follows this one: always the same, so that a lost answer can be asked for again."""
        digest = hmac.digest(self._refresh_secret, refresh_token.encode(errors="replace"), hashlib.sha256)
        return jwt.utils.base64url_encode(digest).decode()

    def jwks(self) -> dict[str, Any]:
        """The public keys, as /.well-known/jwks.json. Call `refresh` before."""
        return {"keys": [_public_jwk(key) for key in self._keys.values()]}

    def _signing(self) -> SigningKey:
        now = time.monotonic()
        return next(key for key in self._keys.values() if key.signs_from <= now < key.signs_until)

    async def _load(self) -> None:
        await self._read_keys()
        if not self._keys or self._age() >= self._settings.key_days * DAY:
            await self._rotate(self._settings.key_days * DAY)
            await self._read_keys()

    def _age(self) -> float:
        return time.monotonic() - next(iter(self._keys.values())).signs_from

    async def _read_keys(self) -> None:
        asked = time.monotonic()
        rows = json.loads(
            await self._db.value(
                "select coterie.auth_signing_keys_v1(make_interval(secs => $1), make_interval(secs => $2))",
                self._settings.token_seconds,
                self._settings.key_check_seconds,
            )
        )
        self._keys = {row["kid"]: _signing_key(row, asked) for row in rows}
        if rows:
            self._refresh_secret = _refresh_secret(rows[-1])
        self._read = asked

    async def _rotate(self, age_seconds: float) -> bool:
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        made = await self._db.value(
            "select coterie.auth_rotate_keys_v1($1, $2, $3, make_interval(secs => $4), make_interval(secs => $5),"
            " make_interval(secs => $6))",
            secrets.token_hex(16),
            pem.decode(),
            self._refresh_secret or _derived_secret(pem.decode()),
            age_seconds,
            self._settings.key_lead_seconds,
            self._settings.token_seconds,
        )
        return bool(made)


def _signing_key(row: dict[str, Any], asked: float) -> SigningKey:
    private = load_pem_private_key(row["private_key"].encode(), None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise TypeError("coterie.auth_keys holds a key that is not ES256")
    ends_in = row["ends_in"]
    return SigningKey(
        kid=row["kid"],
        private=private,
        signs_from=asked + row["signs_in"],
        signs_until=float("inf") if ends_in is None else asked + ends_in,
    )


def _refresh_secret(row: dict[str, Any]) -> bytes:
    """What a key inherited; the first one of a database inherited nothing."""
    kept = row["refresh_secret"]
    return _derived_secret(row["private_key"]) if kept is None else bytes.fromhex(kept)


def _derived_secret(private_key: str) -> bytes:
    return hmac.digest(private_key.encode(), b"coterie refresh v1", "sha256")


def _public_jwk(key: SigningKey) -> dict[str, Any]:
    jwk = ECAlgorithm.to_jwk(key.private.public_key(), as_dict=True)
    return {**jwk, "kid": key.kid, "alg": "ES256", "use": "sig", "key_ops": ["verify"]}


class SupabaseKeys:
    """Supabase Auth's public keys: fetched when they are old or a token names an unknown one, once in a cool-down."""

    def __init__(self, url: str, cache_seconds: float, cooldown_seconds: float) -> None:
        self._url = f"{url}/auth/v1/.well-known/jwks.json"
        self._cache_seconds = cache_seconds
        self._cooldown_seconds = cooldown_seconds
        self._keys: dict[str, VerifyingKey] = {}
        self._fetched = self._tried = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._away = False
        """The last fetch failed."""

    async def find(self, kid: str) -> VerifyingKey | None:
        """The public key of that id. Raises `ServiceError` (503) when it is unknown and cannot be fetched.

        Known keys go on working while the issuer is away, and nobody who has one waits for it then.
        """
        now = time.monotonic()
        stale = kid not in self._keys or now - self._fetched > self._cache_seconds
        if stale and self._fetching is None and now - self._tried > self._cooldown_seconds:
            self._tried = now
            self._fetching = asyncio.create_task(self._fetch())
        if self._fetching is not None and (kid not in self._keys or (stale and not self._away)):
            await asyncio.shield(self._fetching)  # one fetch for all who wait
        if kid not in self._keys and self._away:
            raise ServiceError(503, "unavailable", "The identity service cannot be reached; try again.")
        return self._keys.get(kid)

    async def _fetch(self) -> None:
        try:
            async with httpx.AsyncClient(timeout=5) as client:
                answer = (await client.get(self._url)).raise_for_status().json()
            keys = dict(_usable(answer["keys"]))
        except (httpx.HTTPError, LookupError, TypeError, ValueError):
            self._away = True
        else:
            self._keys, self._away = keys, False
            self._fetched = time.monotonic()
        finally:
            self._fetching = None


def _usable(published: Any) -> Iterator[tuple[str, VerifyingKey]]:
    """ES256 and RS256 keys only: a symmetric key in a public document would let everybody sign."""
    for raw in published:
        match raw:
            case {"kty": "EC", "crv": "P-256", "kid": str(kid)}:
                algorithm = "ES256"
            case {"kty": "RSA", "kid": str(kid)}:
                algorithm = "RS256"
            case _:
                continue
        # one that is broken does not take the others along
        with contextlib.suppress(jwt.PyJWTError, ValueError):
            if raw.get("alg", algorithm) == algorithm:
                yield kid, (jwt.PyJWK(raw, algorithm=algorithm).key, algorithm)
