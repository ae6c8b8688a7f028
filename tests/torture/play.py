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
MOST_HITS = 8
"""A place that is passed more often in a life is killed at its first passings only."""
MISSED = 2
"""A trap that was not passed is set again when the others have been set so many times more."""
SHARE_AT_RANDOM = 0.35
MOMENTS = ((0.3, False), (0.2, True))
IN_BROWSER = ((3.0, False), (0.5, True), (0.5, True))
"""A life that is to end at a random moment ends within so many seconds; True: after the client has started."""


class Plan:
    """Where each life ends: at the places of the client that were seen least, and at random moments; or as told."""

    def __init__(
        self,
        dice: random.Random,
        census: dict[str, list[int]],
        told: list[Trap] | None = None,
        moments: tuple[tuple[float, bool], ...] = MOMENTS,
    ) -> None:
        """`told`: a schedule to repeat.

        `census`: of each `act|place|phase`, how often it was a trap so far, and how often a life passed it; it grows.
        """
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
        known = {key: times for key, (times, _) in self._census.items() if key.startswith(f"{act}|")}
        if not known or self._dice.random() < SHARE_AT_RANDOM:
            longest, begun = self._dice.choice(self._moments)
            return Trap(after=self._dice.random() ** 2 * longest, begun=begun)
        least = min(known.values())
        key = self._dice.choice(sorted(key for key, count in known.items() if count == least))
        self._census[key][0] += 1
        _, place, phase = key.split("|")
        return Trap(place=place, phase=phase, hit=self._dice.randint(1, min(self._census[key][1], MOST_HITS)))

    def missed(self, act: str, trap: Trap) -> None:
        """A life came to rest before this."""
        key = f"{act}|{trap.place}|{trap.phase}"
        if key in self._census:
            self._census[key][0] += MISSED

    def seen(self, act: str, passings: list[list[Any]]) -> None:
        """A life passed these places so often."""
        for place, phase, count in passings:
            self._census.setdefault(f"{act}|{place}|{phase}", [0, 0])[1] = count


@dataclass(slots=True)
class Outcome:
    """What a play has counted."""

    points: dict[str, int] = field(default_factory=dict)
    """Lives that ended by a kill: `await` at a place, `random` at a moment, `idle` when it had come to rest."""
    acts: dict[str, int] = field(default_factory=dict)
    lines: int = 0
    recorded: int = 0
    """Distinct ciphertexts that reached the service."""
    ciphertexts: int = 0
    """Of those, what a witness looked at: all from her epoch on."""
    opened: int = 0
    commits: int = 0


@dataclass(frozen=True, slots=True)
class Witness:
    """A member who came in and went home."""

    group: str
    rows: dict[bytes, bytes]
    """Of the binding, as it came in."""
    known: set[bytes]
    """The ciphertexts that had reached the service by then."""


