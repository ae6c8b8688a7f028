"""One TCP connection: what uvicorn leaves open to a peer who sends too slowly, or never reads."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_PIECE = 64 * 1024
"""Characters of a frame that are handed to the system at once."""
_LINGER_SECONDS = 5
"""A closed socket's peer may take so long to read what is left."""


def http_protocol(header_seconds: float) -> type[asyncio.Protocol]:
    """HTTP where headers must have come `header_seconds` after the connection was made, or after their first byte."""

    class HttpConnection(H11Protocol):
        """Uvicorn ends a connection that is idle after an answer, not one that sends no request or drips one."""

        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._late = self.loop.call_later(header_seconds, transport.abort)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
            if not begun:
                self._in_time()
            elif self._late is None:
                self._late = self.loop.call_later(header_seconds, self.transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            self._in_time()
            super().connection_lost(exc)

        def _in_time(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

    return HttpConnection


class SocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket that holds little in memory for a peer who does not read, and does not outlive its app."""

    _unfinished = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn.debug = False  # it would log frames: tokens and ciphertext

    async def send(self, message: Any) -> None:
        """A large frame goes in fragments (RFC 6455 section 5.4), each when the peer has taken the one before."""
        text = message.get("text") or ""
        if self._unfinished:  # the task that sent was cancelled in the middle: nothing can follow
            raise ClientDisconnected
        if message["type"] != "websocket.send" or len(text) <= _PIECE:
            await super().send(message)
            return
        self._unfinished = True
        for start in range(0, len(text), _PIECE):
            piece, last = text[start : start + _PIECE].encode(), start + _PIECE >= len(text)
            await self.writable.wait()
            if self.disconnected or self.close_sent or self.transport.is_closing():
                raise ClientDisconnected
            if start:
                self.conn.send_continuation(piece, last)
            else:
                self.conn.send_text(piece, last)
            self.transport.write(b"".join(self.conn.data_to_send()))
        self._unfinished = False

    def handle_ping(self) -> None:
        """Pongs for a peer who does not read them are not kept."""
        output = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(output))

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        """Uvicorn would wait for ever until a closed peer has read everything."""
        super().on_task_complete(task)
        self.loop.call_later(_LINGER_SECONDS, self.transport.abort)
