"""The routes under /auth/v1."""

import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from edge_functions.auth import Claims, bearer
from edge_functions.body import read_json
from edge_functions.endpoint import CORS, guarded
from edge_functions.errors import ServiceError
from edge_functions.keys import OwnKeys
from edge_functions.services import Services

_BODY = 64 * 1024
_Answer = Callable[[Request, Services, OwnKeys], Awaitable[Response]]


class AuthError(Exception):
    """An error in Supabase Auth's own shape."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(message)

    def response(self, request: Request) -> Response:
        """Since API version 2024-01-01 `code` is the word; before, it was the status."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if request.headers.get("x-supabase-api-version", "") < "2024-01-01":
            body = {"code": self.status, "error_code": self.code, "msg": self.message}
        return JSONResponse(body, self.status, headers={**CORS, "x-sb-error-code": self.code})


def _route(path: str, method: str, answer: _Answer) -> Route:
    async def endpoint(request: Request) -> Response:
        return await guarded(lambda asked: _answered(asked, method, answer), request)

    return Route(path, endpoint, methods=["GET", "POST", "OPTIONS", "PUT", "PATCH", "DELETE", "HEAD"])


async def _answered(request: Request, method: str, answer: _Answer) -> Response:
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=CORS)
    services: Services = request.state.services
    try:
        if services.own_keys is None:
            raise AuthError(404, "not_found", "This service uses Supabase Auth at another address.")
        if request.method != method:
            raise AuthError(405, "method_not_allowed", "This method is not allowed here.")
        response = await answer(request, services, services.own_keys)
    except AuthError as error:
        return error.response(request)
    except ServiceError as error:
        return _translated(error).response(request)
    response.headers.update(CORS)
    return response


def _translated(error: ServiceError) -> AuthError:
    """What the shared parts raise, in Supabase Auth's words."""
    match error.code:
        case "no_session":
            return AuthError(403, "bad_jwt", "invalid JWT: unable to parse or verify signature")
        case "bad_request" | "unsupported_media_type":
            return AuthError(400, "bad_json", f"Could not read body: {error.sentence}")
        case _:
            return AuthError(error.status, error.code, error.sentence)


async def _sign_up(request: Request, services: Services, keys: OwnKeys) -> Response:
    body = await read_json(request, _BODY)
    if body.get("email") or body.get("phone"):
        raise AuthError(422, "signup_disabled", "Only anonymous sign-ins are enabled")
    refresh_token = secrets.token_urlsafe(32)
    signed_up = await services.db.value("select coterie.auth_sign_up_v1($1)", _hash(refresh_token))
    return _session(services, keys, json.loads(signed_up), refresh_token)


async def _token(request: Request, services: Services, keys: OwnKeys) -> Response:
    if request.query_params.get("grant_type") != "refresh_token":
        raise AuthError(400, "validation_failed", "unsupported_grant_type")
    token = (await read_json(request, _BODY)).get("refresh_token")
    if not isinstance(token, str) or not token:
        raise AuthError(400, "validation_failed", "refresh_token required")
    child = keys.child_of(token)
    answer = await services.db.value(
        "select coterie.auth_refresh_v1($1, $2, make_interval(secs => $3))",
        _hash(token),
        _hash(child),
        services.settings.refresh_reuse_seconds,
    )
    match json.loads(answer) if answer else None:
        case None:
            raise AuthError(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
        case {"reused": True, "session_id": session}:
            _end(services, [session])
            raise AuthError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
        case refreshed:
            return _session(services, keys, refreshed, child)


async def _logout(request: Request, services: Services, _keys: OwnKeys) -> Response:
    claims = await _claims(request, services)
    scope = request.query_params.get("scope", "global")
    if scope not in ("local", "others", "global"):
        raise AuthError(400, "validation_failed", f"Unsupported logout scope {scope!r:.40}")
    _end(services, await services.db.value("select coterie.auth_sign_out_v1($1, $2)", claims.json(), scope))
    return Response(status_code=204)


async def _user(request: Request, services: Services, _keys: OwnKeys) -> Response:
    claims = await _claims(request, services)
    user = await services.db.value("select coterie.auth_user_v1($1)", claims.json())
    if user is None:
        raise AuthError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
    return Response(user, media_type="application/json")


async def _jwks(_request: Request, _services: Services, keys: OwnKeys) -> Response:
    return JSONResponse(keys.jwks(), headers={"cache-control": "public, max-age=600"})


async def _claims(request: Request, services: Services) -> Claims:
    header = request.headers.get("authorization")
    if not header:
        raise AuthError(401, "no_authorization", "This endpoint requires a Bearer token")
    return await services.verifier.verify(bearer(header))


def _end(services: Services, sessions: list[str]) -> None:
    services.verifier.forget(sessions)
    services.hub.end_sessions(sessions)


def _hash(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode(errors="replace")).digest()


def _session(services: Services, keys: OwnKeys, signed_in: dict[str, Any], refresh_token: str) -> Response:
    """A session as Supabase Auth answers it, with a token of exactly its claims."""
    now = int(time.time())
    seconds = services.settings.token_seconds
    user = signed_in["user"]
    claims = {
        "iss": f"{services.settings.public_url}/auth/v1",
        "sub": user["id"],
        "aud": "authenticated",
        "exp": now + seconds,
        "iat": now,
        "email": "",
        "phone": "",
        "app_metadata": user["app_metadata"],
        "user_metadata": user["user_metadata"],
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{"method": signed_in["method"], "timestamp": now}],
        "session_id": signed_in["session_id"],
        "is_anonymous": user["is_anonymous"],
    }
    body = {
        "access_token": keys.sign(claims),
        "token_type": "bearer",
        "expires_in": seconds,
        "expires_at": now + seconds,
        "refresh_token": refresh_token,
        "user": user,
    }
    return JSONResponse(body, headers={"cache-control": "no-store"})


async def _unknown(_request: Request, _services: Services, _keys: OwnKeys) -> Response:
    raise AuthError(404, "not_found", "There is nothing at this address.")


ROUTES: list[BaseRoute] = [
    _route("/signup", "POST", _sign_up),
    _route("/token", "POST", _token),
    _route("/logout", "POST", _logout),
    _route("/user", "GET", _user),
    _route("/.well-known/jwks.json", "GET", _jwks),
    _route("/{path:path}", "GET", _unknown),
]
