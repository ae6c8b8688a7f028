"""Fan-out: one LISTEN per process, one query per group and wake-up, however many sockets it serves.

A notification carries a group and a seq, a device whose key packages, or a user whose devices changed, and nothing
else. What a socket gets was listed for it by the database, in the same snapshot as the rows. A socket first catches
up with queries of its own device; it turns live in the moment when its position equals the feed's, so that nothing
is missed and nothing comes twice. Whenever in doubt it falls back to catching up, from its own position.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine
from typing import Any

import asyncpg

from edge_functions.db import Database
from edge_functions.errors import ServiceError, defect
from edge_functions.metrics import fanned_out
from edge_functions.settings import Settings
from edge_functions.sockets import INVITATIONS, KEY_PACKAGES, Position, Socket, Waiting, envelope_frame, frame

_CHECK_SECONDS = 15
_PAGE = 200
_PENDING_AT_ONCE = 10
"""More new joins than this are told by the socket's own worker, at its reader's pace."""
_log = logging.getLogger("edge_functions")


class Feed:
    """One group's sockets in this process, and how far the live ones were served."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.sockets: set[Socket] = set()
        self.position: int | None = None
        """Seq up to which every live socket was served; None while none is live."""
        self.heard = 0
        """Highest seq that was announced."""
        self.recheck = False
        """Announcements may have been missed."""
        self.running = False

    def live(self) -> list[Socket]:
        """Sockets that are served from here."""
        return [one for one in self.sockets if one.positions[self.group].live]

    def behind(self) -> bool:
        """True when there may be rows that the live sockets lack."""
        return self.position is not None and (self.recheck or self.heard > self.position)


