"""The way to the service in a browser: its own fetch and WebSocket.

Every Python callable that JavaScript holds is a proxy that must be destroyed, or it keeps what it refers to alive for
as long as the page lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from js import WebSocket
from pyodide.ffi import JsException, create_proxy
from pyodide.http import pyfetch

from coterie.ports import Answer
from coterie.transport import (
    FRAME_LIMIT,
    OPEN_SECONDS,
    REQUEST_SECONDS,
    answer,
    deliver_address,
    encode,
    frame,
    no_answer,
    no_answer_in_time,
    request_headers,
    service_address,
    socket_closed,
)

OPEN = 1
"""`WebSocket.readyState` of an open socket."""
ORDERLY = (1000, 1001)
"""Close codes of a service that is done, or is going away."""


class FetchSocket:
    """An open `deliver` socket."""

    def __init__(self, address: str) -> None:
        self._arrived: asyncio.Queue[str | None] = asyncio.Queue()
        self._opened: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._orderly = False
        self._socket = WebSocket.new(address)
        self._proxies = [
            (name, create_proxy(callback))
            for name, callback in (
                ("open", self._on_open),
                ("message", self._on_message),
                ("close", self._on_close),
            )
        ]
        for name, proxy in self._proxies:
            self._socket.addEventListener(name, proxy)

    @classmethod
    async def open(cls, address: str, seconds: float) -> FetchSocket:
        """Open it. Raises `Unreachable`."""
        try:
            socket = cls(address)
        except JsException as error:  # an address that this page may not connect to
            raise no_answer() from error
        try:
            async with asyncio.timeout(seconds):
                opened = await socket._opened
        except TimeoutError as error:
            await socket.close()
            raise no_answer_in_time() from error
        except BaseException:
            await socket.close()
            raise
        if not opened:
            raise no_answer()
        return socket

    def _on_open(self, _: Any) -> None:
        if not self._opened.done():
            self._opened.set_result(True)

    def _on_message(self, event: Any) -> None:
        """A text frame; a binary one becomes an empty text, which is no frame of the service."""
        text = event.data if isinstance(event.data, str) else ""
        self._arrived.put_nowait(text if len(text) <= FRAME_LIMIT else "")

    def _on_close(self, event: Any) -> None:
        self._orderly = self._orderly or event.code in ORDERLY
        self._end()

    def _end(self) -> None:
        """Tell whoever waits, and let go of everything that JavaScript holds; safe to call twice."""
        if not self._opened.done():
            self._opened.set_result(False)
        self._arrived.put_nowait(None)
        for name, proxy in self._proxies:
            self._socket.removeEventListener(name, proxy)
            proxy.destroy()
        self._proxies = []

    async def send(self, frame: Mapping[str, Any]) -> None:
        """As `ports.Socket.send`."""
        if self._socket.readyState != OPEN:
            raise socket_closed()
        self._socket.send(encode(frame))

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        """As `ports.Socket.frames`: ends after an orderly close, raises `Unreachable` after any other."""
        while (text := await self._arrived.get()) is not None:
            yield frame(text)
        self._arrived.put_nowait(None)  # for whoever asks again
        if not self._orderly:
            raise socket_closed()

    async def close(self) -> None:
        """Close it; safe to call twice."""
        self._orderly = True
        self._socket.close()
        self._end()


class FetchTransport:
    """A `Transport` to the service at `service_url`, on the browser's fetch and WebSocket."""

    def __init__(
        self,
        service_url: str,
        *,
        request_seconds: float = REQUEST_SECONDS,
        open_seconds: float = OPEN_SECONDS,
    ) -> None:
        self._service = service_address(service_url)
        self._request_seconds = request_seconds
        self._open_seconds = open_seconds
        self._closed = False

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, token: str | None
    ) -> Answer:
        """As `ports.Transport.request`. Redirects are errors, and nothing is cached: a token goes to one place."""
        if self._closed:
            raise no_answer()
        options: dict[str, Any] = {
            "method": method,
            "headers": request_headers(path, body, token),
            "cache": "no-store",
            "credentials": "omit",
            "redirect": "error",
            "referrerPolicy": "no-referrer",
        }
        if body is not None:
            options["body"] = encode(body)
        return await self._fetch(path, options)

    async def _fetch(self, path: str, options: dict[str, Any]) -> Answer:
        """Whatever ends it early (time, cancellation) also aborts the browser's request: `pyfetch` sees to it."""
        try:
            async with asyncio.timeout(self._request_seconds):
                response = await pyfetch(self._service + path, **options)
                content = await response.bytes()
        except TimeoutError as error:
            raise no_answer_in_time() from error
        except (JsException, OSError) as error:
            raise no_answer() from error
        return answer(response.status, content)

    async def connect(self) -> FetchSocket:
        """As `ports.Transport.connect`."""
        return await FetchSocket.open(deliver_address(self._service), self._open_seconds)

    async def close(self) -> None:
        """Further requests raise `Unreachable`; sockets are closed by those who opened them."""
        self._closed = True