class Play:
    """One group from its founding to the witness's return."""

    def __init__(
        self,
        stage: Stage,
        plan: Plan,
        dice: random.Random,
        *,
        record: Path,
        database: str,
        browser: bool = False,
    ) -> None:
        """`record`: the file of all ciphertexts. `database`: the service's. `browser`: Vera is in Chromium."""
        self.stage = stage
        self._record = record
        self._database = database
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
        self.reached: set[str] = set()
        """The places and phases that she passed in the last lives of acts."""
        self._witnesses: list[Witness] = []
        self._lines = 0
        self._fresh: list[dict[str, str]] = []
        """What others have said since Vera came to life."""
        self._told: dict[str, int] = {}
        """By group: how many lines were there when all was well the last time. Nobody talks while somebody comes in."""
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
        census = self.vera.ask("census")["census"]
        self.plan.seen(name, census)
        self.reached |= {f"{place} {phase}" for place, phase, _ in census}
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
        elif trap.place:
            self.plan.missed(act, trap)
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
            looks = [self._look(one, group) for one in members]
            cursor = max(look["cursor"] for look in looks)
            if all(look["cursor"] == cursor and not look["waiting"] for look in looks):
                break
            for one in members:
                one.ask("reach", group=group, cursor=cursor)
        self._compare(group, members, looks)
        return looks

    def _look(self, one: Actor, group: str) -> dict[str, Any]:
        look: dict[str, Any] | None = one.ask("look", group=group)["look"]
        if look is None:
            raise Fault(f"{one.name} has lost the group")
        return look

    def _compare(self, group: str, members: tuple[Actor, ...], looks: list[dict[str, Any]]) -> None:
        whole: list[str] = max((look["texts"] for look in looks), key=len)
        for actor, look in zip(members, looks, strict=True):
            who = f"{actor.name}: "
            _same(who + "epoch, authenticator, members", _state(looks[-1]), _state(look))
            _same(who + "state", ["active", ""], look["state"])
            _same(who + "bad causes", [], sorted(BAD & set(look["codes"])))
            _same(who + "on the screen as on the disk", sorted(look["texts"]), look["screen"])
            doubled = [text for text, count in Counter(look["texts"]).items() if count > 1]
            _same(who + "shown twice", [], doubled)
            begins = self._begins.setdefault((group, actor.name), self._told.get(group, 0))
            _same(who + "the same lines in the same order", whole[begins:], look["texts"])
        for actor in {one.name: one for one in (*members, self.vera, self.bob)}.values():
            lost = actor.said.get(group, set()) - set(whole)
            _same(f"lines of {actor.name} that were taken and are lost", [], sorted(lost))
            actor.said[group] = actor.saying.get(group, set()) & set(whole)
        self._told[group] = len(whole)
        _same("problems that a client told of", {}, self.stage.problems)

    # -- the witnesses --

    def witness_comes(self, actor: Actor, link: str, group: str, *members: Actor) -> None:
        """A member comes in, tells what it has to tell, and goes home."""
        actor.wake()
        self.enter(actor, link, group)
        self.settle(group, *members, actor)
        rows = {bytes.fromhex(key): bytes.fromhex(value) for key, value in actor.ask("rows")["rows"]}
        actor.kill()
        known = {one for epoch in witness.recorded(self._record, group).values() for one in epoch}
        self._witnesses.append(Witness(group, rows, known))

    def witnesses_speak(self) -> None:
        """They open everything; then Wanda comes back and has every line once."""
        out = self.outcome
        out.recorded, out.ciphertexts, out.opened, out.commits = apart(self._testify)
        self.wanda.wake()
        look, *_ = self.settle(self.group, self.vera, self.bob, self.wanda, *self.others)
        out.lines = len(look["texts"])

    def _testify(self) -> tuple[int, int, int, int]:
        recorded = ciphertexts = opened = commits = 0
        for one in self._witnesses:
            by_epoch = witness.recorded(self._record, one.group)
            seen = witness.testify(
                one.rows, one.known, by_epoch, asyncio.run(_commits(self._database, one.group))
            )
            recorded += sum(map(len, by_epoch.values()))
            ciphertexts += seen.ciphertexts
            opened += seen.opened
            commits += seen.commits
        return recorded, ciphertexts, opened, commits

    def suspicion(self) -> str:
        """After a fault: what the witnesses add to it."""
        if not self._witnesses:
            return ""
        try:
            apart(self._testify)
        except Fault as fault:
            return f"; and the witness: {fault}"
        return "; and the witness has opened everything"

    def enter(self, actor: Actor, link: str, group: str = "") -> None:
        """Somebody comes in by a link."""
        groups = actor.ask("join", link=link, name=actor.name).get("groups", [])
        if (group or self.group) not in groups:
            raise Fault(f"{actor.name} did not come in")
        self.users[actor.name] = actor.ask("who")["user"]


def _state(look: dict[str, Any]) -> list[Any]:
    """What all should agree on."""
    return [look["epoch"], look["members"], look["authenticator"]]


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
