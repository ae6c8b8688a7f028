"""Many members at once against the real service: all commit in one epoch, all send at once while some are away.

Real clients on real HTTP and sockets, their state in memory; a gate holds their commits until every one is there.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import coterie_mls
from coterie.client import Client
from coterie.core.engine import Engine
from coterie.core.records import Group, group_key
from coterie.errors import Unreachable
from coterie.native import SystemClock
from coterie.ports import Answer, Socket
from coterie.storage.memory import MemoryStore
from coterie.transport.http import HttpTransport
from tests.support.unlimited import UNLIMITED

UNPACED = UNLIMITED | {"COTERIE_TOKEN_SECONDS": "86400"}
"""Settings under which a round need not wait for the next one."""
PATIENCE = 300
"""Seconds after which something that was to happen has not."""
TAKEN = 200
TRIES = 5
AWAY = 5
"""Every so many-th member is away for half of the lines."""


class ShiftedClock(SystemClock):
    """This machine's time and some."""

    def __init__(self) -> None:
        self.shift = 0

    def now(self) -> int:
        return super().now() + self.shift


class Gate:
    """Holds requests of `send_commit` until they are let through together, and keeps their answers."""

    def __init__(self) -> None:
        self.waiting: set[str] = set()
        self.changed = asyncio.Condition()
        self.stays_open = False
        self._opened = asyncio.Event()
        self.answers: list[tuple[str, str]] = []
        """Who, and `taken` or the code."""

    async def pass_through(self, who: str) -> None:
        """Wait until it opens."""
        if self.stays_open:
            return
        async with self.changed:
            self.waiting.add(who)
            self.changed.notify_all()
        await self._opened.wait()

    async def answered(self, who: str, answer: str) -> None:
        """Somebody's commit was taken or not."""
        async with self.changed:
            self.answers.append((who, answer))
            self.changed.notify_all()

    def let_through(self, *, stays_open: bool = False) -> set[str]:
        """All who wait now, and nobody who comes later unless it stays open; who they were."""
        through, self.waiting, self.stays_open = self.waiting, set(), stays_open
        self._opened.set()
        self._opened = asyncio.Event()
        return through


class GatedTransport:
    """The real way to the service, which can be cut, with a gate for commits."""

    def __init__(self, url: str, gate: Gate) -> None:
        self._http = HttpTransport(url)
        self._gate = gate
        self.who = ""
        self.away = False
        self._sockets: list[Socket] = []

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, token: str | None
    ) -> Answer:
        commit = path.endswith("/send_commit")
        if commit:
            await self._gate.pass_through(self.who)
        if self.away:
            raise Unreachable("unreachable", "Away.")
        try:
            answer = await self._http.request(method, path, body, token)
        except Unreachable as error:
            if commit:
                await self._gate.answered(self.who, error.code)
            raise
        if commit:
            await self._gate.answered(self.who, "taken" if answer.status == TAKEN else answer.body["code"])
        return answer

    async def connect(self) -> Socket:
        if self.away:
            raise Unreachable("unreachable", "Away.")
        self._sockets = [await self._http.connect()]
        return self._sockets[0]

    async def go_away(self) -> None:
        """No request arrives, and the socket is gone."""
        self.away = True
        for socket in self._sockets:
            await socket.close()

    async def close(self) -> None:
        await self._http.close()


