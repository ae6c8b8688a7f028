"""A play: people in groups, one of whom is killed again and again while all of them go on.

Vera is the one who is killed. Bob talks with her. Wanda comes in and goes home: the witness (`witness.py`), and at the
end a member who was away for all of it. Nick and Nora come and go.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from tests.torture import witness
from tests.torture.lives import Trap
from tests.torture.stage import Actor, Fault, Stage, apart

BAD = frozenset(
    {
        "bad_join", "fork", "forged_own", "gap", "not_sent", "own_unknown", "replayed", "role_breach",
        "state_behind", "taken_out", "task_failed", "too_early", "unreadable", "wrong_roster",
    }
)  # fmt: skip
"""Causes that an honest service and honest members never give."""
MOST_HITS = 4
"""A place that is passed more often in a life is killed at its first passings only."""
SHARE_AT_RANDOM = 0.35
MOMENTS = ((0.3, False), (0.2, True))
IN_BROWSER = ((3.0, False), (0.5, True), (0.5, True))
"""A life that is to end at a random moment ends within so many seconds; True: after the client has started."""


class Plan:
    """Where each life ends: at the places of the client that were seen least, and at random moments; or as told."""

    def __init__(
        self,
        dice: random.Random,
        census: dict[str, int],
        told: list[Trap] | None = None,
        moments: tuple[tuple[float, bool], ...] = MOMENTS,
    ) -> None:
        """`census`: how often each `act|place|phase|hit` was a trap so far; it grows. `told`: a schedule to repeat."""
        self._dice = dice
        self._moments = moments
        self._census = census
        self._told = list(told) if told is not None else None
        self.schedule: list[Trap] = []

    def next(self, act: str) -> Trap:
        """The next life's end."""
        if self._told is not None:
            trap = self._told.pop(0) if self._told else Trap(after=0.1, begun=True)
        else:
            trap = self._chosen(act)
        self.schedule.append(trap)
        return trap

    def _chosen(self, act: str) -> Trap:
        known = {key: count for key, count in self._census.items() if key.startswith(f"{act}|")}
        if not known or self._dice.random() < SHARE_AT_RANDOM:
            longest, begun = self._dice.choice(self._moments)
            return Trap(after=self._dice.random() ** 2 * longest, begun=begun)
        least = min(known.values())
        key = self._dice.choice(sorted(key for key, count in known.items() if count == least))
        self._census[key] += 1
        _, place, phase, hit = key.split("|")
        return Trap(place=place, phase=phase, hit=int(hit))

    def seen(self, act: str, passings: list[list[Any]]) -> None:
        """A life passed these places so often."""
        for place, phase, count in passings:
            for hit in range(1, min(count, MOST_HITS) + 1):
                self._census.setdefault(f"{act}|{place}|{phase}|{hit}", 0)


@dataclass(slots=True)
class Outcome:
    """What a play has counted."""

    points: dict[str, int] = field(default_factory=dict)
    """Lives that ended by a kill: `await` at a place, `random` at a moment, `idle` when it had come to rest."""
    acts: dict[str, int] = field(default_factory=dict)
    lines: int = 0
    ciphertexts: int = 0
    opened: int = 0
    commits: int = 0
    problems: dict[str, int] = field(default_factory=dict)


