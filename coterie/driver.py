"""The driver: listens, posts, and gives the engine what comes of it (turns.py saves each step before it acts)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from coterie.calls import RECORD, Calls
from coterie.core.effects import (
    Acknowledge,
    Call,
    CatchUp,
    Drain,
    Effect,
    LookAgain,
    MakePackages,
    Step,
)
from coterie.core.engine import Engine
from coterie.core.mls import Mls
from coterie.errors import (
    CoterieError,
    Refused,
    StorageError,
    StorageLost,
    Unreachable,
)
from coterie.looking import last_seq
from coterie.ports import Answer, Clock, Store, Transport
from coterie.posting import Posting
from coterie.progress import Progress
from coterie.session import EARLY
from coterie.sync import Sync
from coterie_wire import Envelope

TICK = 5
"""Seconds between looks at what time brings."""
BEFORE_PACKAGES = 2
"""Seconds before key packages are made: what the user waits for comes first."""
BETWEEN_PACKAGES = 0.05
"""Seconds between two slices of them, for whatever else there is to do."""


class Driver(Calls):
    """Everything that one device does by itself: listens, posts, saves, tells."""

    def __init__(
        self,
        *,
        mls: Mls,
        store: Store,
        transport: Transport,
        clock: Clock,
        on_event: Callable[[dict[str, Any]], None],
        service_url: str,
        device_name: str = "Coterie",
    ) -> None:
        super().__init__(
            mls=mls,
            store=store,
            transport=transport,
            clock=clock,
            on_event=on_event,
            device_name=device_name,
        )
        self._origin = service_url
        self._sync = Sync(self, transport, clock)
        self._posting = Posting(self, clock)
        self._progress = Progress(lambda group_id: last_seq(self, group_id), self.spawn, self._show)
        self._running = False
        """Whether listening, posting and ticking have begun."""
        self._making: asyncio.Task[None] | None = None
        """Makes key packages."""

    # -- life --

    async def start(self) -> dict[str, Any]:
        """Load the state and go online. Raises `StorageError`."""
        await self._reload()
        if self._engine.damage:
            self.problem("damaged", self._engine.damage)
        self._go_online()
        return self._engine.snapshot(self._sync.state)

    async def close(self) -> None:
        """Stop everything; what waits in the outbox goes next time."""
        await self._stop()
        await self._transport.close()
        await self._store.close()

    async def _stop(self) -> None:
        await super()._stop()
        self._running = False

    def _go_online(self) -> None:
        """Begin to listen and to post, once this device is registered."""
        engine = self._engine
        if self._running or engine.read_only or not (engine.registered and engine.session):
            return
        self._running = True
        self._guard(self._do(lambda engine, now: engine.online(now)))
        engine.await_record()
        self._guard(self._listen())
        self._guard(self._keep_ticking())
        for lane in engine.lanes():
            self._posting.wake(lane)

    async def _listen(self) -> None:
        """Hear what comes, after the service's record of this device was held against its state."""
        try:
            await self._call_once(RECORD, {})
        except StorageLost:
            raise
        except CoterieError as error:  # the record is still awaited: the next tick asks again
            self.problem(error.code, error.sentence)
        await self._sync.run()

    def _reloaded(self, before: Engine) -> None:
        """As at the start: the service is asked before anything is posted, and tells everything on another socket.

        The next tick asks, not this: an answer that can't be saved either would be asked for again in a circle.
        """
        if self._running:
            self._engine.await_record()
            self._engine.packages.looked = before.packages.looked
            self._guard(self._sync.again())

    def _begin(self, effect: Effect) -> None:
        match effect:
            case Drain(lane):
                self._wake(lane)
            case CatchUp(group_id):
                self._sync.catch_up(group_id)
            case Acknowledge(group_id, seq):
                self._guard(self._sync.acknowledge(group_id, seq))
            case Call(function, body):
                self._guard(self._call_once(function, body))
            case LookAgain(at):
                self._guard(self._look_again(at))
            case MakePackages():
                self._begin_packages()

    def _wake(self, lane: bytes) -> None:
        if self._engine.registered:
            self._posting.wake(lane)

    def _begin_packages(self) -> None:
        if self._making is None or self._making.done():
            self._making = self._guard(self._make_packages())

    # -- what the session and the sync ask for --

    async def device_revoked(self) -> None:
        """The service says that this device was taken out of use."""
        await self._session_over("device_revoked")

    async def _session_over(self, code: str) -> None:
        await super()._session_over(code)
        await self._sync.again()  # what is still open without a session is closed to this device

    def devices_changed(self) -> None:
        """The user's devices are not what they were: tell the page."""
        self._show({"event": "devices_changed"})

    async def cursors(self) -> dict[str, int]:
        """The saved cursor of every group that delivers: between turns, as one that can't be saved never was.

        Raises `StorageError` when this device's state can't be changed any more.
        """
        async with self._turn:
            if self._lost:
                raise self._lost
            return self._engine.cursors()

    def open_joins(self) -> list[str]:
        """Own joins that wait."""
        return self._engine.open_joins()

    async def take_envelope(self, envelope: Envelope, *, after: int | None = None) -> None:
        """One envelope of the stream, or of a page that has all there is `after` a cursor.

        A group whose keys are damaged, or with a defect, stops no other.
        """

        def take(engine: Engine, now: int) -> Step:
            # The service may have gone back since the page was asked for: what comes before it is no gap then.
            paged = after is not None and engine.cursors().get(envelope.group_id, 0) >= after
            return engine.receive(envelope, now, paged=paged)

        try:
            await self._twice(take)
            if envelope.group_id not in self._engine.up_to_date:
                self._progress.took(envelope.group_id, self._engine.cursors().get(envelope.group_id, 0))
        except CoterieError as error:
            if error.code not in ("corrupt_row", "internal"):
                raise
            whole = error.code == "internal"
            await self._do(lambda engine, now: engine.set_aside(envelope.group_id, now, whole=whole))
            if whole:
                self.problem(error.code, error.sentence)
            else:
                self.problem("damaged", self._engine.damage)

    async def _twice(self, work: Callable[[Engine, int], Step]) -> None:
        """A turn that is tried once more when the store failed as nobody foresaw: that may have passed."""
        try:
            await self._do(work)
        except StorageError as error:
            if error.code != "internal":
                raise
            await self._do(work)

    async def take_welcome(self, answer: dict[str, Any]) -> None:
        """How an own join stands."""
        await self._hear(lambda engine, now: engine.polled(answer, now))

    async def take_joins(self, joins: list[Any]) -> None:
        """Joins that wait in the groups of this device."""
        await self._hear(lambda engine, now: engine.joins_waiting(joins, now))

    async def take_invitations(self, welcomes: list[Any]) -> None:
        """Welcomes that this device did not ask for."""
        await self._hear(lambda engine, now: engine.invited(welcomes, now))

    async def take_stock(self, stock: dict[str, Any]) -> None:
        """How many key packages the service has."""
        await self._hear(lambda engine, now: engine.stock_told(stock, now))

    async def _make_packages(self) -> None:
        await self._clock.sleep(BEFORE_PACKAGES)
        while await self._run(lambda engine, now: engine.make_packages(now)):
            await self._clock.sleep(BETWEEN_PACKAGES)

    async def take_caught_up(self, group_id: str, seq: int) -> None:
        """All of a group up to `seq` was handed over, and what follows is of now."""
        await self._hear(lambda engine, now: engine.caught_up(group_id, seq, now))
        if group_id in self._engine.up_to_date:
            self._progress.arrived(group_id)

    async def service_went_back(self, group_id: str, last_seq: int) -> None:
        """The service has less of a group than it had."""
        await self._hear(lambda engine, now: engine.went_back(group_id, last_seq, now))

    def connection_lost(self) -> None:
        """What happens from now on is not heard of."""
        self._engine.connection_lost()

    def connection_changed(self, state: str) -> None:
        """Tell the page."""
        self._show({"event": "connection", "state": state})

    def back_online(self) -> None:
        """What waited for the service need not wait longer."""
        self._posting.back_online()
        if self._engine.standing.awaited:
            self._guard(self._call_once(RECORD, {}))

    # -- posting --

    async def next_post(self, lane: bytes) -> tuple[bytes, str, dict[str, Any]] | None:
        """What to post next in a lane, of what is saved."""
        async with self._turn:
            return None if self._lost else self._engine.next_post(lane)

    async def posted(self, key: bytes, answer: Answer) -> None:
        """A final answer."""
        await self._do(lambda engine, now: engine.posted(key, answer.status, answer.body, now))

    async def _keep_ticking(self) -> None:
        failing = False
        while True:
            await self._clock.sleep(TICK)
            try:
                await self._do(lambda engine, now: engine.tick(now))
                await self._fresh_token()
                failing = False
            except StorageLost:
                raise
            except CoterieError as error:
                if not failing:
                    self.problem(error.code, error.sentence)
                failing = True

    async def _look_again(self, at: int) -> None:
        await self._clock.sleep(max(0, at - self._clock.now()) / 1000)
        await self._do(lambda engine, now: engine.tick(max(now, at)))

    async def _fresh_token(self) -> None:
        session = self._engine.session
        if session is None or session.expires_at - self._clock.now() / 1000 >= EARLY:
            return
        try:
            await self._sync.new_token(await self._sessions.token())
        except Unreachable:
            return  # the next tick tries again
        except Refused as error:
            await self._was_over(error)
