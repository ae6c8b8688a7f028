"""The schema: which text, and how it comes into a database."""

import asyncio
import hashlib
import hmac
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

API_ROLE = "coterie_api"
SCHEMA = Path(__file__).parent.parent / "schema"
"""Parts of one script, in the order of their names."""


class PostgresError(Exception):
    """Postgres cannot be started or used; the text says why, for the person who started the service."""


async def prepare(url: str) -> str:
    """Apply the schema unless `url` is already that of `coterie_api`. Returns the URL of `coterie_api`."""
    parts = urlsplit(url)
    if unquote(parts.username or "").split(".")[0] == API_ROLE:
        return url
    password = _api_password(parts.password)
    try:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            await apply_schema(connection, password)
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise PostgresError(f"The database cannot be prepared: {error}") from error
    secret = "" if password is None else f":{quote(password, safe='')}"
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{API_ROLE}{secret}@{place}"))


def _api_password(owner_password: str | None) -> str | None:
    """A password for `coterie_api` that every process with the same DATABASE_URL arrives at."""
    if not owner_password:
        return None
    return hmac.new(unquote(owner_password).encode(), b"coterie_api", hashlib.sha256).hexdigest()


def schema_text() -> str:
    """The whole schema as one script."""
    return "\n".join(part.read_text() for part in sorted(SCHEMA.glob("*.sql")))


async def apply_schema(connection: "asyncpg.Connection[Any]", api_password: str | None = None) -> None:
    """Apply the schema in one transaction, unless this very text was applied last."""
    text = schema_text()
    mark = f"schema {hashlib.sha256(text.encode()).hexdigest()}"
    async with connection.transaction():
        present = await connection.fetchval(
            "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = 'coterie'"
        )
        if present != mark:
            await connection.execute("set local client_min_messages = warning")
            await connection.execute(text)
            await connection.execute(f"comment on schema coterie is '{mark}'")
        if api_password is not None:  # a hexadecimal digest: nothing to quote
            await connection.execute(f"alter role {API_ROLE} password '{api_password}'")


def apply_now(url: str) -> None:
    """`apply-schema` on the command line."""
    asyncio.run(prepare(url))
