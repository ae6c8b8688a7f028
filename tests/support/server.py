"""The real service for tests: uvicorn in a process of its own, on a free port, with a database of its own.

Fixtures for everybody: `postgres_url` (a cluster that lives as long as the test run), `database` (a new, empty
database on it), `service` (one running service for a test module), `make_service` (more of them, with settings).
"""

import asyncio
import contextlib
import ctypes
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from edge_functions.postgres import EmbeddedPostgres

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 60
SERVE = ("-m", "edge_functions", "serve")
_numbers = itertools.count(1)


class Service:
    """`python -m edge_functions serve`, started, stopped, killed and started again by a test."""

    def __init__(
        self, data: Path, environment: dict[str, str], root: Path = ROOT, program: Sequence[str] = SERVE
    ) -> None:
        """`environment` holds settings (edge_functions/settings.py); the port stays the same over restarts; `root` has
        the code that runs, `program` is what Python is told to run.
        """
        self._root = root
        self._program = program
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.log = data / "service.log"
        self._environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("COTERIE_", "SUPABASE_"))
            },
            "PORT": str(self.port),
            "COTERIE_DATA": str(data),
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self._process: subprocess.Popen[str] | None = None
        self._serving = False

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self._process = subprocess.Popen(
            [sys.executable, *self._program],
            cwd=self._root,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
        )
        self._serving = False
        ready = threading.Event()
        threading.Thread(target=self._copy_output, args=(self._process, ready), daemon=True).start()
        if not ready.wait(START_SECONDS) or not self._serving:
            self.kill()
            raise RuntimeError(f"The service did not start:\n{self.log.read_text()}")

    def _copy_output(self, process: "subprocess.Popen[str]", ready: threading.Event) -> None:
        assert process.stdout is not None
        with self.log.open("a") as log, process.stdout as output:
            for line in output:
                log.write(line)
                log.flush()
                if line.startswith("Coterie is ready"):
                    self._serving = True
                    ready.set()
        ready.set()  # it ended

    @property
    def database(self) -> str:
        """As a superuser, where the test gave it one."""
        return self._environment["DATABASE_URL"]

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        status = self._process.wait(30)
        self._process = None
        return status

    def kill(self) -> None:
        """SIGKILL: nothing is put in order."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop and start again, on the same port and data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it if it runs."""
        if self._process is not None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()


def _end_with_parent() -> None:
    """A test run that is killed leaves no service behind (prctl(2), PR_SET_PDEATHSIG = 1)."""
    ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))


_given: set[int] = set()
"""Ports that this run has given out: the system may name one again before somebody listens there."""


def free_port() -> int:
    """A port that is free now, and was not given before."""
    while True:
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as one:
            port: int = one.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@contextlib.contextmanager
def start_service(folder: Path, **settings: str) -> Iterator[Service]:
    """A service on an embedded Postgres of its own under `folder`, until the block ends."""
    service = Service(folder, settings)
    try:
        service.start()
        yield service
    finally:
        service.close()


def execute(url: str, statement: str) -> None:
    """Run one statement; usable from inside and outside of a running event loop."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _execute(url, statement)).result()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A Postgres as superuser: the one in TEST_DATABASE_URL, or the embedded one in a temporary folder."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    with (
        tempfile.TemporaryDirectory(prefix="coterie-test-") as folder,
        EmbeddedPostgres(Path(folder), durable=False) as postgres,
    ):
        yield postgres.url


@pytest.fixture(scope="session")
def make_database(postgres_url: str) -> Callable[[], str]:
    """Makes a new, empty database; the URL of a superuser in it."""

    def make() -> str:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        execute(postgres_url, f"create database {name}")
        return with_database(postgres_url, name)

    return make


@pytest.fixture
def database(make_database: Callable[[], str]) -> str:
    """A new, empty database."""
    return make_database()


@pytest.fixture(scope="module")
def make_service(
    make_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Service]]:
    """Starts a service with the given settings, on a database of its own unless DATABASE_URL is among them.

    `DATABASE_URL=""` makes it run its own embedded Postgres.
    """
    services: list[Service] = []

    def make(**settings: str) -> Service:
        environment = {name: value for name, value in settings.items() if value}
        if "DATABASE_URL" not in settings:
            environment["DATABASE_URL"] = make_database()
        service = Service(tmp_path_factory.mktemp("service"), environment)
        services.append(service)
        service.start()
        return service

    yield make
    for service in services:
        service.close()


@pytest.fixture(scope="module")
def service(make_service: Callable[..., Service]) -> Service:
    """A running service."""
    return make_service()
