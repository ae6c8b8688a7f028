"""The database as the functions see it: one statement per call, errors already translated."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from edge_functions.errors import from_database


class Database:
    """A pool of connections, all of them as `coterie_api`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", url: str) -> None:
        self._pool = pool
        self._url = url

    @classmethod
    async def connect(cls, url: str, size: int) -> "Database":
        """Open the pool. Raises `ServiceError` (503) when the database cannot be reached."""
        pool = await _translated(
            lambda: asyncpg.create_pool(
                url, min_size=1, max_size=size, command_timeout=30, max_inactive_connection_lifetime=0
            )
        )
        return cls(pool, url)

    async def close(self) -> None:
        """Close the pool, without waiting for statements that hang."""
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def value(self, statement: str, *arguments: Any) -> Any:
        """The one value that a statement gives, in a transaction of its own. Raises `ServiceError`."""
        return await _translated(lambda: self._pool.fetchval(statement, *arguments))

    async def row(self, statement: str, *arguments: Any) -> asyncpg.Record:
        """The one row that a statement gives. Raises `ServiceError`."""
        rows: list[asyncpg.Record] = await _translated(lambda: self._pool.fetch(statement, *arguments))
        return rows[0]

    async def listener(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection of its own, for LISTEN. Raises `ServiceError`."""
        return await _translated(lambda: asyncpg.connect(self._url, timeout=10))


async def _translated(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await call()
    except Exception as error:
        known = from_database(error)
        if known is None:
            raise
        raise known from error
