"""What sockets hear besides messages: that they are in a group or no longer, joins, Welcomes and invitations.

A notification says only that a group changed. What changed is asked for once per group, for all open sockets; what a
single socket has to look for, its own worker does (`refresh`, `tell_invitations`).
"""

import asyncio
import json
import logging
from collections.abc import Set as AbstractSet
from typing import Any

from edge_functions.db import Database
from edge_functions.errors import ServiceError, defect
from edge_functions.feeds import Feeds
from edge_functions.sockets import INVITATIONS, Socket, frame

_PENDING_AT_ONCE = 10
"""More new joins than this are told by the socket's own worker, at its reader's pace."""
_log = logging.getLogger("edge_functions")


class Changes:
    """What changed in groups, told to `sockets`: the open ones of this process, as they come and go."""

    def __init__(
        self, db: Database, retry_seconds: float, sockets: AbstractSet[Socket], feeds: Feeds
    ) -> None:
        self._db = db
        self._retry = retry_seconds
        self._sockets = sockets
        self._feeds = feeds
        self._changed: asyncio.Queue[str] = asyncio.Queue()
        self._changed_groups: set[str] = set()
        self._told: dict[str, list[str]] = {}
        """By group, the news of its joins that all open sockets have heard: a change is told, not everything again."""

    # ---- one socket, and everything

    async def refresh(self, socket: Socket) -> None:
        """Compare the socket with what the database says now. Raises `ServiceError`, also when it has to end."""
        state = json.loads(await self._db.value("select coterie.deliver_open_v1($1)", socket.claims))
        if state["device_id"] != socket.device_id:
            raise ServiceError(401, "no_session", "This session was bound to another device.")
        for one in state["groups"]:
            self._feeds.place(socket, one["group_id"], one["from_seq"], one["until_seq"])
        for group in socket.positions.keys() - {one["group_id"] for one in state["groups"]}:
            self._feeds.drop(socket, group)
        for join in state["pending"]:
            await socket.outbox.room()
            socket.tell_once(join, frame("join_waiting", join=join))
        for join in state["joins"]:
            await socket.outbox.room()
            socket.tell_once(join, frame("welcome", **join))
        socket.tell_stock(state["stock"])
        if state["invited"]:
            await self.tell_invitations(socket)

    async def tell_invitations(self, socket: Socket) -> None:
        """Who added the device to a group that it has not entered yet, with the Welcomes."""
        listed = await self._db.value("select coterie.welcomes_list_v1($1, null)", socket.claims)
        for invitation in json.loads(listed)["welcomes"]:
            await socket.outbox.room()
            socket.tell_invitation(invitation)

    # ---- one group, and all sockets

    def note(self, group: str) -> None:
        """Have it told; a change that waits already is told once."""
        if self._sockets and group not in self._changed_groups:
            self._changed_groups.add(group)
            self._changed.put_nowait(group)

    async def follow(self) -> None:
        """Tell what was noted, one group after the other, for ever."""
        while True:
            group = await self._changed.get()
            self._changed_groups.discard(group)
            try:
                await self._tell(group)
            except ServiceError as error:
                _log.warning("Changes of a group could not be told: %s", error.code)
                await asyncio.sleep(self._retry)
                self.note(group)
            except Exception as error:  # noqa: BLE001 - one group's trouble must not silence the others
                _log.error("Delivery: %s", defect(error))

    async def _tell(self, group: str) -> None:
        by_key: dict[tuple[str, str], list[Socket]] = {}
        for socket in self._sockets:
            by_key.setdefault(socket.key, []).append(socket)
        devices, sessions = [device for device, _ in by_key], [session for _, session in by_key]
        statement = "select coterie.changes_v1($1, $2, $3, $4)"
        told = self._told.get(group, [])
        changes = json.loads(await self._db.value(statement, group, devices, sessions, told))
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
        elif not joined and until_seq is None:
            self._feeds.drop(socket, group)  # added anew: delivery begins again with group_join
        else:
            entered = group not in socket.positions
            self._feeds.place(socket, group, from_seq, until_seq)
            if until_seq is not None:
                return
            if entered or len(pending) > _PENDING_AT_ONCE:  # whoever enters hears of all that wait
                socket.ask(None)
                return
            for join, text in pending:
                socket.tell_once(join, text)
