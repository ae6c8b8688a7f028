"""Messages that arrive together share a transaction (docs/adr/0016-appends-together.md).

A message that finds nobody waiting goes at once. While the batches that may run at a time are running, others gather.
A group is in one batch at a time: this process never waits for itself, and a group's messages keep their order.
"""

import asyncio
import itertools
import logging
from collections import deque
from dataclasses import dataclass, field

from edge_functions.db import Database
from edge_functions.errors import ServiceError, defect

_BATCHES = 2
"""At a time, of the pool's connections: the rest is for everything else. One is written while the next one gathers."""
_GROUPS = 16
"""In a batch. Larger ones would leave this process idle while the database works."""
_MESSAGES = 32
_BYTES = 512 * 1024
"""In a batch; one message may be larger and then goes alone."""
_log = logging.getLogger("edge_functions")


@dataclass(slots=True, eq=False)
class Append:
    """A message whose framing was found to be that of the request."""

    claims: str
    group: str
    epoch: int
    message_id: str
    counter: int
    body: bytes
    answer: "asyncio.Future[str | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    """None: not taken; `send_message_v1` says why."""


class Appends:
    """What waits to be appended in this process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._ready: dict[str, deque[Append]] = {}
        """By group, longest waiting first; none of these groups is in a batch."""
        self._behind: dict[str, deque[Append]] = {}
        """Groups in a batch, and what came for them since."""
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def send(self, append: Append) -> str | None:
        """The answer as JSON text, or None when this has to be asked by itself. Raises `ServiceError`."""
        queues = self._behind if append.group in self._behind else self._ready
        queues.setdefault(append.group, deque()).append(append)
        if not self._scheduled:  # whatever else arrives in this turn of the event loop comes along
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._start)
        return await append.answer

    def _start(self) -> None:
        self._scheduled = False
        while self._ready and len(self._running) < _BATCHES:
            task = asyncio.create_task(self._run(self._next_batch()))
            self._running.add(task)
            task.add_done_callback(self._done)

    def _next_batch(self) -> list[Append]:
        batch: list[Append] = []
        size = 0
        for group in list(itertools.islice(self._ready, _GROUPS)):
            queue = self._ready[group]
            taken = len(batch)
            while queue and len(batch) < _MESSAGES and (not batch or size + len(queue[0].body) <= _BYTES):
                batch.append(queue.popleft())
                size += len(batch[-1].body)
            if len(batch) == taken:
                break
            del self._ready[group]
            self._behind[group] = queue
        return batch

    async def _run(self, batch: list[Append]) -> None:
        try:
            answers: list[str | ServiceError | None] = [*await self._write(batch)]
        except ServiceError as error:
            answers = [error] * len(batch)
        for group in {one.group for one in batch}:
            if queue := self._behind.pop(group):
                self._ready[group] = queue
        for one, answer in zip(batch, answers, strict=True):
            if one.answer.done():
                continue  # nobody waits any more
            if isinstance(answer, ServiceError):
                one.answer.set_exception(answer)
            else:
                one.answer.set_result(answer)

    async def _write(self, batch: list[Append]) -> list[str | None]:
        try:
            answers: list[str | None] = await self._db.value(
                "select coterie.send_messages_v1($1, $2, $3, $4, $5, $6)",
                f"[{','.join(one.claims for one in batch)}]",
                [one.group for one in batch],
                [one.epoch for one in batch],
                [one.message_id for one in batch],
                [one.counter for one in batch],
                [one.body for one in batch],
            )
            if len(answers) != len(batch):
                raise ValueError("One answer for each message was asked for.")
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001 - whose it is shows when each is asked by itself
            _log.error("Messages could not be appended together: %s", defect(error))
            return [None] * len(batch)
        return answers

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._start()
