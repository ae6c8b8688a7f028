"""Sessions: guests sign up, tokens are renewed and end, and the keys that verify them are published."""

import hashlib
import json
import secrets
import time
from typing import Any

from starlette.responses import JSONResponse, Response

from edge_functions.fields import anything, boolean, choice, integer, listed, record, text, uuid
from edge_functions.fields import time as a_time
from edge_functions.identity.answers import SIGNED_IN, Asked, AuthError, invalid, operation, session_ended

USER = record(
    {
        "id": uuid(),
        "aud": choice("authenticated"),
        "role": choice("authenticated"),
        "email": text(),
        "phone": text(),
        "last_sign_in_at": a_time(),
        "app_metadata": anything(),
        "user_metadata": anything(),
        "identities": listed(anything()),
        "created_at": a_time(),
        "updated_at": a_time(),
        "is_anonymous": boolean(),
    }
)
SESSION = record(
    {
        "access_token": text(),
        "token_type": choice("bearer"),
        "expires_in": integer(),
        "expires_at": integer(),
        "refresh_token": text(),
        "user": USER,
    }
)
KEY = record(
    {"kid": text(), "kty": text(), "crv": text(), "x": text(), "y": text(), "alg": text(), "use": text()}
)
SCOPES = ("local", "others", "global")


@operation(takes=record({}), gives=SESSION, errors={422: ["signup_disabled"]})
async def sign_up(asked: Asked) -> Response:
    """`POST /signup`: a new guest."""
    body = await asked.body()
    if body.get("email") or body.get("phone"):
        raise AuthError(422, "signup_disabled", "Only anonymous sign-ins are enabled")
    await asked.services.limits.sign_up(asked.request.scope)
    refresh_token = new_refresh_token()
    signed_up = await asked.services.db.value("select coterie.auth_sign_up_v1($1)", token_hash(refresh_token))
    return await session(asked, json.loads(signed_up), refresh_token)


@operation(
    takes=record({"refresh_token": text()}),
    query={"grant_type": choice("refresh_token")},
    gives=SESSION,
    errors={400: ["refresh_token_not_found", "refresh_token_already_used"]},
)
async def token(asked: Asked) -> Response:
    """`POST /token?grant_type=refresh_token`: the same session, with the next tokens."""
    if asked.request.query_params.get("grant_type") != "refresh_token":
        raise invalid("unsupported_grant_type")
    given = (await asked.body()).get("refresh_token")
    if not isinstance(given, str) or not given:
        raise invalid("refresh_token required")
    child = asked.keys.child_of(given)
    answer = await asked.services.db.value(
        "select coterie.auth_refresh_v1($1, $2, make_interval(secs => $3))",
        token_hash(given),
        token_hash(child),
        asked.services.settings.refresh_reuse_seconds,
    )
    match json.loads(answer) if answer else None:
        case None:
            raise AuthError(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
        case {"reused": True, "session_id": ended}:
            _end(asked, [ended])
            raise AuthError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
        case refreshed:
            return await session(asked, refreshed, child)


@operation(query={"scope": choice(*SCOPES, default="global")}, errors=SIGNED_IN, success=204)
async def log_out(asked: Asked) -> Response:
    """`POST /logout?scope=local|others|global`: sessions end, at once for functions and sockets."""
    claims = await asked.claims()
    scope = asked.request.query_params.get("scope", "global")
    if scope not in SCOPES:
        raise invalid(f"Unsupported logout scope {scope!r:.40}")
    ended = await asked.services.db.value("select coterie.auth_sign_out_v1($1, $2)", claims.json(), scope)
    _end(asked, ended)
    return Response(status_code=204)


@operation(gives=USER, errors=SIGNED_IN)
async def user(asked: Asked) -> Response:
    """`GET /user`."""
    claims = await asked.claims()
    found = await asked.services.db.value("select coterie.auth_user_v1($1)", claims.json())
    if found is None:
        raise session_ended()
    return Response(found, media_type="application/json")


@operation(gives=record({"keys": listed(KEY)}))
async def jwks(asked: Asked) -> Response:
    """`GET /.well-known/jwks.json`: kept by readers for less time than a new key waits before it signs."""
    await asked.keys.refresh()
    age = min(600, int(asked.services.settings.key_lead_seconds / 2))
    return JSONResponse(asked.keys.jwks(), headers={"cache-control": f"public, max-age={age}"})


def new_refresh_token() -> str:
    """256 random bits. The database keeps its hash alone."""
    return secrets.token_urlsafe(32)


def token_hash(refresh_token: str) -> bytes:
    """SHA-256."""
    return hashlib.sha256(refresh_token.encode(errors="replace")).digest()


async def session(asked: Asked, signed_in: dict[str, Any], refresh_token: str) -> Response:
    """A session as Supabase Auth answers it, with a token of exactly its claims."""
    await asked.keys.refresh()
    settings = asked.services.settings
    now = int(time.time())
    ends = now + settings.token_seconds
    owner = signed_in["user"]
    claims = {
        "iss": f"{settings.public_url}/auth/v1",
        "sub": owner["id"],
        "aud": "authenticated",
        "exp": ends,
        "iat": now,
        "email": "",
        "phone": "",
        "app_metadata": owner["app_metadata"],
        "user_metadata": owner["user_metadata"],
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{"method": signed_in["method"], "timestamp": signed_in["signed_in_at"]}],
        "session_id": signed_in["session_id"],
        "is_anonymous": owner["is_anonymous"],
    }
    body = {
        "access_token": asked.keys.sign(claims),
        "token_type": "bearer",
        "expires_in": settings.token_seconds,
        "expires_at": ends,
        "refresh_token": refresh_token,
        "user": owner,
    }
    return JSONResponse(body, headers={"cache-control": "no-store"})


def _end(asked: Asked, sessions: list[str]) -> None:
    asked.services.verifier.forget(sessions)
    asked.services.hub.end_sessions(sessions)
