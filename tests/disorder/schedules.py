"""Random schedules: people send, come and go while the network reorders, delays, repeats and drops; then all is calm.

A schedule is its seed and number. `check` says what must hold when everything that can arrive has arrived.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from coterie.core.invite import Link
from tests.disorder.network import Network
from tests.disorder.outcome import Outcome, Said, is_member, leaves
from tests.support.device import Crash, Device
from tests.support.friends import friends

FOUNDERS = ("Alice", "Bob", "Carol", "Dan")
NEWCOMERS = ("Eve", "Frank", "Grace")
LONGEST = 120
OK = 200
WEIGHTS = {
    "send": 30,
    "post": 12,
    "post_unheard": 4,
    "post_twice": 2,
    "carry_out": 8,
    "next": 16,
    "any": 6,
    "twice": 4,
    "drop": 4,
    "drop_for_good": 3,
    "alter": 2,
    "again": 3,
    "page": 8,
    "claim_caught_up": 3,
    "cut": 2,
    "joins": 6,
    "round": 8,
    "tick": 5,
    "a_day": 1,
    "crash": 2,
    "stop_before": 1,
    "stop_after": 1,
    "join": 3,
    "new_link": 1,
    "leave": 1,
    "remove": 1,
}
"""How often each thing happens, against the others."""
Act = tuple[str, int]
"""What happens, and to whom of all seven."""


def drawn(seed: int, number: int) -> list[Act]:
    """The schedule of this number."""
    rng = random.Random(f"schedule {seed} {number}")  # noqa: S311 - a schedule, no secret
    everybody = range(len(FOUNDERS) + len(NEWCOMERS))
    names, weights = list(WEIGHTS), list(WEIGHTS.values())
    acts = rng.choices(names, weights, k=rng.randrange(20, LONGEST))
    return [(act, rng.choice(everybody)) for act in acts]


class Play:
    """A group of four, three who may come by a link, and a network that plays with them."""

    def __init__(self, seed: int, number: int) -> None:
        self.office = Network(random.Random(f"network {seed} {number}"))  # noqa: S311
        self.group_id, self.people = friends(self.office, *FOUNDERS)
        self.link = self.people[0].invite(self.group_id)
        self.office.pump()
        self.people += [self.office.device(name) for name in NEWCOMERS]
        self.said: list[Said] = []
        self.leavers: list[Device] = []

    # -- what can happen --

    def do(self, act: str, who: int) -> None:
        """One thing; a device that stops in it is started again."""
        device = self.people[who]
        try:
            self._act(act)(device)
        except Crash:
            self.office.cut(device)

    def _act(self, act: str) -> Callable[[Device], None]:
        if act in ("next", "any", "twice", "drop"):
            return lambda device: self.office.stream(device, act)
        found: Callable[[Device], None] = getattr(self, f"_{act}")
        return found

    def _send(self, device: Device) -> None:
        if not is_member(device):
            return
        text, before = f"{len(self.said)}", len(device.writes)
        try:
            device.send(self.group_id, text)
        finally:
            if len(device.writes) > before:
                self.said.append(Said(device, text))

    def _post(self, device: Device) -> None:
        self.office.post(device)

    def _post_unheard(self, device: Device) -> None:
        """Posted, and the answer is lost."""
        posts = {"send_message", "send_commit", "invite_complete", "invite_join", "group_join", "group_leave"}
        self.office.lost = posts
        try:
            self.office.post(device)
        finally:
            self.office.lost = set()

    def _post_twice(self, device: Device) -> None:
        self._post_unheard(device)
        self.office.post(device)

    def _carry_out(self, device: Device) -> None:
        self.office.carry_out(device)
        self._page(device)

    def _page(self, device: Device) -> None:
        """Answers to those who asked for what they missed."""
        wanted = sorted(one for one in self.office.wanted if one[0] == device.device_id)
        self.office.wanted.difference_update(wanted)
        self.office.page(device, [group_id for _, group_id in wanted])

    def _drop_for_good(self, device: Device) -> None:
        self.office.spoil(device, self.office.dropped)

    def _alter(self, device: Device) -> None:
        self.office.spoil(device, self.office.altered)

    def _round(self, device: Device) -> None:
        """For a moment all is well."""
        self.office.round(device)

    def _again(self, device: Device) -> None:
        self.office.again(device)

    def _claim_caught_up(self, device: Device) -> None:
        self.office.say_caught_up(device, self.group_id)

    def _cut(self, device: Device) -> None:
        self.office.cut(device)

    def _joins(self, device: Device) -> None:
        self.office.tell_joins(device)

    def _tick(self, device: Device) -> None:
        self.office.now += 3_000
        device.tick()

    def _a_day(self, device: Device) -> None:
        """Leaves come due together."""
        self.office.now += 7 * 86_400_000
        device.tick()

    def _crash(self, device: Device) -> None:
        device.crash()
        self.office.cut(device)

    def _stop_before(self, device: Device) -> None:
        device.crash_before.add(len(device.writes))

    def _stop_after(self, device: Device) -> None:
        device.crash_after.add(len(device.writes))

    def _join(self, device: Device) -> None:
        fresh = not device.joins() and not device.engine.snapshot("")["groups"]
        invite = Link.parse(self.link).invite_id.hex()
        alive, _ = self.office.handle(device, "invite_info", {"invite_id": invite})
        if device in self.people[len(FOUNDERS) :] and fresh and alive == OK:
            device.ask(self.link, "Newcomer")

    def _new_link(self, _: Device) -> None:
        """The old one ended if somebody was removed."""
        self.link = self.people[0].invite(self.group_id)

    def _leave(self, device: Device) -> None:
        if device in self.people[2 : len(FOUNDERS)] and is_member(device):
            device.leave(self.group_id)
            self.leavers.append(device)

    def _remove(self, device: Device) -> None:
        """The owner removes somebody; never Bob, so that two stay."""
        alice, bob = self.people[:2]
        here = {leaf.identity for leaf in leaves(alice, self.group_id)}
        if device not in (alice, bob) and device.identity in here:
            alice.remove(self.group_id, device)

    # -- and how it ends --

    def settle(self) -> None:
        """Nothing is lost any more, and everybody gets everything."""
        for device in self.people:
            self.office.cut(device)
        for _ in range(7):
            self.office.wait(61)
            self.office.pump()
        for device in self.people:
            device.crash_before.clear()
            device.crash_after.clear()
        self.office.wait(61)

    def run(self, schedule: list[Act]) -> None:
        """All of it, and what must hold then. Raises `Disagreement`."""
        for act, who in schedule:
            self.do(act, who)
        self.settle()
        self.check()

    def check(self) -> None:
        """Raises `Disagreement` unless all that must hold now does."""
        Outcome(self.office, self.group_id, self.people, self.said, self.leavers).check()


def failure(seed: int, number: int, schedule: list[Act] | None = None) -> str:
    """What went wrong in a schedule; empty when all held."""
    try:
        Play(seed, number).run(drawn(seed, number) if schedule is None else schedule)
    except Exception as error:  # noqa: BLE001 - whatever it is, the schedule is reported
        return f"{type(error).__name__}: {error}"
    return ""


def shortened(seed: int, number: int) -> list[Act]:
    """The failing schedule without the acts that it fails without."""
    schedule, size = drawn(seed, number), LONGEST // 2
    while size:
        at = 0
        while at < len(schedule):
            fewer = schedule[:at] + schedule[at + size :]
            if failure(seed, number, fewer):
                schedule = fewer
            else:
                at += size
        size //= 2
    return schedule
