"""How a route under /auth/v1 answers: Supabase Auth's shapes of requests and errors, in one place."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_functions.auth import Claims, bearer
from edge_functions.body import read_json
from edge_functions.endpoint import CORS, PREFLIGHT, Errors, guarded, unforeseen
from edge_functions.errors import ServiceError
from edge_functions.fields import Field, Shape
from edge_functions.keys import OwnKeys
from edge_functions.limits import address_of
from edge_functions.services import Services

METHODS = ("GET", "POST", "OPTIONS", "PUT", "PATCH", "DELETE", "HEAD")
_BODY = 64 * 1024
_VERSION = "x-supabase-api-version"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to the embedded identity."""

    request: Request
    services: Services
    keys: OwnKeys

    async def claims(self) -> Claims:
        """Who asks. Raises `AuthError` (401 `no_authorization`), `ServiceError` (401 `no_session`)."""
        header = self.request.headers.get("authorization")
        if not header:
            raise AuthError(401, "no_authorization", "This endpoint requires a Bearer token")
        claims = await self.services.verifier.verify(bearer(header))
        self.services.limits.user("calls", claims.sub)
        return claims

    async def body(self) -> dict[str, Any]:
        """The JSON object in the body, at most 64 KiB. Fields that nobody asks for are passed over, as there."""
        return await read_json(self.request, _BODY, self.services.settings.body_seconds)


Answer = Callable[[Asked], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An answer, and how it is described (openapi.py)."""

    answer: Answer
    takes: Shape | None
    """The body. Fields that are not in it are passed over."""
    query: Mapping[str, Field]
    gives: Shape | None
    errors: Errors
    """Beside those of every route; `SIGNED_IN` among them where it asks who it is."""
    success: int


def operation(
    *,
    takes: Shape | None = None,
    query: Mapping[str, Field] | None = None,
    gives: Shape | None = None,
    errors: Errors | None = None,
    success: int = 200,
) -> Callable[[Answer], Operation]:
    """Declares an answer."""

    def declare(answer: Answer) -> Operation:
        return Operation(
            answer=answer, takes=takes, query=query or {}, gives=gives, errors=errors or {}, success=success
        )

    return declare


COMMON: Errors = {
    400: ("bad_json", "validation_failed"),
    404: ("not_found",),
    405: ("method_not_allowed",),
    408: ("too_slow",),
    413: ("too_large",),
    429: ("over_request_rate_limit",),
    500: ("internal",),
    503: ("unavailable",),
}
"""What every route may answer."""

SIGNED_IN: Errors = {401: ("no_authorization",), 403: ("bad_jwt", "session_not_found")}
"""And every one that asks who it is."""


class AuthRoute(Route):
    """A path and who answers each method (its name in capitals)."""

    def __init__(self, path: str, **operations: Operation) -> None:
        self.operations = operations

        async def endpoint(request: Request) -> Response:
            return await guarded(lambda given: _answered(given, operations), request)

        super().__init__(path, endpoint, methods=METHODS)


class AuthError(Exception):
    """An error in Supabase Auth's own shape."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}
        super().__init__(message)

    def response(self, request: Request) -> Response:
        """From API version 2024-01-01 on `code` is the word, and the answer says so; before, it was the status."""
        headers = {**CORS, **self.headers, "x-sb-error-code": self.code}
        body: dict[str, Any]
        if request.headers.get(_VERSION, "") < "2024-01-01":
            body = {"code": self.status, "error_code": self.code, "msg": self.message}
        else:
            body = {"code": self.code, "message": self.message}
            headers[_VERSION] = "2024-01-01"
        return JSONResponse(body, self.status, headers=headers)


def invalid(message: str) -> AuthError:
    """400 `validation_failed`."""
    return AuthError(400, "validation_failed", message)


def session_ended() -> AuthError:
    """The token holds, its session does not any more."""
    return AuthError(403, "session_not_found", "Session from session_id claim in JWT does not exist")


async def _answered(request: Request, operations: Mapping[str, Operation]) -> Response:
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=PREFLIGHT)
    services: Services = request.state.services
    try:
        if services.own_keys is None:
            raise AuthError(404, "not_found", "This service uses Supabase Auth at another address.")
        asked_for = operations.get(request.method)
        if asked_for is None:
            allow = {"allow": ", ".join((*operations, "OPTIONS"))}
            raise AuthError(405, "method_not_allowed", "This method is not allowed here.", allow)
        services.limits.address(_pace(request.url.path), address_of(request.scope))
        response = await asked_for.answer(Asked(request, services, services.own_keys))
    except AuthError as error:
        return error.response(request)
    except ServiceError as error:
        return _translated(error).response(request)
    except ClientDisconnect:
        raise
    except Exception as error:  # noqa: BLE001 - it becomes an answer too, in the shape of the others here
        return _translated(unforeseen(request, error)).response(request)
    response.headers.update(CORS)
    return response


def _pace(path: str) -> str:
    """Which limit of limits.py counts these requests."""
    if path.endswith("/token"):
        return "refreshes"
    return "passkeys" if "/passkeys/" in path else "calls"


def _translated(error: ServiceError) -> AuthError:
    """What the shared parts raise, in Supabase Auth's words."""
    match error.code:
        case "no_session":
            return AuthError(403, "bad_jwt", "invalid JWT: unable to parse or verify signature")
        case "too_many" | "too_soon":
            return AuthError(429, "over_request_rate_limit", error.sentence, error.headers())
        case "bad_request" | "unsupported_media_type":
            return AuthError(400, "bad_json", f"Could not read body: {error.sentence}")
        case _:
            return AuthError(error.status, error.code, error.sentence, error.headers())


@operation()
async def nothing_here(_asked: Asked) -> Response:
    """For every other path."""
    raise AuthError(404, "not_found", "There is nothing at this address.")
