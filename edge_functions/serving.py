"""A process that serves: it listens, starts what it needs, and ends in order."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

import uvicorn

from edge_functions.app import create_app
from edge_functions.connections import SocketConnection, http_protocol
from edge_functions.environment import SettingsError
from edge_functions.metrics import published
from edge_functions.observed import Observed
from edge_functions.postgres import started_database
from edge_functions.settings import Settings

_PORTS_TO_TRY = 20
_LAST_REQUESTS_SECONDS = 0.2
"""When no more connections are taken, for the requests that are on their way in those that are open."""
_ALLOCATIONS = 20_000
"""Between two looks for cycles. At Python's 700 they are looked for at every third request, for 8 % of its time."""
_FORCED_SECONDS = 1
"""For closing what is open, at the second signal."""
_log = logging.getLogger("edge_functions")


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, a second one ends it at once. Returns the exit status.

    Raises `SettingsError`, `PostgresError`.
    """
    listening = _listen(settings.host, settings.port)
    port = listening.getsockname()[1]
    scheme = "https" if settings.tls_certificate else "http"
    settings = replace(settings, port=port, public_url=settings.public_url or f"{scheme}://localhost:{port}")
    signal.signal(signal.SIGTERM, _stop)  # before and after uvicorn's own
    try:
        with started_database(settings) as url, contextlib.ExitStack() as stack:
            if settings.metrics:
                _publish(stack, *settings.metrics)
            return _serve(replace(settings, database_url=url), listening)
    except KeyboardInterrupt:
        return 0


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _publish(stack: contextlib.ExitStack, host: str, port: int) -> None:
    try:
        stack.enter_context(published(host, port))
    except OSError as error:
        raise SettingsError(f"COTERIE_METRICS: {host}:{port} cannot be used ({error.strerror}).") from None


def _serve(settings: Settings, listening: socket.socket) -> int:
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http=http_protocol(settings.header_seconds),
        ws=SocketConnection,
        ws_max_size=1024 * 1024,
        ws_per_message_deflate=False,  # ciphertext: compressing it anew for every socket costs more than it saves
        lifespan="on",
        log_config=None,  # log.py
        access_log=False,  # addresses of pages hold invite ids
        server_header=False,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        proxy_headers=False,  # the app does that, for the proxies in its settings
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"COTERIE_TLS_CERTIFICATE or COTERIE_TLS_KEY cannot be used ({error}).") from None
    server = _Server(config, app, settings)
    server.run(sockets=[listening])
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    """Says when it is ready, and stops in the steps of docs/operations.md."""

    def __init__(self, config: uvicorn.Config, app: Observed, settings: Settings) -> None:
        super().__init__(config)
        self._app = app
        self._ready = f"Coterie is ready: open {settings.public_url}"
        self._drain = settings.drain_seconds
        self._last_at = float("inf")
        """When to take no more connections (`time.monotonic`)."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what stands from the start on need not be looked at again and again
        gc.set_threshold(_ALLOCATIONS)
        if self.started:
            print(self._ready, flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler
        """The first signal begins the end, the second is the end."""
        if self._app.stopping:
            self.should_exit = self.force_exit = True
        self._app.stopping = True
        # With nobody to drain for, who comes back at once would meet this process again, as it closes.
        self._app.closing = self._drain > 0
        self._last_at = time.monotonic() + self._drain

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or time.monotonic() >= self._last_at

    async def shutdown(self, sockets: Sequence[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listening in sockets or ():
            listening.close()
        self._app.closing = True
        if not self.force_exit:
            await asyncio.sleep(_LAST_REQUESTS_SECONDS)
        await super().shutdown()
        if self.force_exit:  # uvicorn leaves this out then, and what is cut off writes a traceback
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FORCED_SECONDS):
                    await self.lifespan.shutdown()


def _listen(host: str, first: int) -> socket.socket:
    """A listening socket on `first` or the next free port, saying who has the one before. Raises `SettingsError`."""
    for port in range(first, min(first + _PORTS_TO_TRY, 65536)):
        try:
            listening = socket.create_server((host, port), backlog=1024)
        except OSError as error:
            print(
                f"Port {port} cannot be used ({os.strerror(error.errno or 0)}){_who_listens(port)}; trying the next.",
                file=sys.stderr,
            )
            continue
        # asyncio sets this only on sockets that it opened itself; without it an answer may wait 40 ms for an ACK
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    raise SettingsError(f"No free port from {first} on; choose one with PORT.")


def _who_listens(port: int) -> str:
    """The process that listens on a port, as far as /proc tells this user."""
    inodes = {
        f"socket:[{fields[9]}]"
        for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
        if table.exists()
        for fields in (line.split() for line in table.read_text().splitlines()[1:])
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port
    }
    for descriptor in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        try:
            if str(descriptor.readlink()) in inodes:
                process = descriptor.parts[2]
                return f", used by {Path('/proc', process, 'comm').read_text().strip()} (process {process})"
        except OSError:
            continue
    return ""
