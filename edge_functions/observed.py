"""What every request leaves behind: its id, a line in the log, and a number in the metrics."""

import functools
import logging
import random
import re
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_functions.environment import Network
from edge_functions.log import request_id
from edge_functions.metrics import REQUEST_SECONDS, REQUESTS

_GOOD_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
_QUIET = {"page", "health", "ready"}
"""Of these only failures are told at level info."""
_log = logging.getLogger("edge_functions")


class Observed:
    """The outermost ASGI app. `name_of` gives a request's function: one of a bounded number of names."""

    def __init__(self, app: ASGIApp, name_of: Callable[[str], str], proxies: Sequence[Network]) -> None:
        self._app = app
        self._name_of = name_of
        self._trusted = functools.lru_cache(1024)(lambda peer: _within(peer, proxies))
        self.stopping = False
        """Set it, and `/ready` says 503."""
        self.closing = False
        """Set it, and connections end with their answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on and note what comes of it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, self._id(scope), closing=self.closing)
        scope["stopping"] = self.stopping
        token = request_id.set(answer.request)
        began = time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        finally:
            self._note(self._name_of(scope["path"]), answer, time.perf_counter() - began)
            request_id.reset(token)

    def _id(self, scope: Scope) -> str:
        """The one that a trusted proxy gave, or a new one."""
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode(
            "latin-1"
        )
        peer = scope.get("client")
        if given and peer and self._trusted(peer[0]) and _GOOD_ID.fullmatch(given):
            return given
        return f"{random.getrandbits(64):016x}"  # a name for a line, no secret

    @staticmethod
    def _note(name: str, answer: "_Answer", seconds: float) -> None:
        _counter(name, answer.status, answer.code).inc()
        if answer.status != 101:
            _histogram(name).observe(seconds)
        level = logging.INFO
        if answer.status >= 500:
            level = logging.WARNING
        elif name in _QUIET and answer.status < 400:
            level = logging.DEBUG
        if _log.isEnabledFor(level):
            fields = {
                "function": name, "status": answer.status, "code": answer.code or None,
                "ms": round(seconds * 1000, 1),
            }  # fmt: skip
            _log.log(level, "answered", extra={"fields": fields})


def _within(peer: str, networks: Sequence[Network]) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    return any(address in one for one in networks)


_counter = functools.lru_cache(4096)(REQUESTS.labels)
_histogram = functools.lru_cache(256)(REQUEST_SECONDS.labels)


class _Answer:
    """Looks at an answer as it leaves, and adds the request's id."""

    def __init__(self, send: Send, request: str, *, closing: bool) -> None:
        self._send = send
        self._closing = closing
        self.request = request
        self.status = 499
        """HTTP status; 101: a WebSocket; 499: the client went away before."""
        self.code = ""

    async def send(self, message: Message) -> None:
        """Pass it on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message.get("headers", ())
            if self.status >= 400:
                self.code = next(
                    (value for name, value in headers if name == b"x-sb-error-code"), b""
                ).decode()
            added = [(b"x-request-id", self.request.encode())]
            if self._closing:
                added.append((b"connection", b"close"))  # the next request finds a service that goes on
            message["headers"] = [*headers, *added]
        elif message["type"] == "websocket.accept":
            self.status = 101
        elif message["type"] == "websocket.close" and self.status != 101:
            self.status = 403  # ASGI: closed before it was accepted
        await self._send(message)