class Member:
    """A client, and what is under it."""

    def __init__(self, url: str, gate: Gate, clock: ShiftedClock, number: int) -> None:
        self.name = f"Member {number}"
        self.gate = GatedTransport(url, gate)
        self.gate.who = self.name
        self.store = MemoryStore()
        self.changed = asyncio.Event()
        self.problems: list[str] = []
        self.client = Client(
            mls=coterie_mls,
            store=self.store,
            transport=self.gate,
            clock=clock,
            on_event=self._on_event,
            service_url=url,
        )

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "problem":
            self.problems.append(event["code"])
        self.changed.set()

    async def until(self, holds: Any, what: str) -> None:
        """Until `holds()` after an event."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self.changed.clear()
                await self.changed.wait()
        if not holds():
            raise AssertionError(f"{self.name}: {what}")

    async def join(self, link: str) -> None:
        """Follow the link; who finds the service out of breath tries again."""
        for _ in range(TRIES):
            try:
                await self.client.join(link=link, name=self.name)
            except Unreachable:
                continue
            return
        raise AssertionError(f"{self.name}: could not even ask")

    @property
    def group(self) -> Group | None:
        """The group's row, as it is saved."""
        rows = [value for (table, _), value in self.store.rows().items() if table == "groups"]
        return Group.decode(rows[0]) if rows else None

    @property
    def epoch(self) -> int:
        return self.group.epoch if self.group else -1

    async def make_due(self, group_id: str) -> None:
        """Let the time have come to renew the leaf."""
        await self.client._do(lambda engine, now: _make_due(engine, group_id, now))
        await self.tick()

    async def tick(self) -> None:
        """What time brings, now."""
        await self.client._do(lambda engine, now: engine.tick(now))

    async def texts(self, group_id: str) -> list[str]:
        """Every line of text, in order."""
        opened = await self.client.open_group(group_id=group_id, limit=5_000)
        return [line["text"] for line in opened["lines"] if line["kind"] == "text"]


def _make_due(engine: Engine, group_id: str, now: int) -> Any:
    def work(turn: Any) -> None:
        group = turn.get(Group, group_key(group_id))
        turn.put(group.with_(renew_at=now, renewed_at=0, commit_at=0))

    return engine._turn(now, work)[0]


@dataclass(frozen=True)
class Figures:
    """What was counted."""

    members: int
    rounds: int
    one_winner: int
    """Rounds with exactly one commit taken."""
    refusals: dict[str, int]
    """What the others were told, and how often: `stale_epoch`."""
    forks: int
    outstanding: int
    """Members whose commit was never carried out in the end."""
    round_seconds: float
    sent: int
    arrived: int
    """Lines that every member has exactly once."""
    same_order: bool
    lines_seconds: float
    problems: int

    @property
    def hold(self) -> bool:
        """Whether nothing falls short."""
        return (
            self.one_winner == self.rounds
            and set(self.refusals) == {"stale_epoch"}
            and self.sent == self.arrived
            and self.same_order
            and not (self.forks or self.outstanding or self.problems)
        )

    def __str__(self) -> str:
        return (
            f"{self.rounds} rounds of {self.members} committing at once: {self.one_winner} with one winner,"
            f" the others told {self.refusals},"
            f" {self.forks} forks, {self.outstanding} intents outstanding, {self.round_seconds:.2f} s a round;"
            f" {self.sent} lines at once: {self.arrived} everywhere once,"
            f" {'one order' if self.same_order else 'ORDERS DIFFER'}, {self.lines_seconds:.1f} s;"
            f" {self.problems} problems shown"
        )


