"""A database with the schema, and ways into it."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from edge_functions.schema import apply_schema
from tests.support import mls


def as_role(url: str, role: str) -> str:
    """The same database, logged in as another role."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}"))


async def _apply(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await apply_schema(connection)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def schema_url(make_database: Callable[[], str]) -> str:
    """A database with the schema applied; as superuser."""
    url = make_database()
    asyncio.run(_apply(url))
    return url


@pytest.fixture
async def owner(schema_url: str) -> AsyncIterator[asyncpg.Connection]:
    """As superuser."""
    connection = await asyncpg.connect(schema_url)
    yield connection
    await connection.close()


@pytest.fixture
async def api(schema_url: str) -> AsyncIterator[asyncpg.Connection]:
    """As the service logs in."""
    connection = await asyncpg.connect(as_role(schema_url, "coterie_api"))
    yield connection
    await connection.close()


class Member:
    """A device, by its claims alone."""

    def __init__(self, api: asyncpg.Connection) -> None:
        self.api = api
        self.claims = json.dumps({"sub": str(uuid.uuid4()), "session_id": str(uuid.uuid4())})
        self.device = ""

    async def call(self, function: str, *arguments: Any) -> Any:
        """One `*_v1` function."""
        places = ", ".join(f"${number + 1}" for number in range(len(arguments) + 1))
        answer = await self.api.fetchval(f"select coterie.{function}_v1({places})", self.claims, *arguments)
        return None if answer is None else json.loads(answer)

    async def group(self) -> str:
        """A new group."""
        group = str(uuid.uuid4())
        await self.call("group_create", group, mls.group_info(b"m" * 16, 0), str(uuid.uuid4()), None)
        return group

    async def send(self, group: str, counter: int) -> Any:
        """A message in epoch 0."""
        body = mls.private_message(b"m" * 16, 0)
        return await self.call("send_message", group, 0, str(uuid.uuid4()), counter, body, None)


@pytest.fixture
def make_member(api: asyncpg.Connection) -> Callable[[], Any]:
    """Registers a new device."""

    async def make() -> Member:
        member = Member(api)
        registered = await member.call("device_register", uuid.uuid4().bytes * 2, "Test", "person")
        member.device = registered["device_id"]
        return member

    return make
