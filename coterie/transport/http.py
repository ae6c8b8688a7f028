"""The way to the service on CPython: httpx for requests, websockets for `deliver`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, WebSocketException

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

QUIET = logging.getLogger("coterie.transport.http.silenced")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False
QUIET.setLevel(logging.CRITICAL)  # websockets writes whole frames at level DEBUG, the token among them

CLOSE_SECONDS = 2.0


class open_socket(connect):  # noqa: N801  used as the function it stands for
    """`websockets.connect` that follows no redirect: the token, sent first, goes to one place."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class HttpSocket:
    """An open `deliver` socket."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, frame: Mapping[str, Any]) -> None:
        """As `ports.Socket.send`."""
        try:
            await self._connection.send(encode(frame))
        except ConnectionClosed as error:
            raise socket_closed() from error

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        """As `ports.Socket.frames`: ends after an orderly close, raises `Unreachable` after any other."""
        while True:
            try:
                text = await self._connection.recv()
            except ConnectionClosedOK:
                return
            except ConnectionClosed as error:
                raise socket_closed() from error
            yield frame(text)

    async def close(self) -> None:
        """Close it; safe to call twice."""
        await self._connection.close()


class HttpTransport:
    """A `Transport` to the service at `service_url`, on httpx and websockets."""

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
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(request_seconds, connect=open_seconds),
            headers={"User-Agent": "coterie"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # the token says all there is to say
        )

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, token: str | None
    ) -> Answer:
        """As `ports.Transport.request`. Redirects are not followed: a token goes to one place."""
        headers = request_headers(path, body, token)
        content = None if body is None else encode(body).encode()
        if self._http.is_closed:
            raise no_answer()
        try:
            async with asyncio.timeout(self._request_seconds):
                response = await self._http.request(
                    method, self._service + path, content=content, headers=headers
                )
        except (TimeoutError, httpx.TimeoutException) as error:
            raise no_answer_in_time() from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise no_answer() from error
        return answer(response.status_code, response.content)

    async def connect(self) -> HttpSocket:
        """As `ports.Transport.connect`. Uncompressed: what goes through it is ciphertext."""
        try:
            connection = await open_socket(
                deliver_address(self._service),
                open_timeout=self._open_seconds,
                close_timeout=CLOSE_SECONDS,
                max_size=FRAME_LIMIT,
                compression=None,
                user_agent_header="coterie",
                logger=QUIET,
            )
        except TimeoutError as error:
            raise no_answer_in_time() from error
        except (OSError, WebSocketException) as error:
            raise no_answer() from error
        return HttpSocket(connection)

    async def close(self) -> None:
        """Close all connections; further requests raise `Unreachable`."""
        await self._http.aclose()
