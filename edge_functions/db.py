"""The database as the functions see it: one statement per call, errors already translated."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from edge_functions.errors import from_database
from edge_functions.metrics import timed


class Database:
    """A pool of connections, all of them as `coterie_api`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", url: str) -> None:
        self._pool = pool
        self._url = url
        self._running = 0

    @classmethod
    async def connect(cls, url: str, size: int) -> "Database":
        """Open the pool. Raises `ServiceError` (503) when the database cannot be reached."""
        pool = await _translated(
            lambda: asyncpg.create_pool(
                url,
                min_size=1,
                max_size=size,
                command_timeout=30,
                max_inactive_connection_lifetime=0,
                reset=_keep,
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
        return await self._run(statement, lambda: self._pool.fetchval(statement, *arguments))

    async def row(self, statement: str, *arguments: Any) -> asyncpg.Record:
        """The one row that a statement gives. Raises `ServiceError`."""
        rows: list[asyncpg.Record] = await self._run(
            statement, lambda: self._pool.fetch(statement, *arguments)
        )
        return rows[0]

    async def _run(self, statement: str, call: Callable[[], Awaitable[Any]]) -> Any:
        self._running += 1
        try:
            with timed(statement):
                return await _translated(call)
        finally:
            self._running -= 1

    def usage(self) -> dict[str, float]:
        """Connections in use and idle, and statements that wait for one."""
        size, idle = self._pool.get_size(), self._pool.get_idle_size()
        return {
            "used": size - idle,
            "idle": idle,
            "waiting": max(0, self._running - self._pool.get_max_size()),
        }

    async def listener(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection of its own, for LISTEN. Raises `ServiceError`."""
        return await _translated(lambda: asyncpg.connect(self._url, timeout=10))


async def _keep(_connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """What a connection goes through between two statements: nothing.

    Each is a transaction of its own, and roles and settings are entered for its length alone, so there is nothing to
    reset; asyncpg's way would cost every call a second round trip.
    """


async def _translated(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await call()
    except Exception as error:
        known = from_database(error)
        if known is None:
            raise
        raise known from error
