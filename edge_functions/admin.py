"""`coterie-server admin`: what a person or a timer does to a service from outside. It may run meanwhile."""

import asyncio
import contextlib
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from edge_functions import retention as sweeping
from edge_functions.db import Database
from edge_functions.keys import OwnKeys
from edge_functions.postgres import program, reached
from edge_functions.schema import PRESENT, apply_now, number, prepare, schema_version
from edge_functions.settings import Settings


class AdminError(Exception):
    """It was not done; the text says why."""


def backup(settings: Settings, file: Path) -> int:
    """Write the schema `coterie` with all data into `file`, in pg_dump's custom format: one snapshot, mode 0600.

    It holds the private keys that sign tokens. Raises `AdminError`.
    """
    with _database(settings) as url:
        asyncio.run(_check(url, empty=False))
        try:
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise AdminError(f"{file} cannot be written: {error.strerror}.") from None
        done = subprocess.run(
            [
                program("pg_dump"), "--format=custom", "--schema=coterie", "--no-unlogged-table-data",
                f"--file={file}", _named(url),
            ],
            env=_secret(url), stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            file.unlink()
            raise AdminError(f"There is no backup. {_last_line(done.stderr)}")
    print(f"{file}: {file.stat().st_size} bytes.")
    return 0


def restore(settings: Settings, file: Path) -> int:
    """Bring the data of a backup into a database that has none, in one transaction. Raises `AdminError`."""
    if not file.is_file():
        raise AdminError(f"There is no file {file}.")
    version = _backup_version(file)
    if version > schema_version():
        raise AdminError(
            f"The backup has version {version} of the schema, this service has {schema_version()}: install a newer one."
        )
    with _database(settings) as url:
        apply_now(url)  # roles are no part of a backup
        asyncio.run(_check(url, empty=True))
        asyncio.run(_drop(url))
        done = subprocess.run(
            [program("pg_restore"), "--single-transaction", "--exit-on-error", f"--dbname={_named(url)}", str(file)],
            env=_secret(url), capture_output=True, text=True, check=False,
        )  # fmt: skip
        apply_now(
            url
        )  # what an earlier version wrote is brought to this one; without a backup, all as it was
        if done.returncode:
            raise AdminError(f"Nothing was restored. {_last_line(done.stderr)}")
    print(f"{file} is restored.")
    return 0


def retention(settings: Settings) -> int:
    """Drop what is over (docs/protocol.md, Retention)."""

    async def sweep(url: str) -> dict[str, int]:
        async with _connected(url) as db:
            return await sweeping.sweep(db, settings)

    with _database(settings) as url:
        gone = asyncio.run(sweep(url))
    print("\n".join(f"{rows} {kind}" for kind, rows in sorted(gone.items())) or "Nothing was over.")
    return 0


def rotate_keys(settings: Settings) -> int:
    """Let another key sign the tokens. The present one verifies until the last token that it signed has ended."""
    if settings.supabase_url:
        raise AdminError("SUPABASE_URL is set: Supabase Auth signs the tokens, with keys of its own.")

    async def rotate(url: str) -> bool:
        async with _connected(url) as db:
            return await (await OwnKeys.load(db, settings)).rotate()

    with _database(settings) as url:
        made = asyncio.run(rotate(url))
    print("There is a new key." if made else "A new key waits already to sign.")
    return 0


def status(settings: Settings) -> int:
    """Print version, sizes and the queue of notifications as one JSON object."""

    async def ask(url: str) -> dict[str, object]:
        async with _connected(url) as db:
            version = number(await db.value(PRESENT))
            answer: dict[str, object] = json.loads(await db.value("select coterie.status_v1()"))
            return {"schema_version": version, **answer}

    with _database(settings) as url:
        print(json.dumps(asyncio.run(ask(url)), indent=2))
    return 0


@contextlib.contextmanager
def _database(settings: Settings) -> Iterator[str]:
    """The database in DATABASE_URL, or the embedded one: of the service that runs, otherwise started for this."""
    if settings.database_url:
        yield settings.database_url
        return
    with reached(settings.data) as url:
        yield url


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Database]:
    """As the service is."""
    db = await Database.connect(await prepare(url), 2)
    try:
        yield db
    finally:
        await db.close()


async def _check(url: str, *, empty: bool) -> None:
    """The database can be read or written past row-level security, and has data or none. Raises `AdminError`."""
    try:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            may = "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"
            if not await connection.fetchval(may):
                raise AdminError(
                    "Backup and restore need a DATABASE_URL whose user is a superuser or has BYPASSRLS."
                )
            if not number(await connection.fetchval(PRESENT)):
                raise AdminError("There is no schema of Coterie in this database.")
            data = "select exists (select from coterie.devices) or exists (select from coterie.auth_users)"
            if empty and await connection.fetchval(data):
                raise AdminError("This database has data already: restore into an empty one.")
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise AdminError(f"The database cannot be reached: {error}") from error


async def _drop(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute("drop schema coterie cascade")
    finally:
        await connection.close()


def _backup_version(file: Path) -> int:
    """The version of the schema that a backup was made of. Raises `AdminError`."""
    done = subprocess.run(
        [program("pg_restore"), "--schema-only", "--file=-", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    comment = re.search(r"^COMMENT ON SCHEMA coterie IS '(.*)';$", done.stdout, re.MULTILINE)
    if done.returncode or comment is None:
        raise AdminError(f"{file} is no backup of Coterie. {_last_line(done.stderr)}".rstrip())
    return number(comment[1])


def _named(url: str) -> str:
    """The URL without its password: arguments can be seen by every user of the machine."""
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{place}" if user else place))


def _secret(url: str) -> dict[str, str]:
    """The environment of a program that connects to `url`."""
    password = urlsplit(url).password
    return {**os.environ, **({"PGPASSWORD": unquote(password)} if password else {})}


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
