"""The whole service as one ASGI app: functions, identity, page."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from edge_functions.endpoint import Function, problem
from edge_functions.errors import ServiceError
from edge_functions.functions import (
    commit_pause,
    deliver,
    device_register,
    device_revoke,
    devices_list,
    get_messages,
    group_create,
    group_info_get,
    group_join,
    group_leave,
    groups_list,
    invite_cancel,
    invite_claim,
    invite_complete,
    invite_create,
    invite_decide,
    invite_info,
    invite_join,
    invite_pending,
    invite_poll,
    invite_revoke,
    invites_list,
    key_packages_claim,
    key_packages_count,
    key_packages_publish,
    send_commit,
    send_message,
    welcomes_list,
)
from edge_functions.health import Readiness, health, sample
from edge_functions.identity import ROUTES
from edge_functions.metrics import sampled
from edge_functions.observed import Observed
from edge_functions.openapi import Description
from edge_functions.services import Services, open_services
from edge_functions.settings import Settings
from edge_functions.static import Site

WEB = Path(__file__).parent.parent / "web"

FUNCTIONS: dict[str, Function] = {
    "commit_pause": commit_pause.app,
    "deliver": deliver.app,
    "device_register": device_register.app,
    "device_revoke": device_revoke.app,
    "devices_list": devices_list.app,
    "get_messages": get_messages.app,
    "group_create": group_create.app,
    "group_info_get": group_info_get.app,
    "group_join": group_join.app,
    "group_leave": group_leave.app,
    "groups_list": groups_list.app,
    "invite_cancel": invite_cancel.app,
    "invite_claim": invite_claim.app,
    "invite_complete": invite_complete.app,
    "invite_create": invite_create.app,
    "invite_decide": invite_decide.app,
    "invite_info": invite_info.app,
    "invite_join": invite_join.app,
    "invite_pending": invite_pending.app,
    "invite_poll": invite_poll.app,
    "invite_revoke": invite_revoke.app,
    "invites_list": invites_list.app,
    "key_packages_claim": key_packages_claim.app,
    "key_packages_count": key_packages_count.app,
    "key_packages_publish": key_packages_publish.app,
    "send_commit": send_commit.app,
    "send_message": send_message.app,
    "welcomes_list": welcomes_list.app,
}
"""By name, as under /functions/v1."""

_FUNCTIONS = "/functions/v1/"
_description = Description(FUNCTIONS, ROUTES)


_AUTH = {getattr(route, "path", "").split("/")[1] for route in ROUTES} - {"{path:path}"}


def create_app(settings: Settings) -> Observed:
    """The service with these settings; everything is opened in its lifespan."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Services]]:
        async with (
            open_services(settings) as services,
            sampled(lambda: sample(services)),
        ):
            yield {"services": services}

    app = Starlette(
        routes=[
            Mount("/auth/v1", routes=ROUTES),
            Route("/health", health),
            Route("/ready", Readiness().answer),
            Mount("/", Site(settings.site, WEB)),
        ],
        lifespan=lifespan,
    )

    async def functions_first(scope: Scope, receive: Receive, send: Send) -> None:
        """Functions make their own answers of errors, so what Starlette would do around them is not waited for."""
        of_functions = scope["type"] != "lifespan" and f"{scope['path']}/".startswith(_FUNCTIONS)
        await (_functions if of_functions else app)(scope, receive, send)

    # uvicorn and Starlette have types of their own for what ASGI says
    inner: Any = SecurityHeaders(functions_first, settings)
    proxied: Any = ProxyHeadersMiddleware(inner, [str(network) for network in settings.trusted_proxies])
    return Observed(proxied, _name, settings.trusted_proxies)


def _name(path: str) -> str:
    """The function that a path names, as log and metrics know it."""
    if path.startswith(_FUNCTIONS):
        name = path.removeprefix(_FUNCTIONS).strip("/")
        return name if name in FUNCTIONS or name == "openapi.json" else "unknown"
    if path.startswith("/auth/v1/"):
        first = path.split("/")[3]
        return f"auth/{first}" if first in _AUTH else "unknown"
    return path[1:] if path in ("/health", "/ready") else "page"


async def _functions(scope: Scope, receive: Receive, send: Send) -> None:
    """The function that the rest of the path names."""
    name = scope["path"][len(_FUNCTIONS) :].strip("/")
    function = FUNCTIONS.get(name)
    if function is not None:
        await function(scope, receive, send)
    elif name == "openapi.json":
        await _description(scope, receive, send)
    elif scope["type"] == "http":
        await problem(ServiceError(404, "unknown_function"))(scope, receive, send)
    else:
        await WebSocket(scope, receive, send).close(1008)


class SecurityHeaders:
    """Adds the headers that every response carries, errors and workers' scripts included."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._headers = [
            (name.encode(), value.encode()) for name, value in security_headers(settings).items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # frames of a socket carry no headers
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", ())
                names = {name for name, _ in given}
                message["headers"] = [*given, *(one for one in self._headers if one[0] not in names)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def security_headers(settings: Settings) -> dict[str, str]:
    """The page may run its own scripts and WebAssembly and talk to this service, and nothing else."""
    connect = " ".join(["'self'", _socket_origin(settings), settings.supabase_url or ""]).strip()
    policy = (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
        f"img-src 'self' blob: data:; font-src 'self'; manifest-src 'self'; connect-src {connect}; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types app"
    )
    headers = {
        "content-security-policy": policy,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    if (settings.public_url or "").startswith("https://"):
        headers["strict-transport-security"] = "max-age=31536000"
    return headers


def _socket_origin(settings: Settings) -> str:
    """The WebSocket origin of this service, for browsers in which 'self' does not cover it."""
    parts = urlsplit(settings.public_url or f"http://localhost:{settings.port}")
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}"
