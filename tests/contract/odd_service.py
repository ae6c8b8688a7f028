"""A service that answers in every way a transport must be ready for, on the paths of the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

KIB = 1 << 10


async def echo(request: Request) -> Response:
    """What arrived, so that a test can look at it."""
    content = await request.body()
    seen = {
        "method": request.method,
        "query": dict(request.query_params),
        "authorization": request.headers.get("authorization"),
        "content_type": request.headers.get("content-type"),
        "json": await request.json() if content else None,
        "cookie": request.headers.get("cookie"),
    }
    response = JSONResponse(seen)
    response.set_cookie("followed", "you")
    return response


async def refuse(request: Request) -> Response:
    """An error as the service words it, with the status that was asked for."""
    status = int(request.query_params["status"])
    sentence = HTTPStatus(status).phrase
    body: dict[str, Any] = {"error": sentence, "message": sentence, "code": "some_code", "epoch": 7}
    return JSONResponse(body, status)


async def page(request: Request) -> Response:
    """What a proxy or a hotel's network answers instead of the service."""
    return HTMLResponse("<h1>Please sign in</h1>", int(request.query_params["status"]))


async def not_an_object(request: Request) -> Response:
    return JSONResponse("text")


async def array(request: Request) -> Response:
    return JSONResponse([{"n": 1}, {"n": 2}])


async def verbatim(request: Request) -> Response:
    """Any text, as JSON."""
    return Response((await request.json())["text"], media_type="application/json")


async def no_content(request: Request) -> Response:
    return Response(status_code=204)


async def elsewhere(request: Request) -> Response:
    return RedirectResponse("/functions/v1/trap", 307)


async def trap(request: Request) -> Response:
    """Where nobody may come: a redirect would carry the token here."""
    request.app.state.trapped += 1
    return JSONResponse({"trapped": request.app.state.trapped})


async def trapped(request: Request) -> Response:
    return JSONResponse({"trapped": request.app.state.trapped})


async def hang(request: Request) -> Response:
    """Never answers; ends when the client has gone."""
    request.app.state.hanging += 1
    while (await request.receive())["type"] != "http.disconnect":
        pass
    request.app.state.hung_up += 1
    return Response()


async def drip(request: Request) -> Response:
    """An answer that never ends: a blank now and then."""

    async def blanks() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    return StreamingResponse(blanks(), media_type="application/json")


async def hung_up(request: Request) -> Response:
    return JSONResponse({"hung_up": request.app.state.hung_up, "hanging": request.app.state.hanging})


async def deliver(socket: WebSocket) -> None:
    """Does what the frames say: `echo`, `big`, `many`, `binary`, `rubbish`, `close` with a code."""
    await socket.accept()
    try:
        while True:
            asked = await socket.receive_json()
            await _frame(socket, asked)
            if asked["type"] == "close":
                return
    except WebSocketDisconnect:
        return


async def _frame(socket: WebSocket, asked: dict[str, Any]) -> None:
    match asked:
        case {"type": "big", "kib": int(kib)}:
            await socket.send_json({"type": "big", "hex": "ab" * (kib * KIB // 2)})
        case {"type": "many", "count": int(count)}:
            for n in range(count):
                await socket.send_json({"type": "one", "n": n})
        case {"type": "binary"}:
            await socket.send_bytes(b'{"type": "pong"}')
        case {"type": "rubbish", "text": str(text)}:
            await socket.send_text(text)
        case {"type": "close", "code": int(code)}:
            await socket.close(code)
        case _:
            await socket.send_json(asked)


BOTH = ["GET", "POST"]
ROUTES = [
    Route("/functions/v1/echo", echo, methods=BOTH),
    Route("/functions/v1/refuse", refuse, methods=BOTH),
    Route("/functions/v1/page", page, methods=BOTH),
    Route("/functions/v1/not_an_object", not_an_object, methods=BOTH),
    Route("/functions/v1/array", array, methods=BOTH),
    Route("/functions/v1/verbatim", verbatim, methods=BOTH),
    Route("/functions/v1/no_content", no_content, methods=BOTH),
    Route("/functions/v1/elsewhere", elsewhere, methods=BOTH),
    Route("/functions/v1/trap", trap, methods=BOTH),
    Route("/functions/v1/trapped", trapped, methods=BOTH),
    Route("/functions/v1/hang", hang, methods=BOTH),
    Route("/functions/v1/drip", drip, methods=BOTH),
    Route("/functions/v1/hung_up", hung_up, methods=BOTH),
    WebSocketRoute("/functions/v1/deliver", deliver),
]


def make_app(extra: list[Route] | None = None) -> Starlette:
    """The app, with further routes (the page's files, in a browser's test)."""
    app = Starlette(routes=[*ROUTES, *(extra or [])])
    app.state.trapped = 0
    app.state.hung_up = 0
    app.state.hanging = 0
    return app
