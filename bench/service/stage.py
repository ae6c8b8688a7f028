"""What every part needs: Postgres of its own, devices and groups in it, the service's processes, and the bare one.

Devices and groups are written by SQL and tokens are signed with the service's own key, so that a thousand of them
take a second and no limit on sign-ins stands in the way. From there on everything goes through the service.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import jwt

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from edge_functions.postgres import EmbeddedPostgres  # noqa: E402
from tests.support import mls  # noqa: E402
from tests.support.server import Service, free_port, with_database  # noqa: E402

POOL = 10
MLS_ID = bytes(16)
CIPHERTEXT = 400
"""Bytes: a line of chat with its padding and signature."""
GROUP = "10000000-0000-4000-8000-{:012d}"
DEVICE = "20000000-0000-4000-8000-{:012d}"
_TOKEN_SECONDS = 4 * 3600

SEED_PEOPLE = """
with numbers as (
  select n, format('20000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid device
  from generate_series($1::int, $2::int - 1) n),
devices as (
  insert into coterie.devices (device_id, user_id, signature_key, name, kind)
  select device, 'user-' || n, sha256(n::text::bytea), 'Bench', 'person' from numbers)
insert into coterie.device_sessions (session_id, device_id) select 'session-' || n, device from numbers
"""
SEED_GROUP = """
with made as (
  insert into coterie.groups (group_id, created_by, created_message_id, created_hash, group_info)
  values ($1::uuid, ($2::uuid[])[1], gen_random_uuid(), sha256(''), '\\x00')),
numbered as (insert into coterie.group_seq (group_id) values ($1::uuid))
insert into coterie.group_members (group_id, device_id, from_seq, joined_at)
select $1::uuid, unnest($2::uuid[]), 1, now()
"""


@dataclass(frozen=True, slots=True)
class Person:
    """A signed-in device."""

    number: int
    token: str

    @property
    def device_id(self) -> str:
        """As in the database."""
        return DEVICE.format(self.number)


class Stage:
    """A database with people in it and the processes that serve it."""

    def __init__(self, folder: Path, url: str, stack: contextlib.ExitStack) -> None:
        self.url = url
        """As superuser."""
        self._folder = folder
        self._stack = stack
        self._people = 0
        self._groups = 0

    @property
    def api_url(self) -> str:
        """As the service logs in."""
        return self.url.replace("postgres@", "coterie_api@", 1)

    def service(self, **settings: str) -> Service:
        """Another process of the service on this database; answers are logged as little as the bare one's."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        given = {
            "DATABASE_URL": self.url,
            "COTERIE_POOL": str(POOL),
            "COTERIE_LOG_LEVEL": "warning",
            **settings,
        }
        service = Service(folder, given)
        self._stack.callback(service.close)
        service.start()
        return service

    def bare(self) -> int:
        """Start bench/service/bare.py on this database. Returns its port."""
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, Path(__file__).parent / "bare.py", str(port)],
            env={**os.environ, "DATABASE_URL": self.url, "POOL": str(POOL)}, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        assert process.stdout is not None
        self._stack.enter_context(process.stdout)
        assert process.stdout.readline() == b"ready\n"
        return port

    async def people(self, count: int) -> list[Person]:
        """New devices, each of a user of its own."""
        first, self._people = self._people, self._people + count
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(SEED_PEOPLE, first, first + count)
            key = await connection.fetchrow(
                "select kid, private_key from coterie.auth_keys order by created_at desc limit 1"
            )
        finally:
            await connection.close()
        assert key is not None
        return [Person(n, _token(n, key["kid"], key["private_key"])) for n in range(first, first + count)]

    async def groups(self, *rosters: list[Person]) -> list[str]:
        """A new group for each of these rosters, everybody joined."""
        connection = await asyncpg.connect(self.url)
        ids = [GROUP.format(self._groups + number) for number in range(len(rosters))]
        self._groups += len(rosters)
        try:
            async with connection.transaction():
                for group, roster in zip(ids, rosters, strict=True):
                    await connection.execute(SEED_GROUP, group, [one.device_id for one in roster])
            await connection.execute("analyze")
        finally:
            await connection.close()
        return ids

    async def query(self, statement: str, *arguments: Any) -> list[Any]:
        """Rows, as superuser."""
        connection = await asyncpg.connect(self.url)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()


def _token(number: int, kid: str, private_key: str) -> str:
    claims = {
        "sub": f"user-{number}",
        "aud": "authenticated",
        "role": "authenticated",
        "exp": int(time.time()) + _TOKEN_SECONDS,
        "session_id": f"session-{number}",
    }
    return jwt.encode(claims, private_key, algorithm="ES256", headers={"kid": kid})


@contextlib.contextmanager
def open_stage(url: str | None = None) -> Iterator[Stage]:
    """A durable Postgres of its own, or the empty database at `url`; processes started on it end with the block."""
    with tempfile.TemporaryDirectory(prefix="coterie-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o711)
        url = url or stack.enter_context(EmbeddedPostgres(folder / "postgres")).url
        yield Stage(folder, url, stack)


def body(epoch: int = 0, size: int = CIPHERTEXT) -> str:
    """MLS bytes of an application message, in hex."""
    return mls.private_message(MLS_ID, epoch, ciphertext=os.urandom(size)).hex()


def pgbench(url: str, script: str, *, clients: int, seconds: float) -> float:
    """Transactions per second of a script of pgbench, by the server's own version of it."""
    program = EmbeddedPostgres(Path("unused"))._binaries / "pgbench"  # noqa: SLF001 - as tests/db does
    words = shlex.split(f"-n -M prepared -c {clients} -j 1 -T {round(seconds)} -f -")
    done = subprocess.run([program, *words, url], input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pgbench failed:\n{done.stderr}")
    line = next(one for one in done.stdout.splitlines() if one.startswith("tps ="))
    return float(line.split()[2])


__all__ = ["POOL", "Person", "Service", "Stage", "body", "open_stage", "pgbench", "with_database"]
