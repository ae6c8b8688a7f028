"""Whatever the order in which devices act, stop, and hear of things: in the end all agree.

Schedules are drawn from a fixed seed; a failing one is printed, made as short as it goes.
"""

from dataclasses import replace

from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from coterie.core import causes
from tests.support.device import Crash, Device
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice

NAMES = ("Alice", "Bob", "Carol")
LIES = {*causes.UNREADABLE, "fork", "bad_join", "wrong_roster", "role_breach"}


class World:
    """Three people in a group, a fourth who may come, and an office that loses answers and says things twice."""

    def __init__(self) -> None:
        self.office = PostOffice()
        self.group_id, self.people = friends(self.office, *NAMES)
        self.link = self.people[0].invite(self.group_id)
        self.office.pump()
        self.people.append(self.office.device("Dan"))
        self.sent: list[tuple[Device, str]] = []

    def do(self, act: str, who: int) -> None:
        """One thing that happens; a device that stops in it is started again."""
        device = self.people[who]
        try:
            getattr(self, f"do_{act}")(device)
        except Crash:
            note(f"  {NAMES[who] if who < 3 else 'Dan'} stopped")

    def member(self, device: Device) -> bool:
        return any(g["can_send"] for g in device.engine.snapshot("")["groups"])

    def do_send(self, device: Device) -> None:
        text = f"{len(self.sent)}"
        if self.member(device):
            steps = len(device.writes)
            try:
                device.send(self.group_id, text)
            finally:
                if len(device.writes) > steps:
                    self.sent.append((device, text))

    def do_post(self, device: Device) -> None:
        self.office.post(device)

    def do_post_unheard(self, device: Device) -> None:
        """Posted, and the answer is lost."""
        self.office.lost = {"send_message", "send_commit", "invite_complete", "invite_join", "group_join"}
        try:
            self.office.post(device)
        finally:
            self.office.lost = set()

    def do_deliver(self, device: Device) -> None:
        self.office.deliver(device)

    def do_deliver_one(self, device: Device) -> None:
        for group_id, cursor in device.engine.cursors().items():
            for envelope in self.office.envelopes(device, group_id, cursor)[:1]:
                device.run(device.engine.receive(envelope, self.office.now))

    def do_deliver_again(self, device: Device) -> None:
        """Everything once more, and the next but one too early."""
        envelopes = self.office.envelopes(device, self.group_id, 0)
        for envelope in envelopes[: device.engine.cursors().get(self.group_id, 0)][-3:]:
            device.run(device.engine.receive(envelope, self.office.now))
        cursor = device.engine.cursors().get(self.group_id, 0)
        for envelope in self.office.envelopes(device, self.group_id, cursor)[1:2]:
            device.run(device.engine.receive(replace(envelope), self.office.now))

    def do_round(self, device: Device) -> None:
        self.office.round(device)

    def do_crash(self, device: Device) -> None:
        device.crash()

    def do_stop_before(self, device: Device) -> None:
        device.crash_before.add(len(device.writes))

    def do_stop_after(self, device: Device) -> None:
        device.crash_after.add(len(device.writes))

    def do_time(self, device: Device) -> None:
        self.office.now += 4_000
        device.tick()

    def do_join(self, _: Device) -> None:
        dan = self.people[3]
        if not dan.joins() and not dan.engine.snapshot("")["groups"]:
            dan.ask(self.link, "Dan")

    def do_leave(self, device: Device) -> None:
        if device is self.people[2] and self.member(device):
            device.leave(self.group_id)

    def settle(self) -> None:
        """Everybody online, nothing lost any more."""
        for _ in range(6):
            self.office.wait(61)
            self.office.pump()
        for device in self.people:
            device.crash_before.clear()
            device.crash_after.clear()
        self.office.wait(61)


ACTS = sorted(name.removeprefix("do_") for name in dir(World) if name.startswith("do_"))
FREQUENT = [*ACTS, "send", "send", "post", "deliver", "round", "post_unheard", "deliver_one"]
schedules = st.lists(st.tuples(st.sampled_from(FREQUENT), st.integers(0, 3)), min_size=5, max_size=60)


@settings(
    max_examples=150,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
@given(schedules)
def test_any_schedule_ends_in_one_state(schedule: list[tuple[str, int]]) -> None:
    world = World()
    for act, who in schedule:
        world.do(act, who)
    world.settle()
    _check(world)


def _check(world: World) -> None:
    members = [one for one in world.people if world.member(one)]
    assert len(members) >= 2
    assert len({(one.record(world.group_id).epoch_authenticator) for one in members}) == 1
    founders = [one for one in members if one is not world.people[3]]
    assert same_state(world.group_id, *founders)
    expected = [text for device, text in world.sent if device in founders]
    read = founders[0].texts(world.group_id)
    assert len(read) == len(set(read)), "a line came twice"
    assert set(expected) <= set(read), "a line was lost"
    for device in {one for one, _ in world.sent}:
        own = [text for sender, text in world.sent if sender is device and text in read]
        assert [text for text in read if text in own] == own, "lines of one sender changed their order"
    if world.people[3] in members:
        dan = world.people[3].texts(world.group_id)
        assert dan == read[len(read) - len(dan) :], "the newcomer reads something else"
    for one in members:
        assert not LIES & set(one.codes(world.group_id)), one.codes(world.group_id)
        assert one.rows["outbox"] == {} == one.rows["sent"]
