"""Messages, from the log to the sockets of their group: one query per group and wake-up, however many it serves.

What a socket gets was listed for it by the database, in the same snapshot as the rows. A socket first catches up
with queries of its own device; it turns live in the moment when its position equals the feed's, so that nothing
is missed and nothing comes twice. Whenever in doubt it falls back to catching up, from its own position.

The rule that this rests on: between a look at a feed or a position and what follows from it there is no `await`, so
that meanwhile no socket turns live or leaves and no announcement is heard.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from edge_functions.db import Database
from edge_functions.errors import ServiceError
from edge_functions.metrics import fanned_out
from edge_functions.sockets import Position, Socket, envelope_frame, frame

_PAGE = 200
_EMPTY_PAGES = 2
"""So many in a row that lead nowhere: one may be older than what the feed has served."""
_Frames = list[tuple[int, str]]
"""Envelopes as JSON text, with their seq."""
_Member = tuple[bool, int | None, int | None]
"""Whether the session is alive, and the first and last seq that the device may have; no first: it is no member."""


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


class Feeds:
    """Those of a process: one for each group that a socket follows. `spawn` runs what serves one."""

    def __init__(
        self, db: Database, retry_seconds: float, spawn: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self._db = db
        self._retry = retry_seconds
        self._spawn = spawn
        self.by_group: dict[str, Feed] = {}

    # ---- where a socket stands

    def place(self, socket: Socket, group: str, from_seq: int, until_seq: int | None) -> None:
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

    def drop(self, socket: Socket, group: str) -> None:
        """The socket has no part in the group (any more); its cursor stays where it was."""
        position = socket.positions.pop(group, None)
        if position is not None:
            socket.cursors[group] = position.sent
        feed = self.by_group.get(group)
        if feed is not None:
            feed.sockets.discard(socket)
            if not feed.sockets:
                del self.by_group[group]

    async def catch_up(self, socket: Socket, group: str) -> None:
        """Send what the socket lacks, at its reader's pace, until it is live or has all that it may have."""
        position = socket.positions.get(group)
        if position is None or position.live:
            return
        feed = self.by_group.setdefault(group, Feed(group))
        feed.sockets.add(socket)
        most, empty = _PAGE, 0
        while empty < _EMPTY_PAGES:
            await socket.outbox.room()
            page = await self._page(socket, group, position, most)
            if socket.positions.get(group) is not position:
                return  # dropped, or placed anew, which has a page of its own
            last, most = self._send_page(socket, page, position, most)
            empty = 0 if page["envelopes"] else empty + 1
            if position.sent < last:
                continue
            if position.until == last:
                socket.outbox.push(frame("removed", group_id=group, until_seq=last))
                self.drop(socket, group)
                return
            if position.until is None and self._turn_live(feed, position, last):
                socket.outbox.push(frame("caught_up", group_id=group, seq=last))
                return
        await asyncio.sleep(self._retry)  # its place has changed, and the news of that is on its way
        socket.ask(None)

    async def _page(self, socket: Socket, group: str, position: Position, most: int) -> dict[str, Any]:
        """What the device may have beyond its position."""
        statement = "select coterie.get_messages_v1($1, $2, $3, $4)"
        page: dict[str, Any] = json.loads(
            await self._db.value(statement, socket.claims, group, position.sent, most)
        )
        return page

    @staticmethod
    def _send_page(socket: Socket, page: dict[str, Any], position: Position, most: int) -> tuple[int, int]:
        """Send of a page as much as there is room for.

        Returns the group's last seq, and how many to ask for next time: what there was no room for is read again.
        """
        for number, envelope in enumerate(page["envelopes"]):
            if not socket.outbox.has_room:
                return int(page["last_seq"]), max(1, number)
            socket.outbox.push(frame("envelope", envelope=envelope))
            position.sent = envelope["seq"]
        return int(page["last_seq"]), min(_PAGE, 2 * most)

    def _turn_live(self, feed: Feed, position: Position, last: int) -> bool:
        """Join the feed if the position, `last`, is not behind it."""
        if feed.position is None:
            feed.position = last
        if last < feed.position:
            return False
        position.live = True
        self._wake(feed)
        return True

    # ---- new messages

    def hear(self, group: str, seq: str) -> None:
        """A message was announced; `seq` is the notification's text."""
        if (feed := self.by_group.get(group)) is not None:
            feed.heard = max(feed.heard, int(seq))
            self._wake(feed)

    def look_again(self) -> None:
        """Announcements may have been missed."""
        for feed in self.by_group.values():
            feed.recheck = True
            self._wake(feed)

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
        if row["last_seq"] is not None and row["last_seq"] < (position or 0):
            self._went_back(feed)
            return
        envelopes = zip(row["seqs"], row["envelopes"], strict=True)
        frames = [(seq, envelope_frame(text)) for seq, text in envelopes]
        if frames:
            feed.position = frames[-1][0]
        elif feed.heard == announced:  # what was announced is not there: do not ask for ever
            feed.heard = position or 0
        feed.heard = max(feed.heard, row["last_seq"] or 0)
        for socket in feed.live():
            self._deliver_to(feed, socket, members.get(socket.key), frames)
        fanned_out(row["envelopes"])

    @staticmethod
    def _went_back(feed: Feed) -> None:
        """A standby without the log's end took over, and gives its seqs anew: the clients compare their cursors."""
        for socket in feed.live():
            socket.outbox.fail(ServiceError(503, "unavailable"))
        feed.position, feed.heard = None, 0

    def _deliver_to(self, feed: Feed, socket: Socket, member: _Member | None, frames: _Frames) -> None:
        if member is None:  # turned live while the query ran
            socket.fall_back(feed.group)
            return
        alive, first, until = member
        if not alive:
            socket.ask(None)  # the database will say which it is: revoked or signed out
            socket.fall_back(feed.group)
        elif first is None:
            self.drop(socket, feed.group)
        elif until is not None:
            socket.positions[feed.group].until = until
            socket.fall_back(feed.group)
        else:
            _push(feed.group, socket, frames, first)


def _push(group: str, socket: Socket, frames: _Frames, first: int) -> None:
    position = socket.positions[group]
    for seq, text in frames:
        if seq <= position.sent or seq < first:
            continue
        # a gap: never jump over it; or a slow reader, for whom what comes must not wait in memory
        if seq != position.sent + 1 or not socket.outbox.has_room:
            socket.fall_back(group)
            return
        socket.outbox.push(text)
        position.sent = seq
