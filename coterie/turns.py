"""Turns of the engine: each is saved, and only then are its effects carried out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from coterie.core.effects import Effect, Show, Step
from coterie.core.engine import Engine
from coterie.core.mls import Mls
from coterie.errors import CoterieError, StorageError, StorageLost
from coterie.ports import TABLES, Clock, Store

log = logging.getLogger("coterie")

T = TypeVar("T")

DEFECT = "Something went wrong in Coterie itself. Reload to go on."
IN_MEMORY = tuple(table for table in TABLES if table != "messages")
ENDS = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)
"""What is raised where this process is about to end: nothing can be waited for then."""


class Turns:
    """An engine over a store: one turn at a time, in memory what is on the disk, and tasks that end with it."""

    def __init__(
        self, *, mls: Mls, store: Store, clock: Clock, on_event: Callable[[dict[str, Any]], None]
    ) -> None:
        self._mls = mls
        self._store = store
        self._clock = clock
        self._on_event = on_event
        self._engine = Engine.load(mls, {})
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: set[asyncio.Future[Any]] = set()
        self._stopping = False
        self._lost: StorageError | None = None
        """Why this device's state can't be changed any more."""
        self._defect = ""
        """What ended the last turn that came to nothing by a defect: it may come again every few seconds, and is logged
        once.
        """
        self._passed_over = False
        """Whether the user was told of a defect that `_hear` passed over."""

    async def over(self) -> bool:
        """Whether a client that starts anew may go on where this one can't: its state can't be changed any more, or a
        group met a defect. Not where another writer has taken the state over: that one goes on.
        """
        async with self._turn:
            code = self._lost.code if self._lost else ""
            return code not in ("", "storage_lost") or self._engine.met_defect

    async def _do(self, work: Callable[[Engine, int], Step]) -> None:
        """Run one change, save it, carry out its effects."""

        def with_none(engine: Engine, now: int) -> tuple[Step, None]:
            return work(engine, now), None

        await self._run(with_none)

    async def _hear(self, work: Callable[[Engine, int], Step]) -> None:
        """Run a change that the service brings. A defect in it is told and passed over: the same would only come again,
        and must not keep from being heard what else there is, of other groups above all.
        """
        try:
            await self._do(work)
        except CoterieError as error:
            if error.code != "internal":
                raise
            if not self._passed_over:
                self.problem(error.code, error.sentence)
            self._passed_over = True

    async def _run(self, work: Callable[[Engine, int], tuple[Step, T]]) -> T:
        """One turn, in a task of its own: whoever waits for it may be cancelled, saving and acting go on."""
        turn = asyncio.ensure_future(self._one_turn(work))
        self._turns.add(turn)
        turn.add_done_callback(self._turns.discard)
        try:
            return await asyncio.shield(turn)
        except asyncio.CancelledError:
            turn.add_done_callback(_unheard)
            raise

    async def _one_turn(self, work: Callable[[Engine, int], tuple[Step, T]]) -> T:
        async with self._turn:
            if self._lost:
                raise self._lost
            step, result = self._worked(work)
            if step.changes:
                await self._save(step)
            for effect in step.effects:
                self._perform(effect)
        return result

    def _worked(self, work: Callable[[Engine, int], tuple[Step, T]]) -> tuple[Step, T]:
        """What the engine answers. Raises `CoterieError`, `internal` for a defect: the engine has changed nothing then,
        and whoever asked goes on as after any other turn that came to nothing.
        """
        try:
            return work(self._engine, self._clock.now())
        except (CoterieError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in the binding is one
            self._log(error)
            raise CoterieError("internal", DEFECT) from error

    def _log(self, defect: BaseException) -> None:
        if repr(defect) != self._defect:
            log.error("a turn came to nothing", exc_info=defect)
        self._defect = repr(defect)

    async def _save(self, step: Step) -> None:
        """Write what a turn changed. Raises `StorageError`."""
        async with self._saving():
            await self._store.commit(step.changes)

    @asynccontextmanager
    async def _saving(self) -> AsyncIterator[None]:
        """Around whatever the store writes. Raises `StorageError`, `internal` where it failed as nobody foresaw: memory
        has what is on the disk again then, or serves for no other turn.
        """
        try:
            yield
        except StorageLost as error:
            self._lost = error  # another writer has the state: this one must not go on from what it remembers
            raise
        except StorageError as error:
            await self._go_back(error)
            raise
        except ENDS:  # nobody knows whether it was written
            self._lost = StorageError("internal", DEFECT)
            raise
        except BaseException as error:
            self._log(error)
            failed = StorageError("internal", DEFECT)
            await self._go_back(failed)
            raise failed from error

    async def _go_back(self, error: StorageError) -> None:
        """To what is stored: memory must not know more than the disk. Raises `StorageError`."""
        self._lost = error  # stands if the state can't be read either
        before = self._engine
        try:
            await self._reload()
        except (CoterieError, *ENDS):
            raise
        except BaseException as failed:
            raise error from failed
        self._reloaded(before)
        self._lost = None

    def _reloaded(self, before: Engine) -> None:
        """Another engine is in the place of `before`: it has the rows, and nothing that was known beside them."""

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, Show):
            self._show(effect.event)
        elif not self._stopping:  # else it is found again in the stored state at the next start
            self._begin(effect)

    def _begin(self, effect: Effect) -> None:
        """Carry out an effect that goes out of this process."""
        raise NotImplementedError

    # -- tasks --

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that ends with this client; its errors are told."""
        return self._guard(work)

    def _guard(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A background task whose end by an error is told, never swallowed."""

        async def run() -> None:
            try:
                await work
            except Exception as error:
                known = _known(error)
                if known is None:
                    log.exception("a background task ended")
                    self.problem("internal", DEFECT)
                else:
                    self.problem(known.code, known.sentence)

        task = asyncio.ensure_future(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # cancelled before its first step, nobody awaited it
        return task

    def problem(self, code: str, sentence: str) -> None:
        """Tell the page what belongs to no line."""
        self._show({"event": "problem", "code": code, "sentence": sentence})

    def _show(self, event: dict[str, Any]) -> None:
        try:
            self._on_event(event)
        except Exception:  # a page that fails to draw must not keep what was saved from going out
            log.exception("the page failed to take an event")

    async def _reload(self) -> None:
        """The engine as the store has it."""
        rows = await asyncio.gather(*(self._store.load(table) for table in IN_MEMORY))
        self._engine = Engine.load(self._mls, dict(zip(IN_MEMORY, rows, strict=True)))

    async def _stop(self) -> None:
        """End all tasks. A turn that has begun is saved to its end."""
        self._stopping = True
        while pending := [task for task in (*self._tasks, *self._turns) if not task.done()]:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)


def _unheard(turn: asyncio.Future[Any]) -> None:
    """Log how a turn failed that nobody waits for any more; whoever does the same again is told."""
    error = None if turn.cancelled() else turn.exception()
    if isinstance(error, CoterieError):
        log.info("a turn failed: %s", error.code)
    elif error is not None:
        log.error("a turn failed", exc_info=error)


def _known(error: BaseException) -> CoterieError | None:
    """The error of ours in an exception, or in a task group's bundle of them."""
    if isinstance(error, BaseExceptionGroup):
        return next((known for one in error.exceptions if (known := _known(one))), None)
    return error if isinstance(error, CoterieError) else None