class Hub:
    """All open sockets of this process."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._retry = settings.listen_retry_seconds
        self._stall = settings.stall_seconds
        self._sockets: set[Socket] = set()
        self._by_news: dict[str, set[Socket]] = {}
        """By notification, who hears it (`Socket.news`): one word must not cost a look at every socket."""
        self._feeds: dict[str, Feed] = {}
        self._changed: asyncio.Queue[str] = asyncio.Queue()
        self._changed_groups: set[str] = set()
        self._told: dict[str, list[str]] = {}
        """By group, the news of its joins that all open sockets have heard: a change is told, not everything again."""
        self.waiting = Waiting(settings.queues_bytes)
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening = asyncio.Event()

    async def start(self) -> None:
        """Begin to listen; returns when it does."""
        self._spawn(self._listen())
        self._spawn(self._follow_changes())
        self._spawn(self._watch_readers())
        await self._listening.wait()

    async def stop(self) -> None:
        """Stop listening; sockets are closed by who opened them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def listening(self) -> bool:
        """True while changes are heard of."""
        return self._listening.is_set()

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
            self._drop(socket, group)

    def end_sessions(self, sessions: list[str]) -> None:
        """Close the sockets of sessions that were signed out; other processes hear of it as this one does of theirs."""
        for socket in self._sockets:
            if socket.session_id in sessions:
                socket.outbox.fail(ServiceError(401, "no_session"))

    async def work(self, socket: Socket) -> None:
        """A socket's own worker: catches up with one group after the other. Ends with a `ServiceError`."""
        while True:
            group = await socket.next_work()
            try:
                await self._do(socket, group)
            except ServiceError as error:
                if error.code == "not_a_member" and group is not None:
                    self._drop(socket, group)
                elif error.code == "unavailable":
                    await asyncio.sleep(self._retry)
                    socket.ask(group)
                else:
                    raise

    async def _do(self, socket: Socket, work: str | None) -> None:
        if work is None:
            await self.refresh(socket)
        elif work == KEY_PACKAGES:
            stock = await self._db.value("select coterie.key_packages_count_v1($1)", socket.claims)
            socket.tell_stock(json.loads(stock))
        elif work == INVITATIONS:
            await self._tell_invitations(socket)
        else:
            await self._catch_up(socket, work)

    async def refresh(self, socket: Socket) -> None:
        """Compare the socket with what the database says now."""
        state = json.loads(await self._db.value("select coterie.deliver_open_v1($1)", socket.claims))
        if state["device_id"] != socket.device_id:
            raise ServiceError(401, "no_session", "This session was bound to another device.")
        for one in state["groups"]:
            self._place(socket, one["group_id"], one["from_seq"], one["until_seq"])
        for group in socket.positions.keys() - {one["group_id"] for one in state["groups"]}:
            self._drop(socket, group)
        for join in state["pending"]:
            await socket.outbox.room()
            socket.tell_once(join, frame("join_waiting", join=join))
        for join in state["joins"]:
            await socket.outbox.room()
            socket.tell_once(join, frame("welcome", **join))
        socket.tell_stock(state["stock"])
        if state["invited"]:
            await self._tell_invitations(socket)

    async def _tell_invitations(self, socket: Socket) -> None:
        listed = await self._db.value("select coterie.welcomes_list_v1($1, null)", socket.claims)
        for invitation in json.loads(listed)["welcomes"]:
            await socket.outbox.room()
            socket.tell_invitation(invitation)

    # ---- where a socket stands

    def _place(self, socket: Socket, group: str, from_seq: int, until_seq: int | None) -> None:
        """Give the socket a position in a group, or correct the one that it has."""
        position = socket.positions.get(group)
        if position is None:
            if until_seq is not None and group not in socket.cursors:
                return  # left long ago, and the client does not ask for it
            position = socket.positions[group] = Position(max(socket.cursors.get(group, 0), from_seq - 1))
        position.sent = max(position.sent, from_seq - 1)
        position.until = until_seq
        if until_seq is not None or not position.live:
            socket.fall_back(group)

    def _drop(self, socket: Socket, group: str) -> None:
        position = socket.positions.pop(group, None)
        if position is not None:
            socket.cursors[group] = position.sent
        feed = self._feeds.get(group)
        if feed is not None:
            feed.sockets.discard(socket)
            if not feed.sockets:
                del self._feeds[group]

    async def _catch_up(self, socket: Socket, group: str) -> None:
        position = socket.positions.get(group)
        if position is None or position.live:
            return
        feed = self._feeds.setdefault(group, Feed(group))
        feed.sockets.add(socket)
        most = _PAGE
        while True:
            await socket.outbox.room()
            last, most = await self._send_page(socket, group, position, most)
            if socket.positions.get(group) is not position:
                return
            if position.sent < last:
                continue
            if position.until is not None:
                socket.outbox.push(frame("removed", group_id=group, until_seq=position.until))
                self._drop(socket, group)
                return
            if self._turn_live(feed, position, last):
                socket.outbox.push(frame("caught_up", group_id=group, seq=last))
                return

    async def _send_page(self, socket: Socket, group: str, position: Position, most: int) -> tuple[int, int]:
        """Send what the device may have beyond its position, as much as there is room for.

        Returns the group's last seq, and how many to ask for next time: what there was no room for is read again.
        """
        statement = "select coterie.get_messages_v1($1, $2, $3, $4)"
        page = json.loads(await self._db.value(statement, socket.claims, group, position.sent, most))
        for number, envelope in enumerate(page["envelopes"]):
            if not socket.outbox.has_room:
                return int(page["last_seq"]), max(1, number)
            socket.outbox.push(frame("envelope", envelope=envelope))
            position.sent = envelope["seq"]
        return int(page["last_seq"]), min(_PAGE, 2 * most)

    def _turn_live(self, feed: Feed, position: Position, last: int) -> bool:
        """Join the feed if the position, `last`, is not behind it: no `await` between this check and its effect."""
        if feed.position is None:
            feed.position = last
        if last < feed.position:
            return False
        position.live = True
        self._wake(feed)
        return True

    # ---- new messages

    def _wake(self, feed: Feed) -> None:
        if not feed.running and feed.behind():
            feed.running = True
            self._spawn(self._serve(feed))

    async def _serve(self, feed: Feed) -> None:
        """Query and deliver until the live sockets have all that was announced."""
        try:
            while feed.behind():
                sockets = feed.live()
                if not sockets:
                    feed.position = None
                    break
                feed.recheck = False
                try:
                    await self._deliver(feed, feed.position, sockets)
                except ServiceError as error:
                    if error.code != "unavailable":
                        raise
                    feed.recheck = True
                    await asyncio.sleep(self._retry)
        except Exception:  # a defect: each socket looks for itself, and ends if it meets the same
            for socket in feed.live():
                socket.fall_back(feed.group)
            raise
        finally:
            feed.running = False

    async def _deliver(self, feed: Feed, position: int | None, sockets: list[Socket]) -> None:
        announced = feed.heard
        keys = {one.key for one in sockets}
        row = await self._db.row(
            "select * from coterie.fan_out_v1($1, $2, $3, $4)",
            feed.group, position, [device for device, _ in keys], [session for _, session in keys],
        )  # fmt: skip
        members = {
            (device, session): (alive, first, until)
            for device, session, alive, first, until in json.loads(row["members"])
        }
        frames = [
            (seq, envelope_frame(text)) for seq, text in zip(row["seqs"], row["envelopes"], strict=True)
        ]
        if frames:
            feed.position = frames[-1][0]
        elif (
            feed.heard == announced
        ):  # of a log that a standby without its end took over: do not ask for ever
            feed.heard = position or 0
        feed.heard = max(feed.heard, row["last_seq"] or 0)
        for socket in feed.live():
            self._deliver_to(feed, socket, members.get(socket.key), frames)
        fanned_out(row["envelopes"])

    def _deliver_to(
        self,
        feed: Feed,
        socket: Socket,
        member: tuple[bool, int | None, int | None] | None,
        frames: list[tuple[int, str]],
    ) -> None:
        position = socket.positions[feed.group]
        if member is None:  # turned live while the query ran
            socket.fall_back(feed.group)
            return
        alive, first, until = member
        if not alive:
            socket.ask(None)  # the database will say which it is: revoked or signed out
            socket.fall_back(feed.group)
        elif first is None:
            self._drop(socket, feed.group)
        elif until is not None:
            position.until = until
            socket.fall_back(feed.group)
        else:
            self._push(feed, socket, position, frames, first)

    def _push(
        self, feed: Feed, socket: Socket, position: Position, frames: list[tuple[int, str]], first: int
    ) -> None:
        for seq, text in frames:
            if seq <= position.sent or seq < first:
                continue
            # a gap: never jump over it; or a slow reader, for whom what comes must not wait in memory
            if seq != position.sent + 1 or not socket.outbox.has_room:
                socket.fall_back(feed.group)
                return
            socket.outbox.push(text)
            position.sent = seq

    # ---- rosters, joins and Welcomes

    async def _follow_changes(self) -> None:
        while True:
            group = await self._changed.get()
            self._changed_groups.discard(group)
            try:
                await self._tell_changes(group)
            except ServiceError as error:
                _log.warning("Changes of a group could not be told: %s", error.code)
                await asyncio.sleep(self._retry)
                self._note_change(group)
            except Exception as error:  # noqa: BLE001 - one group's trouble must not silence the others
                _log.error("Delivery: %s", defect(error))

    def _note_change(self, group: str) -> None:
        if self._sockets and group not in self._changed_groups:
            self._changed_groups.add(group)
            self._changed.put_nowait(group)

    async def _tell_changes(self, group: str) -> None:
        by_key: dict[tuple[str, str], list[Socket]] = {}
        for socket in self._sockets:
            by_key.setdefault(socket.key, []).append(socket)
        devices, sessions = [device for device, _ in by_key], [session for _, session in by_key]
        changes = json.loads(
            await self._db.value(
                "select coterie.changes_v1($1, $2, $3, $4)",
                group,
                devices,
                sessions,
                self._told.get(group, []),
            )
        )
        pending = [(join, frame("join_waiting", join=join)) for join in changes["pending"]]
        for device, session, *member in changes["members"]:
            for socket in by_key[device, session]:
                if socket in self._sockets:
                    self._tell_member(socket, group, member, pending)
        self._tell_joiners(by_key, changes)
        self._told.pop(group, None)
        if changes["news"]:
            self._told[group] = changes["news"]

    @staticmethod
    def _tell_joiners(by_key: dict[tuple[str, str], list[Socket]], changes: dict[str, Any]) -> None:
        for device, session, join in changes["joins"]:
            for socket in by_key[device, session]:
                socket.tell_once(join, frame("welcome", **join))
        for device, session in changes["invited"]:
            for socket in by_key[device, session]:
                socket.ask(INVITATIONS)

    def _tell_member(
        self, socket: Socket, group: str, member: list[Any], pending: list[tuple[dict[str, Any], str]]
    ) -> None:
        alive, from_seq, until_seq, joined = member
        if not alive:
            socket.ask(None)  # the database will say which it is: revoked or signed out
        elif not joined:
            self._drop(socket, group)  # added anew: delivery begins again with group_join
        else:
            entered = group not in socket.positions
            self._place(socket, group, from_seq, until_seq)
            if until_seq is not None:
                return
            if entered or len(pending) > _PENDING_AT_ONCE:  # whoever enters hears of all that wait
                socket.ask(None)
                return
            for join, text in pending:
                socket.tell_once(join, text)

    # ---- listening

    async def _listen(self) -> None:
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
            self._listening.set()
            while not closed.is_set():
                try:
                    async with asyncio.timeout(_CHECK_SECONDS):
                        await closed.wait()
                except TimeoutError:
                    await connection.execute("select 1", timeout=_CHECK_SECONDS)
        finally:
            self._listening.clear()
            connection.terminate()

    async def _watch_readers(self) -> None:
        while True:
            await asyncio.sleep(self._stall / 4)
            self.waiting.end_stalled(self._stall)

    def _look_again(self) -> None:
        """Announcements may have been missed: check every socket and feed."""
        for socket in self._sockets:
            socket.ask(None)
        for feed in self._feeds.values():
            feed.recheck = True
            self._wake(feed)

    def _hear(self, payload: str) -> None:
        group, _, seq = payload.partition(":")
        if group in ("user", "packages"):
            self._hear_of_devices(group, payload)
        elif group == "session":
            self.end_sessions([seq])
        elif seq == "0":
            self._note_change(group)
        elif (feed := self._feeds.get(group)) is not None:
            feed.heard = max(feed.heard, int(seq))
            self._wake(feed)

    def _hear_of_devices(self, what: str, payload: str) -> None:
        for socket in self._by_news.get(payload, ()):
            if what == "packages":
                socket.ask(KEY_PACKAGES)
            else:
                socket.outbox.push(frame("device_changed"))
                socket.ask(None)  # the database will say whether this one was revoked

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("Delivery: %s", defect(error))