class Crowd:
    """Members of one group on one service."""

    def __init__(self, url: str, members: int) -> None:
        self.gate = Gate()
        self.clock = ShiftedClock()
        self.members = [Member(url, self.gate, self.clock, number) for number in range(members)]
        self.group_id = ""
        self.owed: set[str] = set()
        """Who lost and has not committed since."""
        self.forks = 0
        self.refusals: Counter[str] = Counter()
        """What those who lost a round were told."""

    async def gather(self) -> None:
        """Everybody into the group, by one link; the first leaves are renewed in rounds like all others."""
        first, *others = self.members
        await first.client.start()
        await first.client.set_name(name=first.name)
        self.group_id = (await first.client.create_group(name="Crowd"))["group_id"]
        made = await first.client.create_invite(group_id=self.group_id, max_uses=len(others) + 1)
        for one in others:
            await one.client.start()
            await one.join(made["link"])
        for one in others:
            await one.until(lambda one=one: one.group is not None, "did not come in")
        await self.level()

    async def level(self) -> None:
        """Until all are in the epoch of the one who is furthest, and agree about it."""
        top = max(one.epoch for one in self.members)
        for one in self.members:
            await one.until(lambda one=one: one.epoch >= top, f"did not reach epoch {top}")
        if max(one.epoch for one in self.members) > top:
            await self.level()
        self.forks += len({one.group.epoch_authenticator for one in self.members if one.group}) != 1

    async def round(self, who: list[Member]) -> bool:
        """All of `who` commit at once; whether exactly one was taken."""
        for one in who:
            if one.name not in self.gate.waiting:
                await one.make_due(self.group_id)
        names = {one.name for one in who}
        async with asyncio.timeout(PATIENCE), self.gate.changed:
            await self.gate.changed.wait_for(lambda: names <= self.gate.waiting)
        before, epoch = len(self.gate.answers), self.members[0].epoch
        competing = self.gate.let_through()
        async with asyncio.timeout(PATIENCE), self.gate.changed:
            await self.gate.changed.wait_for(lambda: len(self.gate.answers) - before >= len(competing))
        for one in self.members:
            await one.until(lambda one=one: one.epoch > epoch, f"stayed in epoch {epoch}")
        await self.level()
        answers = self.gate.answers[before:]
        winners = {name for name, answer in answers if answer == "taken"}
        self.owed = (self.owed | competing) - winners
        self.refusals.update(answer for _, answer in answers if answer != "taken")
        return len(winners) == 1

    async def carry_out(self) -> None:
        """Those who lost do it by themselves, each at its time, with the gate open."""
        before = len(self.gate.answers)
        self.gate.let_through(stays_open=True)
        async with asyncio.timeout(PATIENCE):
            while self.owed - self._won(before):
                self.clock.shift += 5_000
                for one in self.members:
                    await one.tick()
                await self.level()
        self.owed -= self._won(before)

    def _won(self, since: int) -> set[str]:
        return {name for name, answer in self.gate.answers[since:] if answer == "taken"}

    async def talk(self, lines: int) -> tuple[int, bool, float]:
        """All send at once, some while away: lines that all have once, one order or not, seconds."""
        away = self.members[:: len(self.members) // max(1, len(self.members) // AWAY)]
        for one in away:
            await one.gate.go_away()
        began, total = time.monotonic(), lines * len(self.members)
        await asyncio.gather(*(self._say(one, lines) for one in self.members))
        present = [one for one in self.members if one not in away]
        await self._until_read(present, lines * len(present))
        for one in away:
            one.gate.away = False
        await self._until_read(self.members, total)
        seconds = time.monotonic() - began
        read = [await one.texts(self.group_id) for one in self.members]
        said = {f"{one.name}: {number}" for one in self.members for number in range(lines)}
        once = sum(all(texts.count(text) == 1 for texts in read) for text in said)
        return once, all(texts == read[0] for texts in read), seconds

    async def _say(self, one: Member, lines: int) -> None:
        for number in range(lines):
            await one.client.send_text(group_id=self.group_id, text=f"{one.name}: {number}")

    async def _until_read(self, members: list[Member], total: int) -> None:
        for one in members:
            async with asyncio.timeout(PATIENCE):
                while len(await one.texts(self.group_id)) < total:
                    one.changed.clear()
                    await one.changed.wait()

    async def close(self) -> None:
        self.gate.let_through(stays_open=True)
        for one in self.members:
            await one.client.close()


async def run(url: str, *, rounds: int, members: int, lines: int) -> Figures:
    """Both, with these numbers."""
    crowd = Crowd(url, members)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(crowd.close)
        await crowd.gather()
        began = time.monotonic()
        won = [await crowd.round(crowd.members) for _ in range(rounds)]
        round_seconds = (time.monotonic() - began) / rounds
        await crowd.carry_out()
        arrived, same_order, lines_seconds = await crowd.talk(lines)
        return Figures(
            members=members,
            rounds=rounds,
            one_winner=sum(won),
            refusals=dict(crowd.refusals),
            forks=crowd.forks,
            outstanding=len(crowd.owed),
            round_seconds=round_seconds,
            sent=lines * members,
            arrived=arrived,
            same_order=same_order,
            lines_seconds=lines_seconds,
            problems=sum(len(one.problems) for one in crowd.members),
        )
