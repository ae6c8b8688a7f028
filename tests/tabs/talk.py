"""Many tabs of one browser say many lines at once while tabs are closed and killed; each line is there once in the end.

What happens is drawn by a seed. The next blow falls when so many lines more were saved, and nothing waits for a time.
"""

import asyncio
import math
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Browser

from tests.chaos.people import Person
from tests.tabs.browser import Tab, Tabs, all_lines

WIDTH = 4
"""Lines of one tab that are on their way at once."""
KINDS = ("owner killed", "owner closed", "another killed", "another closed")
PATIENCE_SECONDS = 60
"""Without any line being saved, nothing works any more."""
HOLD_MS = 1000
"""For 95 of 100 tabs, from the end of the owner to the first answer of the next."""


def percentile(values: list[float], part: int) -> float:
    """The value that `part` of 100 values do not exceed."""
    return sorted(values)[math.ceil(len(values) * part / 100) - 1]


@dataclass(slots=True)
class Outcome:
    """The figures of a run in which nothing was missing."""

    seed: int
    tabs: int = 0
    lines: int = 0
    unsure: int = 0
    """Lines of tabs that ended before they were told: nobody was promised that they are there."""
    arrived: int = 0
    """Of those."""
    blows: Counter[str] = field(default_factory=Counter)
    takeovers: list[float] = field(default_factory=list)
    """Milliseconds, one of each tab that saw its owner end."""
    seconds: float = 0

    @property
    def p95(self) -> float:
        """Of the take-overs, in milliseconds."""
        return percentile(self.takeovers, 95)

    def line(self) -> str:
        """For a person."""
        blows = ", ".join(f"{count} x {name}" for name, count in sorted(self.blows.items()))
        return (
            f"tabs: seed {self.seed}; {self.tabs} tabs, {self.lines} lines in {self.seconds:.0f} s; {blows}; "
            f"0 lost, 0 doubled; {self.unsure} of tabs that ended first, {self.arrived} of them arrived; "
            f"take-over p50 {percentile(self.takeovers, 50):.0f} ms, p95 {self.p95:.0f} ms (hold {HOLD_MS} ms)"
        )


class Talk:
    """One person at several tabs, and the lines they say."""

    def __init__(self, tabs: int, messages: int, blows: int, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - to repeat a run, not for keys
        self._left = {slot: [f"{slot}-{number}" for number in range(messages)] for slot in range(tabs)}
        self._slots: dict[int, Tab] = {}
        self._said: set[str] = set()
        self._saved: set[str] = set()
        self._done: set[Tab] = set()
        self._failures: list[str] = []
        self._changed = asyncio.Event()
        self._every = tabs * messages // (blows + 1)
        self._group_id = ""
        self._tabs: Tabs
        self.outcome = Outcome(seed, tabs=tabs, lines=tabs * messages)
        self._blows = [KINDS[number % len(KINDS)] for number in range(blows)]
        self._dice.shuffle(self._blows)

    async def run(self, browser: Browser, origin: str, folder: Path) -> Outcome:
        """Talk, and compare in the end. Raises `AssertionError` for a line that is missing or doubled."""
        self._tabs = await Tabs.of(browser, origin, self._heard)
        witness = Person("Witness")
        await witness.open(origin, folder)
        await self._befriend(witness)
        for slot in self._left:
            self._slots[slot] = await self._tabs.open()
        for slot in self._left:
            await self._say(slot)
        began = time.monotonic()
        for number, kind in enumerate(self._blows, start=1):
            await self._until(number * self._every)
            await self._strike(kind)
        await self._until(self.outcome.lines)
        self.outcome.seconds = time.monotonic() - began
        await next(iter(self._slots.values())).followed()
        await self._compare(witness)
        await self._tabs.close()
        await witness.client.close()
        assert self._tabs.complaints == []
        return self.outcome

    def _heard(self, tab: Tab, what: str, value: str) -> None:
        if what == "said":
            self._said.add(value)
        elif what == "saved":
            self._saved.add(value)
        elif what == "done":
            self._done.add(tab)
        else:
            self._failures.append(value)
        self._changed.set()

    async def _befriend(self, witness: Person) -> None:
        first = await self._tabs.open()
        await self._tabs.name(first, "Ann")
        self._group_id = (await first.ask("create_group", name="Friends"))["group_id"]
        invite = await first.ask("create_invite", group_id=self._group_id)
        await witness.client.join(link=invite["link"], name=witness.name)
        await witness.until(lambda: witness.group_id)
        await first.close()

    async def _say(self, slot: int) -> None:
        """The tab in this place goes on with what was not begun."""
        left = [text for text in self._left[slot] if text not in self._said]
        script = "([group_id, texts, width]) => void say(group_id, texts, width)"
        await self._slots[slot].page.evaluate(script, [self._group_id, left, WIDTH])

    async def _until(self, saved: int) -> None:
        """Until so many lines were saved, or all tabs have said theirs."""
        while len(self._saved) < saved and not self._done.issuperset(self._slots.values()):
            self._changed.clear()
            assert not self._failures, self._failures
            await asyncio.wait_for(self._changed.wait(), PATIENCE_SECONDS)

    async def _strike(self, kind: str) -> None:
        owner = await self._owner()
        who, how = kind.split()
        others = [slot for slot in self._slots if slot != owner]
        slot = owner if who == "owner" else self._dice.choice(others)
        watching = [tab for one, tab in self._slots.items() if one != slot]
        at = time.time() * 1000
        tab = self._slots[slot]
        await (tab.kill() if how == "killed" else tab.close())
        if slot == owner:
            for taken in await asyncio.gather(*(one.started_after(at) for one in watching)):
                self.outcome.takeovers.append(taken - at)
        self.outcome.blows[kind] += 1
        self._slots[slot] = await self._tabs.open()
        await self._say(slot)

    async def _owner(self) -> int:
        while True:
            for slot, tab in self._slots.items():
                if await tab.owns():
                    return slot

    async def _compare(self, witness: Person) -> None:
        ask = next(iter(self._slots.values())).ask
        async with asyncio.timeout(PATIENCE_SECONDS):  # lines of tabs that ended may still be on their way
            while (await ask("health", group_id=self._group_id))["outbox"]["waiting"]:
                pass
        here = await all_lines(ask, self._group_id)
        await witness.until(lambda: self._saved.union(here) <= witness.lines.keys())
        shown = await witness.shown()
        counted = Counter(shown)
        unsure = self._said - self._saved
        self.outcome.unsure, self.outcome.arrived = len(unsure), len(unsure & counted.keys())
        assert [text for text, count in counted.items() if count > 1] == [], "lines are doubled"
        assert self._saved - counted.keys() == set(), "lines are lost"
        assert counted.keys() <= self._said
        assert here == shown, "the tab shows another conversation than the witness"
