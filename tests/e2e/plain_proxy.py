"""A reverse proxy that knows no WebSockets, as some offices have: HTTP passes, an upgrade is refused.

It may also lie: then it stands for a service that does.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.server import free_port

METHODS = ["GET", "HEAD", "POST", "OPTIONS"]
Lie = Callable[[str, dict[str, Any], dict[str, Any]], dict[str, Any]]
"""Function's name, request, true answer: the answer that is given."""
DROPPED = {"host", "connection", "upgrade", "transfer-encoding", "content-length", "accept-encoding"}


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        self.ready.set()


@contextlib.contextmanager
def without_websockets(upstream: str, lie: Lie | None = None) -> Iterator[str]:
    """The origin under which the proxy answers, until the block ends."""
    client = httpx.AsyncClient(base_url=upstream, timeout=30)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    async def forward(request: Request) -> Response:
        headers = [(name, value) for name, value in request.headers.items() if name not in DROPPED]
        url = httpx.URL(request.url.path, query=request.url.query.encode())
        answer = await client.send(
            client.build_request(request.method, url, headers=headers, content=await request.body()),
            stream=True,
        )
        body = b"".join([chunk async for chunk in answer.aiter_raw()])
        await answer.aclose()
        path, name = request.url.path.rsplit("/", 1)
        if lie and path == "/functions/v1" and request.method == "POST":
            body = json.dumps(lie(name, json.loads(await request.body()), json.loads(body))).encode()
        kept = {name: value for name, value in answer.headers.items() if name not in DROPPED}
        return Response(body, answer.status_code, kept)

    port = free_port()
    app = Starlette(routes=[Route("/{path:path}", forward, methods=METHODS)], lifespan=lifespan)
    server = _Server(uvicorn.Config(app, port=port, log_level="error", ws="none", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert server.ready.wait(30)
    try:
        yield f"http://localhost:{port}"
    finally:
        server.should_exit = True
        thread.join()