class Play:
    """One group from its founding to the witness's return."""

    def __init__(self, stage: Stage, plan: Plan, dice: random.Random, *, browser: bool = False) -> None:
        """`browser`: Vera is in Chromium."""
        self.stage = stage
        self.plan = plan
        self.dice = dice
        self.outcome = Outcome()
        self.vera = stage.actor("Vera", browser=browser)
        self.bob, self.wanda = stage.actor("Bob"), stage.actor("Wanda")
        self.others: list[Actor] = []
        """Members of `group` beside Vera and Bob who are awake."""
        self.group = ""
        self.users: dict[str, str] = {}
        self.places: dict[str, int] = {}
        """How often Vera was killed at each place."""
        self._rows: dict[bytes, bytes] = {}
        """The witness's, as she came in."""
        self._lines = 0
        self._fresh: list[dict[str, str]] = []
        """What others have said since Vera came to life."""
        self._begins: dict[tuple[str, str], int] = {}
        """By group and member: how many lines were there before they came."""

    # -- one act --

    def act(
        self,
        name: str,
        kills: int,
        script: Callable[[], None],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Live and die `kills` times, then live until `script` is done.

        `script` gives Vera her orders in each life, `meanwhile` the others theirs.
        """
        for _ in range(kills):
            self._live(name, script, meanwhile)
        self.vera.kill()
        self.vera.wake()
        script()
        self._hear()
        self.vera.ask("rest")
        self.plan.seen(name, self.vera.ask("census")["census"])
        acts = self.outcome.acts
        acts[name] = acts.get(name, 0) + kills

    def _live(self, act: str, script: Callable[[], None], meanwhile: Callable[[], None]) -> None:
        """One life, up to its end."""
        vera, trap = self.vera, self.plan.next(act)
        vera.kill()
        vera.wake(trap)
        self._fresh.clear()
        meanwhile()
        script()
        self._hear()
        vera.order("rest")
        if trap.begun:
            self.stage.until(lambda: not vera.alive or vera.begun, f"the life of {act} begins")
        if trap.place:
            self.stage.until(lambda: not vera.alive or vera.did("rest"), f"the life of {act} ends at {trap}")
        else:
            self.stage.read_for(trap.after, lambda: not vera.alive or vera.did("rest"))
        kind = "idle" if vera.alive and vera.did("rest") else "await" if trap.place else "random"
        vera.kill()
        if kind == "await":
            at = f"{trap.place} {trap.phase}"
            self.places[at] = self.places.get(at, 0) + 1
        points = self.outcome.points
        points[kind] = points.get(kind, 0) + 1

    def say(self, actor: Actor, count: int = 1, group: str = "") -> None:
        """New lines."""
        for _ in range(count):
            self._lines += 1
            line = {"group": group or self.group, "text": f"{actor.name} {self._lines}"}
            actor.order("say", **line)
            if actor is not self.vera:
                self._fresh.append(line)

    def _hear(self) -> None:
        """Vera waits for what the others have said in this life."""
        for line in self._fresh:
            self.vera.order("hear", **line)

    # -- all is well --

    def settle(self, group: str, *members: Actor) -> list[dict[str, Any]]:
        """Wait until nothing is under way in a group, and compare what its members have."""
        while True:
            for one in members:
                one.ask("rest")
            looks = [one.ask("look", group=group)["look"] for one in members]
            cursor = max(look["cursor"] for look in looks)
            if all(look["cursor"] == cursor and not look["waiting"] for look in looks):
                break
            for one in members:
                one.ask("reach", group=group, cursor=cursor)
        self._compare(group, members, looks)
        return looks

    def _compare(self, group: str, members: tuple[Actor, ...], looks: list[dict[str, Any]]) -> None:
        whole: list[str] = max((look["texts"] for look in looks), key=len)
        for actor, look in zip(members, looks, strict=True):
            who = f"{actor.name}: "
            _same(who + "epoch, authenticator, members", _state(looks[-1], look), _state(look, looks[-1]))
            _same(who + "state", ["active", ""], look["state"])
            _same(who + "bad causes", [], sorted(BAD & set(look["codes"])))
            _same(who + "on the screen as on the disk", sorted(look["texts"]), look["screen"])
            doubled = [text for text, count in Counter(look["texts"]).items() if count > 1]
            _same(who + "shown twice", [], doubled)
            begins = self._begins.setdefault((group, actor.name), len(whole) - len(look["texts"]))
            _same(who + "the same lines in the same order", whole[begins:], look["texts"])
        for actor in {one.name: one for one in (*members, self.vera, self.bob)}.values():
            lost = actor.said.get(group, set()) - set(whole)
            _same(f"lines of {actor.name} that were taken and are lost", [], sorted(lost))
            actor.said[group] = actor.saying.get(group, set()) & set(whole)

    # -- the witness --

    def witness_comes(self, link: str, record: Path) -> None:
        """Wanda comes in, tells what she has to tell, and goes home."""
        self.wanda.wake()
        self.enter(self.wanda, link)
        self.settle(self.group, self.vera, self.bob, self.wanda)
        rows = self.wanda.ask("rows")["rows"]
        self._rows = {bytes.fromhex(key): bytes.fromhex(value) for key, value in rows}
        self._record = record
        self.wanda.kill()
        self._known = {one for epoch in witness.recorded(record, self.group).values() for one in epoch}

    def witness_speaks(self, database: str) -> None:
        """She opens everything; then she comes back and has every line once."""
        out = self.outcome
        out.ciphertexts, out.opened, out.commits = apart(lambda: self._testify(database))
        self.wanda.wake()
        look, *_ = self.settle(self.group, self.vera, self.bob, self.wanda, *self.others)
        out.lines, out.problems = len(look["texts"]), self.stage.problems

    def _testify(self, database: str) -> tuple[int, int, int]:
        taken = asyncio.run(_commits(database, self.group))
        seen = witness.testify(self._rows, self._known, witness.recorded(self._record, self.group), taken)
        return seen.ciphertexts, seen.opened, seen.commits

    def suspicion(self, database: str) -> str:
        """After a fault: what the witness adds to it."""
        if not self._rows:
            return ""
        try:
            apart(lambda: self._testify(database))
        except Fault as fault:
            return f"; and the witness: {fault}"
        return "; and the witness has opened everything"

    def enter(self, actor: Actor, link: str, group: str = "") -> None:
        """Somebody comes in by a link."""
        groups = actor.ask("join", link=link, name=actor.name).get("groups", [])
        if (group or self.group) not in groups:
            raise Fault(f"{actor.name} did not come in")
        self.users[actor.name] = actor.ask("who")["user"]


def _state(look: dict[str, Any], other: dict[str, Any]) -> list[Any]:
    """What two should agree on; the bridge of a page does not tell the authenticator."""
    both = look["authenticator"] and other["authenticator"]
    return [look["epoch"], look["members"], look["authenticator"] if both else None]


def _same(what: str, expected: Any, found: Any) -> None:
    if expected != found:
        raise Fault(f"{what}: {expected!r:.600} and {found!r:.600}")


async def _commits(database: str, group: str) -> list[bytes]:
    """The commits of a group that the service took."""
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch(
            "select body from coterie.messages where group_id = $1 and kind = 'commit' order by seq", group
        )
    finally:
        await connection.close()
    return [row["body"] for row in rows]
