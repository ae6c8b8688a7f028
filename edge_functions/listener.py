"""One LISTEN per process, taken up again whenever its connection ends."""

import asyncio
import logging
from collections.abc import Callable

import asyncpg

from edge_functions.db import Database
from edge_functions.errors import ServiceError, defect

_CHECK_SECONDS = 15
_log = logging.getLogger("edge_functions")


class Listener:
    """Calls `hear` with each notification's text, and `look_again` whenever some may have been missed."""

    def __init__(
        self,
        db: Database,
        retry_seconds: float,
        hear: Callable[[str], None],
        look_again: Callable[[], None],
    ) -> None:
        self._db = db
        self._retry = retry_seconds
        self._hear = hear
        self._look_again = look_again
        self.listening = asyncio.Event()
        """Set while changes are heard of."""

    async def run(self) -> None:
        """Listen for ever."""
        while True:
            try:
                await self._listen_once()
            except (
                ServiceError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                OSError,
                TimeoutError,
            ) as error:
                _log.warning("Not listening to the database: %s", type(error).__name__)
            except Exception as error:  # noqa: BLE001 - whatever it is, this process must not stay deaf
                _log.error("Delivery: %s", defect(error))
            await asyncio.sleep(self._retry)

    async def _listen_once(self) -> None:
        connection = await self._db.listener()
        closed = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _connection: closed.set())
            await connection.add_listener("coterie", lambda *event: self._hear(str(event[-1])))
            self._look_again()
            self.listening.set()
            while not closed.is_set():
                try:
                    async with asyncio.timeout(_CHECK_SECONDS):
                        await closed.wait()
                except TimeoutError:
                    await connection.execute("select 1", timeout=_CHECK_SECONDS)
        finally:
            self.listening.clear()
            connection.terminate()
