"""One function under /functions/v1: method, session, body, answer, errors and CORS in one place."""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Router
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from edge_functions import log
from edge_functions.auth import Claims, bearer
from edge_functions.body import read_json
from edge_functions.errors import ServiceError, bad_request, defect
from edge_functions.fields import Field, Shape, read_fields
from edge_functions.limits import address_of
from edge_functions.services import Services, open_services
from edge_functions.settings import Settings

KIB, MIB = 1024, 1024 * 1024
SMALL_BODY = 8 * MIB
LARGE_BODY = 40 * MIB

CORS = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "retry-after, x-sb-error-code, x-supabase-api-version",
}
"""What Supabase's own functions allow. Tokens come in a header, never in a cookie, so any origin may ask."""

PREFLIGHT = {
    **CORS,
    "access-control-allow-headers": "authorization, x-client-info, apikey, content-type, x-retry-count, traceparent, "
    "tracestate, baggage, x-region, x-supabase-api-version",
    "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
    "access-control-max-age": "7200",
}
"""What a browser asks for beforehand (OPTIONS), and looks for nowhere else."""

_log = logging.getLogger("edge_functions")


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated request."""

    services: Services
    claims: Claims
    address: str | None
    """Where it comes from (`limits.address_of`)."""

    async def sql(self, statement: str, *arguments: Any) -> str:
        """The JSON text that a `*_v1` function answers; its first parameter is the claims."""
        answer = await self.services.db.value(statement, self.claims.json(), *arguments)
        return str(answer)


Handler = Callable[..., Awaitable[Any]]
"""Takes the call and each declared field by name; gives the answer as JSON text."""

Errors = Mapping[int, Sequence[str]]
"""Codes by status."""

EVERYWHERE: Errors = {
    400: ("bad_request",),
    401: ("no_session",),
    405: ("method_not_allowed",),
    408: ("too_slow",),
    413: ("too_large",),
    415: ("unsupported_media_type",),
    429: ("too_many", "too_soon"),
    500: ("internal",),
    503: ("unavailable",),
}
"""What every function may answer."""

AS_DEVICE: Errors = {**EVERYWHERE, 403: ("device_not_registered", "device_revoked")}
"""What every function may answer that acts as the session's device."""


class Function:
    """An ASGI app for one function: mounted by `app.py`, or served alone as an edge function."""

    success = 200

    def __init__(
        self,
        handler: Handler,
        *,
        takes: Mapping[str, Field],
        gives: Mapping[str, Shape] | None = None,
        errors: Errors | None = None,
        common: Errors = AS_DEVICE,
        limit: int = SMALL_BODY,
        methods: tuple[str, ...] = ("POST",),
        pace: str = "calls",
    ) -> None:
        """The declaration of a function, which reads requests and which OpenAPI shows (openapi.py).

        `takes`: the request's fields, handed to `handler` by name. `gives`: the answer's. `errors`: those of its own,
        beside the `common` ones. `limit`: size of the whole body in bytes. `methods`: with GET the fields come in the
        query. `pace`: which limit of limits.py counts its calls.
        """
        self.handler = handler
        self.takes = takes
        self.gives = gives or {}
        self.errors = errors or {}
        self.common = common
        self.methods = methods
        self._limit = limit
        self._pace = pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await Router(lifespan=_alone)(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(1008)
            return
        request = Request(scope, receive)
        response = await guarded(self._answer, request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=PREFLIGHT)
        if request.method not in self.methods:
            refused = problem(ServiceError(405, "method_not_allowed"))
            refused.headers["allow"] = ", ".join((*self.methods, "OPTIONS"))
            return refused
        services: Services = request.state.services
        address = address_of(request.scope)
        services.limits.address(self._pace, address)
        claims = await services.verifier.verify(bearer(request.headers.get("authorization")))
        services.limits.user(self._pace, claims.sub)
        if request.method == "POST":
            raw = await read_json(request, self._limit, services.settings.body_seconds)
        else:
            raw = self._from_query(request)
        call = Call(services, claims, address)
        text = await self.handler(call, **read_fields(self.takes, raw))
        return Response(text, media_type="application/json", headers=CORS)

    @staticmethod
    def _from_query(request: Request) -> dict[str, Any]:
        """Query parameters as JSON values: digits are integers."""
        pairs = request.query_params.multi_items()
        if len(dict(pairs)) != len(pairs):
            raise bad_request("A field stands in the query twice.")
        return {
            name: int(value) if value.isascii() and value.isdigit() and len(value) < 17 else value
            for name, value in pairs
        }


async def guarded(answer: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    """Call `answer`; every error becomes an answer of the documented shape, defects (logged) as 500 too."""
    try:
        return await answer(request)
    except ServiceError as error:
        return problem(error)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody is there to read it
    except Exception as error:  # noqa: BLE001 - Starlette's own 500 would leave without CORS and without the shape
        return problem(unforeseen(request, error))


def unforeseen(request: Request, error: Exception) -> ServiceError:
    """A defect, logged: 500 `internal` for who asked."""
    _log.error("%s %s: %s", request.method, request.url.path, defect(error))
    return ServiceError(500, "internal")


def problem(error: ServiceError, body: Mapping[str, Any] | None = None) -> Response:
    """An error as an answer. After `too_large` and `too_slow` the connection closes: the rest need not be read."""
    headers = {**CORS, **error.headers(), "x-sb-error-code": error.code}
    if error.code in {"too_large", "too_slow"}:
        headers["connection"] = "close"
    return JSONResponse(body or error.body(), error.status, headers=headers)


@contextlib.asynccontextmanager
async def _alone(_app: object) -> AsyncIterator[dict[str, Services]]:
    settings = Settings.from_environment()
    log.configure(settings.log, settings.log_level)
    async with open_services(settings) as services:
        yield {"services": services}
