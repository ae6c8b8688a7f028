"""One life of a real client, in a process of its own: what it is told to do comes by a pipe, what happened goes by one.

Lines of JSON both ways. What was saved is reported at once, by a write that a kill can't take back.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from typing import Any

from coterie import native
from coterie.core.records import Group, group_key
from coterie.errors import CoterieError
from tests.torture.faults import FAULTS
from tests.torture.lives import Clock, Life, Trap
from tests.torture.places import Places

PAGE = 500
SHOWN = ("group_id", "state", "why", "epoch", "cursor", "counter", "removals", "handover_by")


class Player:
    """A client, its page, and who tells it what to do."""

    def __init__(self, life: Life, orders: int, reports: int) -> None:
        self._life = life
        self._orders = orders
        self._reports = reports
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._turned = asyncio.Event()
        self._screen: dict[str, dict[str, str]] = {}
        """By group: the lines of text as the page shows them, by key."""
        trap = life.trap or Trap()
        self._places = Places(die, trap.place, trap.phase, trap.hit)

    def report(self, **what: Any) -> None:
        """Tell it now."""
        os.write(self._reports, json.dumps(what).encode() + b"\n")

    async def run(self) -> None:
        """Until it is told to end."""
        loop = asyncio.get_running_loop()
        self._places.watch(loop)
        loop.add_reader(self._orders, self._read)
        setattr(native, "SystemClock", lambda: Clock(self._life.began, self._life.speed))  # noqa: B010 - another class
        await asyncio.ensure_future(self._live())

    def _read(self) -> None:
        for line in os.read(self._orders, 1 << 20).splitlines():
            order = json.loads(line)
            if order["do"] == "inside":  # asked when an order before it hangs
                self.report(did="inside", **self._inside())
            else:
                self._waiting.put_nowait(order)

    async def _live(self) -> None:
        life = self._life
        self._client = client = await native.open_client(life.url, life.path, self._hear)
        if life.fault:
            FAULTS[life.fault](client)
        self._watch_turns()
        snapshot = await client.start()
        for group in snapshot["groups"]:
            await self._draw(group["group_id"])
        if snapshot["name"] is None:
            await client.set_name(name=life.name)
        self.report(begun=True)
        while (order := await self._waiting.get())["do"] != "end":
            await self._obey(order)
        await client.close()

    def _watch_turns(self) -> None:
        one_turn = self._client._one_turn

        async def watched(work: Any) -> Any:
            try:
                return await one_turn(work)
            finally:
                self._turned.set()

        self._client._one_turn = watched  # type: ignore[method-assign]

    async def _obey(self, order: dict[str, Any]) -> None:
        do = order.pop("do")
        try:
            answer = await getattr(self, f"do_{do}")(**order)
        except CoterieError as error:
            answer = {"error": error.code, "sentence": error.sentence}
        self.report(did=do, **(answer or {}))

    async def _when(self, holds: Callable[[], Any]) -> None:
        """Wait for turns until something holds."""
        while not holds():
            self._turned.clear()
            await self._turned.wait()

    # -- the page --

    def _hear(self, event: dict[str, Any]) -> None:
        self._turned.set()
        screen = self._screen.get(event.get("group_id", ""))
        match event:
            case {"event": "line", "line": {"key": key} as line} if screen is not None:
                screen.pop(event.get("was", ""), None)
                if line["kind"] == "text":
                    screen[key] = line["text"]
            case {"event": "line_gone", "key": key} if screen is not None:
                screen.pop(key, None)
            case {"event": "group", "group": {"group_id": group_id}}:
                self._screen.setdefault(group_id, {})
            case {"event": "problem"}:
                self.report(problem=event["code"])

    async def _lines(self, group_id: str) -> list[dict[str, Any]]:
        """All lines of a group, as the page asks for them."""
        lines: list[dict[str, Any]] = []
        before: dict[str, Any] = {}
        while True:
            page = await self._client.open_group(group_id=group_id, limit=PAGE, **before)
            lines = page["lines"] + lines
            if not page["more"]:
                return lines
            before = {"before": page["lines"][0]["key"]}

    async def _draw(self, group_id: str) -> None:
        lines = await self._lines(group_id)
        self._screen[group_id] = {one["key"]: one["text"] for one in lines if one["kind"] == "text"}

    # -- orders --

    async def do_create(self, name: str) -> dict[str, Any]:
        """A group of that name, unless there is one."""
        groups = self._client._engine.snapshot("")["groups"]
        known = [group for group in groups if group["name"] == name and group["state"] == "active"]
        group = known[0] if known else await self._client.create_group(name=name)
        return {"group": group["group_id"]}

    async def do_invite(self, group: str) -> dict[str, Any]:
        """A link; one that was made before serves again."""
        invites = await self._client.list_invites(group_id=group)
        alive = [invite for invite in invites if not invite["ended"] and invite["link"]]
        invite = alive[0] if alive else await self._client.create_invite(group_id=group)
        return {"link": invite["link"]}

    async def do_say(self, group: str, text: str) -> None:
        """A line: `said` means that the composer was told that it is saved."""
        self.report(saying=text, group=group)
        await self._client.send_text(group_id=group, text=text)
        self.report(said=text, group=group)

    async def do_join(self, link: str, name: str) -> dict[str, Any]:
        """Ask, and wait until this device is in; twice is once."""
        found = await self._client.preview_link(link=link)
        if found["kind"] == "preview":
            await self._client.join(link=link, name=name)
        await self._when(lambda: not self._client._engine.open_joins())
        entered = [group for group in self._groups() if group.state == "active"]
        return {"groups": [group.group_id for group in entered]}

    async def do_remove(self, group: str, user: str) -> None:
        """Remove every device of a user, until it is gone. What a life before asked for may be done meanwhile."""
        for identity in self._of(group, user):
            try:
                await self._client.remove_member(group_id=group, identity=identity)
            except CoterieError as error:
                if error.code != "no_member":
                    raise
        await self._when(lambda: not self._of(group, user))

    async def do_leave(self, group: str) -> None:
        """Leave, and delete the group once it is over."""
        known = self._group(group)
        if known and known.state == "active" and not known.why:
            await self._client.leave_group(group_id=group)
        await self._when(lambda: (left := self._group(group)) is None or left.state != "active")
        await self._rest()
        if self._group(group):
            await self._client.forget_group(group_id=group)

    async def do_add(self, group: str, user: str) -> None:
        """Add a known person, and wait until they are members."""
        record = self._group(group)
        if not self._of(group, user) and record and not record.adding:
            await self._client.add_person(group_id=group, user_id=user)
        await self._when(lambda: self._of(group, user))

    async def do_accept(self, group: str) -> None:
        """Wait for the invitation into a group, and enter."""
        await self._when(
            lambda: self._group(group) or any(one["group_id"] == group for one in self._invitations())
        )
        if self._invitations():
            await self._client.accept_invitation(group_id=group)

    async def do_stocked(self) -> None:
        """Wait until the service has this device's key packages."""
        await self._when(lambda: len(self._rows("packages")) > 100 and not self._rows("outbox"))

    async def do_member(self, group: str, user: str, *, there: bool) -> None:
        """Wait until a user is a member, or none."""
        await self._when(lambda: bool(self._of(group, user)) == there)

    async def do_reach(self, group: str, cursor: int) -> None:
        """Wait until this much is read."""
        await self._when(lambda: (record := self._group(group)) and record.cursor >= cursor)

    async def do_hear(self, group: str, text: str) -> None:
        """Wait until a line is there."""
        await self._when(lambda: text in self._screen.get(group, {}).values())

    async def do_rest(self) -> None:
        """Wait until it listens, and nothing is on its way out."""
        await self._when(lambda: self._client._sync.state == "online")
        await self._rest()

    async def do_who(self) -> dict[str, Any]:
        """The user's id."""
        await self._client._registered()
        backend = self._client._engine.backend
        return {"user": backend.user_id if backend else ""}

    async def do_rows(self) -> None:
        """The binding's rows, for the witness, as the last thing in this life: she can not open her own later ones."""
        rows = await self._client._store.load("mls")
        self.report(did="rows", rows=[[key.hex(), value.hex()] for key, value in rows.items()])
        die()

    async def do_census(self) -> dict[str, Any]:
        """What this life has passed so far."""
        return {"census": [[*passing, count] for passing, count in self._places.counts.items()]}

    def _inside(self) -> dict[str, Any]:
        """What a person would send with a complaint: no texts, no keys."""
        engine = self._client._engine
        joins = engine.completing
        return {
            "connection": self._client._sync.state,
            "groups": [{name: getattr(one, name) for name in SHOWN} for one in self._groups()],
            "outbox": [
                [one.function, one.kind, one.epoch, one.counter] for one in self._rows("outbox").values()
            ],
            "invites": [[one.invite_id.hex(), one.uses, one.ended] for one in self._rows("invites").values()],
            "joins": [
                sorted(one) for one in (joins.claiming, joins.claimed, joins.elsewhere, joins.rejected)
            ],
            "asked": [[one.join_id, one.state] for one in self._rows("joins").values()],
        }

    async def do_look(self, group: str) -> dict[str, Any]:
        """How the group stands, on the disk and on the screen."""
        lines, record = await self._lines(group), self._group(group)
        if record is None:
            return {"look": None}
        texts = {one["key"]: one["text"] for one in lines if one["kind"] == "text"}
        backend = self._client._engine.backend
        members = backend.members(record.mls_id) if backend else []
        return {
            "look": {
                "state": [record.state, record.why],
                "epoch": record.epoch,
                "authenticator": record.epoch_authenticator.hex(),
                "members": sorted(leaf.identity for leaf in members),
                "cursor": record.cursor,
                "waiting": self._under_way(),
                "texts": list(texts.values()),
                "codes": [one["code"] for one in lines if one["code"]],
                "screen": sorted(self._screen.get(group, {}).values()),
            }
        }

    # -- what the client knows --

    async def _rest(self) -> None:
        await self._when(lambda: not self._under_way())

    def _under_way(self) -> int:
        """What goes out, and own messages that have not come back in groups that still deliver."""
        delivering = {group.group_id for group in self._groups() if group.state == "active"}
        sent = [one for one in self._rows("sent").values() if one.group_id in delivering]
        return len(self._rows("outbox")) + len(sent)

    def _rows(self, table: str) -> dict[bytes, Any]:
        return self._client._engine.state.tables[table]

    def _groups(self) -> list[Group]:
        return [one for one in self._rows("groups").values() if isinstance(one, Group)]

    def _group(self, group: str) -> Group | None:
        return self._rows("groups").get(group_key(group))

    def _invitations(self) -> list[dict[str, Any]]:
        return self._client._engine.invitations()

    def _of(self, group: str, user: str) -> list[str]:
        """The identities of a user's leaves."""
        record, backend = self._group(group), self._client._engine.backend
        members = backend.members(record.mls_id) if record and backend else []
        return [leaf.identity for leaf in members if leaf.user_id == user]


def die() -> None:
    """Nothing is put in order."""
    os.kill(os.getpid(), signal.SIGKILL)
