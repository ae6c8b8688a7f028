"""The socket: new messages of this device's groups as they come. Its frames are in docs/protocol.md."""

import contextlib

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from edge_functions.deliver import Connection
from edge_functions.endpoint import Function, problem
from edge_functions.errors import ServiceError
from edge_functions.services import Services


class Deliver(Function):
    """Answers a WebSocket; to a plain GET it says what it is."""

    success = 101

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, from its opening to its end."""
        if scope["type"] == "websocket":
            await self.handler(WebSocket(scope, receive, send))
        else:
            await super().__call__(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method not in self.methods:
            return await super()._answer(request)
        refused = problem(ServiceError(426, "method_not_allowed", "deliver is a WebSocket."))
        refused.headers["upgrade"] = "websocket"
        return refused


async def handle(websocket: WebSocket) -> None:
    """The session comes in the first frame, never in the address."""
    services: Services = websocket.state.services
    with contextlib.suppress(WebSocketDisconnect):
        await Connection(
            websocket, services.db, services.verifier, services.hub, services.limits, services.settings
        ).run()


app = Deliver(
    handle,
    takes={},
    errors={426: ["method_not_allowed"]},
    common={405: ["method_not_allowed"]},
    methods=("GET",),
)
