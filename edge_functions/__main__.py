"""`python -m edge_functions serve`: the service, its database and the page in one process."""

import argparse
import logging
import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import uvicorn

from edge_functions.app import create_app
from edge_functions.environment import SettingsError, describe
from edge_functions.postgres import started_database
from edge_functions.schema import PostgresError, apply_now
from edge_functions.settings import Settings

_PORTS_TO_TRY = 20


def main() -> int:
    """Read the command line; the exit status."""
    parser = argparse.ArgumentParser(
        prog="edge_functions",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Settings, from the environment:\n{describe(Settings)}",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="start the service")
    commands.add_parser("apply-schema", help="apply the schema to DATABASE_URL and stop")
    command = parser.parse_args().command
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        settings = Settings.from_environment()
        return serve(settings) if command == "serve" else _apply(settings)
    except (SettingsError, PostgresError) as error:
        print(error, file=sys.stderr)
        return 2


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT."""
    listening = _listen(settings.host, settings.port)
    port = listening.getsockname()[1]
    settings = replace(settings, port=port, public_url=settings.public_url or f"http://localhost:{port}")
    signal.signal(signal.SIGTERM, _stop)  # uvicorn raises its signals again when it is done
    try:
        with started_database(settings) as url:
            return _serve(replace(settings, database_url=url), listening)
    except KeyboardInterrupt:
        return 0


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _serve(settings: Settings, listening: socket.socket) -> int:
    config = uvicorn.Config(
        create_app(settings),
        ws="websockets-sansio",
        ws_max_size=1024 * 1024,
        ws_per_message_deflate=False,  # ciphertext: compressing it anew for every socket costs more than it saves
        lifespan="on",
        access_log=False,  # addresses of pages hold invite ids
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # the app does that, for the proxies in its settings
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    server = _Server(config, f"Coterie is ready: open {settings.public_url}")
    server.run(sockets=[listening])
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._ready, flush=True)


def _apply(settings: Settings) -> int:
    if settings.database_url is None:
        print(
            "Set DATABASE_URL to the database, with a user that may create roles and schemas.",
            file=sys.stderr,
        )
        return 2
    apply_now(settings.database_url)
    print("The schema is applied.")
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
