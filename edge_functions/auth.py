"""Who calls: a verified access token, and nothing that a body says."""

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import jwt

from coterie_wire import MAX_INTEGER
from edge_functions.errors import ServiceError

_CACHED_TOKENS = 20_000
_CLOCKS_SECONDS = 10
"""By so much may the clock of who signs be ahead of this one: a token that was just given must hold."""


class KeySource(Protocol):
    """Finds the public key that a token names."""

    async def find(self, kid: str) -> tuple[Any, str] | None:
        """The key and its one algorithm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What is taken from a token. `expires` in seconds since 1970."""

    sub: str
    session_id: str
    expires: int

    def json(self) -> str:
        """As the functions in the database take them."""
        return json.dumps({"sub": self.sub, "session_id": self.session_id})


class Verifier:
    """Checks access tokens; a good one is remembered by its SHA-256 for a while, never past its end."""

    def __init__(
        self, keys: KeySource, *, cache_seconds: float, issuer: str | None, secret: str | None = None
    ) -> None:
        """`secret`: of an issuer that still signs with HS256, which is refused without it."""
        self._keys = keys
        self._cache_seconds = cache_seconds
        self._issuer = issuer
        self._secret = secret
        self._cache: OrderedDict[bytes, tuple[float, Claims]] = OrderedDict()

    async def verify(self, token: str) -> Claims:
        """The claims of a valid token of a signed-in user. Raises `ServiceError` (401 `no_session`)."""
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        until, claims = self._cache.get(digest, (0.0, None))
        now = time.time()
        if claims is not None and now < until:
            return claims
        claims = await self._check(token)
        self._cache[digest] = (min(now + self._cache_seconds, claims.expires), claims)
        while len(self._cache) > _CACHED_TOKENS:
            self._cache.popitem(last=False)
        return claims

    def forget(self, sessions: Iterable[str]) -> None:
        """Drop remembered tokens of these sessions: they were signed out."""
        ended = set(sessions)
        for digest in [key for key, (_, claims) in self._cache.items() if claims.session_id in ended]:
            del self._cache[digest]

    async def _check(self, token: str) -> Claims:
        try:
            key, algorithm = await self._key(jwt.get_unverified_header(token))
            raw = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience="authenticated",
                issuer=self._issuer,
                leeway=_CLOCKS_SECONDS,
                options={"require": ["exp", "sub", "aud"], "strict_aud": True},
            )
        except (jwt.PyJWTError, ValueError):
            raise ServiceError(401, "no_session") from None
        claims = _claims(raw)
        if claims.expires <= time.time():  # no leeway at the end: sockets and the cache know none either
            raise ServiceError(401, "no_session")
        return claims

    async def _key(self, header: dict[str, Any]) -> tuple[Any, str]:
        """The key that a token's header asks for, and the one algorithm that goes with it.

        HS256 is the configured secret's and no published key's; what else the header says about keys or algorithms
        counts for nothing.
        """
        if header.get("alg") == "HS256":
            if self._secret is not None:
                return self._secret, "HS256"
            raise ServiceError(401, "no_session")
        kid = header.get("kid")
        found = await self._keys.find(kid) if isinstance(kid, str) else None
        if found is None:
            raise ServiceError(401, "no_session")
        return found


def _claims(raw: dict[str, Any]) -> Claims:
    match raw:
        case {"sub": str(sub), "session_id": str(session), "role": "authenticated", "exp": int(expires)}:
            if _is_id(sub) and "#" not in sub and _is_id(session) and expires <= MAX_INTEGER:
                return Claims(sub=sub, session_id=session, expires=expires)
    raise ServiceError(401, "no_session")


def _is_id(text: str) -> bool:
    """1 to 200 bytes that the database can hold: no NUL, no half of a surrogate pair."""
    return text.isprintable() and 0 < len(text.encode()) <= 200


def bearer(header: str | None) -> str:
    """The token of an Authorization header. Raises `ServiceError` (401 `no_session`)."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ServiceError(401, "no_session")
    return token.strip()
