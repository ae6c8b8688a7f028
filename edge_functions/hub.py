"""All open sockets of a process: who hears a notification, and what each socket's worker does about it.

A notification carries a group and a seq, a device whose key packages, or a user whose devices changed, and nothing
else. It is heard once per process (listener.py). Messages go to sockets through their group's feed (feeds.py), what
changed in a group is told by changes.py.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine
from typing import Any

from edge_functions.changes import Changes
from edge_functions.db import Database
from edge_functions.errors import ServiceError, defect
from edge_functions.feeds import Feeds
from edge_functions.listener import Listener
from edge_functions.settings import Settings
from edge_functions.sockets import INVITATIONS, KEY_PACKAGES, Socket, Waiting, frame

_log = logging.getLogger("edge_functions")


class Hub:
    """All open sockets of this process."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._retry = settings.listen_retry_seconds
        self._stall = settings.stall_seconds
        self._sockets: set[Socket] = set()
        self._by_news: dict[str, set[Socket]] = {}
        """By notification, who hears it (`Socket.news`): one word must not cost a look at every socket."""
        self.waiting = Waiting(settings.queues_bytes)
        self._feeds = Feeds(db, self._retry, self._spawn)
        self._changes = Changes(db, self._retry, self._sockets, self._feeds)
        self._listener = Listener(db, self._retry, self._hear, self._look_again)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen; returns when it does."""
        self._spawn(self._listener.run())
        self._spawn(self._changes.follow())
        self._spawn(self._watch_readers())
        await self._listener.listening.wait()

    async def stop(self) -> None:
        """Stop listening; sockets are closed by who opened them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def listening(self) -> bool:
        """True while changes are heard of."""
        return self._listener.listening.is_set()

    @property
    def open_sockets(self) -> int:
        """How many there are in this process."""
        return len(self._sockets)

    @property
    def waiting_frames(self) -> int:
        """In the queues of all of them."""
        return sum(len(socket.outbox) for socket in self._sockets)

    def add(self, socket: Socket) -> None:
        """From now on `socket` hears of changes; its worker has to run `work`."""
        self._sockets.add(socket)
        for news in socket.news:
            self._by_news.setdefault(news, set()).add(socket)

    def remove(self, socket: Socket) -> None:
        """Forget it."""
        self._sockets.discard(socket)
        for news in socket.news:
            if (hearers := self._by_news.get(news)) is not None:
                hearers.discard(socket)
                if not hearers:
                    del self._by_news[news]
        for group in list(socket.positions):
            self._feeds.drop(socket, group)

    def end_sessions(self, sessions: list[str]) -> None:
        """Close the sockets of sessions that were signed out; other processes hear of it as this one does of theirs."""
        for socket in self._sockets:
            if socket.session_id in sessions:
                socket.outbox.fail(ServiceError(401, "no_session"))

    # ---- a socket's worker

    async def work(self, socket: Socket) -> None:
        """A socket's own worker: does what was asked of it, one after the other. Ends with a `ServiceError`."""
        while True:
            work = await socket.next_work()
            try:
                await self._do(socket, work)
            except ServiceError as error:
                if error.code == "not_a_member" and work is not None:
                    self._feeds.drop(socket, work)
                elif error.code == "unavailable":
                    await asyncio.sleep(self._retry)
                    socket.ask(work)
                else:
                    raise

    async def _do(self, socket: Socket, work: str | None) -> None:
        if work is None:
            await self._changes.refresh(socket)
        elif work == KEY_PACKAGES:
            stock = await self._db.value("select coterie.key_packages_count_v1($1)", socket.claims)
            socket.tell_stock(json.loads(stock))
        elif work == INVITATIONS:
            await self._changes.tell_invitations(socket)
        else:
            await self._feeds.catch_up(socket, work)

    async def _watch_readers(self) -> None:
        while True:
            await asyncio.sleep(self._stall / 4)
            self.waiting.end_stalled(self._stall)

    # ---- what is heard

    def _look_again(self) -> None:
        """Announcements may have been missed: check every socket and feed."""
        for socket in self._sockets:
            socket.ask(None)
        self._feeds.look_again()

    def _hear(self, payload: str) -> None:
        group, _, seq = payload.partition(":")
        if group in ("user", "packages"):
            self._hear_of_devices(group, payload)
        elif group == "session":
            self.end_sessions([seq])
        elif seq == "0":
            self._changes.note(group)
        else:
            self._feeds.hear(group, seq)

    def _hear_of_devices(self, what: str, payload: str) -> None:
        for socket in self._by_news.get(payload, ()):
            if what == "packages":
                socket.ask(KEY_PACKAGES)
            else:
                socket.outbox.push(frame("device_changed"))
                socket.ask(None)  # the database will say whether this one was revoked

    # ---- tasks

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("Delivery: %s", defect(error))
