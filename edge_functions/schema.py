"""The schema: which text, which version, and how it comes into a database.

The number of the version stands in schema/01_roles.sql and, once applied, in the comment on the database's schema.
"""

import asyncio
import hashlib
import hmac
import logging
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

API_ROLE = "coterie_api"
SCHEMA = Path(__file__).parent.parent / "schema"
"""Parts of one script, in the order of their names."""

PRESENT = (
    "select coalesce(obj_description(oid, 'pg_namespace'), '') from pg_namespace where nspname = 'coterie'"
)
"""A query for the comment on the schema, which holds its version."""

_LOCK_TIMEOUT = "500ms"
"""Below Postgres' deadlock_timeout (1 s): where applying and serving wait for each other, applying gives way."""
_ATTEMPTS = 40
_PAUSE_SECONDS = 0.25
_log = logging.getLogger("edge_functions")


class PostgresError(Exception):
    """Postgres cannot be started or used; the text says why, for the person who started the service."""


def schema_text() -> str:
    """The whole schema as one script. Run it in one transaction."""
    return f"{_parts()}\ncomment on schema coterie is '{_mark()}';\n"


def _parts() -> str:
    return "\n".join(part.read_text() for part in sorted(SCHEMA.glob("*.sql")))


def schema_version() -> int:
    """The number of this version."""
    found = re.search(r"v_version constant integer := (\d+);", (SCHEMA / "01_roles.sql").read_text())
    if found is None:
        raise PostgresError("schema/01_roles.sql has no version.")
    return int(found[1])


def _mark() -> str:
    """The comment on an applied schema. The hash is for those who develop one version."""
    return f"schema version {schema_version()}, {hashlib.sha256(_parts().encode()).hexdigest()}"


async def database_version(connection: "asyncpg.Connection[Any] | asyncpg.Pool[Any]") -> int:
    """The version of the schema in a database; 0: there is none, 1: from before there were numbers."""
    return number(await connection.fetchval(PRESENT))


def number(comment: str | None) -> int:
    """The version in what `PRESENT` gives; 0: there is no schema, 1: from before there were numbers."""
    if comment is None:
        return 0
    found = re.match(r"schema version (\d+)", comment)
    return int(found[1]) if found else 1


async def prepare(url: str) -> str:
    """Bring the schema to this version if `url` may, check that it has what is called. Returns the URL of
    `coterie_api`. Raises `PostgresError`.
    """
    parts = urlsplit(url)
    owner = unquote(parts.username or "").split(".")[0] != API_ROLE
    password = _api_password(parts.password) if owner else None
    try:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            if owner:
                await apply_schema(connection, password)
            await _check(connection)
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise PostgresError(f"The database cannot be prepared: {error}") from error
    if not owner:
        return url
    secret = "" if password is None else f":{quote(password, safe='')}"
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{API_ROLE}{secret}@{place}"))


def _api_password(owner_password: str | None) -> str | None:
    """A password for `coterie_api` that every process with the same DATABASE_URL arrives at."""
    if not owner_password:
        return None
    return hmac.new(unquote(owner_password).encode(), b"coterie_api", hashlib.sha256).hexdigest()


async def apply_schema(connection: "asyncpg.Connection[Any]", api_password: str | None = None) -> None:
    """Apply the schema in one transaction, unless this text was applied last or a newer version is there.

    May be called while others serve: their requests wait, none fails (docs/operations.md, Migrations).
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            await _apply_once(connection, api_password)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if attempt == _ATTEMPTS:
                raise PostgresError(
                    "The schema cannot be applied: other transactions hold its tables; try again when fewer are open."
                ) from None
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


async def _apply_once(connection: "asyncpg.Connection[Any]", api_password: str | None) -> None:
    async with connection.transaction():
        await connection.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")
        await connection.execute("set local client_min_messages = warning")
        await connection.execute(
            "select pg_advisory_xact_lock(7237121802114)"
        )  # only now: what is there then stays
        present = await connection.fetchval(PRESENT)
        if number(present) > schema_version():
            _log.warning(
                "The database has version %d of the schema; this service is of version %d and leaves it as it is.",
                number(present),
                schema_version(),
            )
        elif present != _mark():
            await connection.execute(schema_text())
        if api_password is not None:  # a hexadecimal digest: nothing to quote
            await connection.execute(f"alter role {API_ROLE} password '{api_password}'")


async def _check(connection: "asyncpg.Connection[Any]") -> None:
    """The functions that this version calls are there, whatever the number of the schema. Raises `PostgresError`."""
    version = await database_version(connection)
    if version < schema_version():
        raise PostgresError(
            f"The database has version {version} of the schema, this service needs {schema_version()}: run "
            "`coterie-server apply-schema` with a DATABASE_URL whose user may."
        )
    present = await connection.fetch(
        "select proname from pg_proc where pronamespace = (select oid from pg_namespace where nspname = 'coterie')"
    )
    missing = _called() - {row["proname"] for row in present}
    if missing:
        raise PostgresError(
            f"Version {version} of the schema in the database lacks what this service calls "
            f"({', '.join(sorted(missing))}): install a newer service."
        )


def _called() -> set[str]:
    return set(re.findall(r"create or replace function coterie\.(\w+_v\d+)\(", schema_text()))


def apply_now(url: str) -> None:
    """`apply-schema` on the command line."""
    asyncio.run(prepare(url))
