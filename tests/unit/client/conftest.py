"""What the driver's tests begin with, and what none of them may leave behind."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.exchange import Exchange


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    """Closed at the end; no task may be left, none may have ended with an error that nobody saw."""
    unseen: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unseen.append(context))
    exchange = Exchange()
    yield exchange
    await exchange.close()
    await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left, left
    assert not unseen, unseen
