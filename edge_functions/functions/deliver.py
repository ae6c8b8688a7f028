"""The socket: `GET /functions/v1/deliver`."""

import contextlib

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from edge_functions.deliver import Connection
from edge_functions.endpoint import Function
from edge_functions.errors import ServiceError
from edge_functions.services import Services


class Deliver(Function):
    """Answers a WebSocket; to anything else it says that the method is not allowed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, from its opening to its end."""
        if scope["type"] != "websocket":
            await super().__call__(scope, receive, send)
            return
        websocket = WebSocket(scope, receive, send)
        services: Services = websocket.state.services
        with contextlib.suppress(WebSocketDisconnect):
            await Connection(websocket, services.db, services.verifier, services.hub, services.settings).run()


async def _refuse(_call: object) -> str:
    raise ServiceError(426, "method_not_allowed", "deliver is a WebSocket.")


app = Deliver(_refuse)
