"""A process must not stay deaf, whatever happens to its connection."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from edge_functions.listener import Listener


class Connection:
    """Of asyncpg; `end` is what the server does to it."""

    def __init__(self) -> None:
        self.terminated = False

    def add_termination_listener(self, callback: Callable[[Any], None]) -> None:
        self.end = lambda: callback(self)

    async def add_listener(self, _channel: str, callback: Callable[..., None]) -> None:
        self.notify = lambda payload: callback(self, 0, "coterie", payload)

    def terminate(self) -> None:
        self.terminated = True


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("a defect")])
async def test_who_cannot_listen_tries_again(error: Exception) -> None:
    connection = Connection()
    answers = [error, error, connection]
    heard: list[str] = []

    async def connect() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    db: Any = SimpleNamespace(listener=connect)
    listener = Listener(db, 0.001, heard.append, lambda: heard.append("anything"))
    task = asyncio.create_task(listener.run())
    async with asyncio.timeout(10):
        await listener.listening.wait()
    connection.notify("a group:1")
    assert (answers, heard) == ([], ["anything", "a group:1"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert connection.terminated
    assert not listener.listening.is_set()


async def test_after_a_connection_ended_everything_is_looked_at_again() -> None:
    """What was said in between was heard by nobody."""
    connections: list[Connection] = []
    looked: asyncio.Queue[int] = asyncio.Queue()

    async def connect() -> Any:
        connections.append(Connection())
        return connections[-1]

    db: Any = SimpleNamespace(listener=connect)
    listener = Listener(db, 0.001, lambda _text: None, lambda: looked.put_nowait(len(connections)))
    task = asyncio.create_task(listener.run())
    async with asyncio.timeout(10):
        assert await looked.get() == 1
        connections[0].end()
        assert await looked.get() == 2
    assert connections[0].terminated
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
