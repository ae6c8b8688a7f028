"""A device without a network: a real engine on real MLS, the rows on its disk, what its page was shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from coterie.core.effects import Acknowledge, Call, CatchUp, LookAgain, MakePackages, Show, Step
from coterie.core.engine import Engine
from coterie.core.invite import Link
from coterie.core.records import Group, Outgoing, Session, group_key
from coterie.ports import TABLES

if TYPE_CHECKING:
    from tests.support.post_office import PostOffice

ORIGIN = "https://chat.example"


class Crash(Exception):
    """The device stopped in the middle of a step; its memory is gone."""


class Device:
    """One device: an engine, the rows on its disk, and what its page was shown."""

    def __init__(self, office: PostOffice, name: str, user_id: str | None = None) -> None:
        self.office = office
        self.rows: dict[str, dict[bytes, bytes]] = {table: {} for table in TABLES}
        self.engine = Engine.load(office.mls, self.rows)
        self.events: list[dict[str, Any]] = []
        self.writes: list[Step] = []
        self.calls: list[Call] = []
        self.told: set[str] = set()
        """Joins that the office has told this device."""
        self.welcomed: set[tuple[str, int]] = set()
        """Welcomes that it has been told, by group and seq."""
        self.publishes = False
        """Whether it is told that its key packages run low: most tests need none."""
        self.stock: dict[str, Any] = {}
        """What it was last told of its stock at the service."""
        self.making = False
        self.look_again_at = 0
        """When it wants to look again at what time brings; 0: at the next tick."""
        self.online = True
        self.crash_before: set[int] = set()
        """Numbers of steps that are lost: the crash comes before they are saved."""
        self.crash_after: set[int] = set()
        """Numbers of steps after whose save the crash comes, before their effects."""
        self.user_id = user_id or office.new_id()
        session = Session(
            access_token="a", refresh_token="r", expires_at=0, user_id=self.user_id, session_id="s"
        )
        self.run(self.engine.signed_in(session, self.now))
        self.device_id = office.new_id()
        self.run(self.engine.was_bound({"device_id": self.device_id}, self.now))
        self.op(self.engine.set_name(name, self.now))
        office.devices[self.device_id] = self
        office.enroll(self.device_id, self.user_id)

    def __repr__(self) -> str:
        return f"Device({self.device_id})"

    @property
    def now(self) -> int:
        return self.office.now

    @property
    def identity(self) -> str:
        return f"{self.user_id}#{self.device_id}"

    # -- save, then act --

    def run(self, step: Step) -> None:
        """Save, then act."""
        number = len(self.writes)
        if number in self.crash_before:
            self.crash_before.discard(number)
            self.crash()
            raise Crash
        self.save(step)
        if number in self.crash_after:
            self.crash()
            raise Crash
        self.act(step)

    def save(self, step: Step) -> None:
        """Write the step's rows."""
        self.writes.append(step)
        for (table, key), value in step.changes.items():
            if value is None:
                self.rows[table].pop(key, None)
            else:
                self.rows[table][key] = value

    def act(self, step: Step) -> None:
        """Carry out the step's effects."""
        for effect in step.effects:
            if isinstance(effect, Show):
                self.events.append(effect.event)
            elif isinstance(effect, Call):
                self.calls.append(effect)
            elif isinstance(effect, MakePackages):
                self.making = True
            elif isinstance(effect, Acknowledge):
                acked = self.office.rooms[effect.group_id].acked
                acked[self.device_id] = max(acked.get(self.device_id, 0), effect.seq)
            elif isinstance(effect, LookAgain):
                self.look_again_at = min(self.look_again_at or effect.at, effect.at)
            elif isinstance(effect, CatchUp):
                self.office.wanted.add((self.device_id, effect.group_id))

    def op(self, result: tuple[Step, Any]) -> Any:
        """An operation with a result."""
        step, value = result
        self.run(step)
        return value

    def crash(self) -> None:
        """Lose the memory, keep the disk."""
        self.engine = Engine.load(self.office.mls, self.rows)
        self.calls.clear()
        self.told.clear()
        self.welcomed.clear()
        self.making, self.stock, self.look_again_at = False, {}, 0

    # -- what the user sees --

    def lines(self, group_id: str) -> list[dict[str, Any]]:
        """All lines of a group, from the disk."""
        prefix = UUID(group_id).bytes
        stored = sorted(
            (key, value) for key, value in self.rows["messages"].items() if key.startswith(prefix)
        )
        return list(self.engine.open_group(group_id, stored, newest=True)["lines"])

    def texts(self, group_id: str) -> list[str]:
        return [line["text"] for line in self.lines(group_id) if line["kind"] == "text"]

    def codes(self, group_id: str) -> list[str]:
        """The causes of all notices, in order."""
        return [line["code"] for line in self.lines(group_id) if line["kind"] == "notice"]

    def states(self, group_id: str) -> list[str]:
        """The states of the own lines, in order."""
        return [line["state"] for line in self.lines(group_id) if line["mine"]]

    def group(self, group_id: str) -> dict[str, Any]:
        return next(g for g in self.engine.snapshot("online")["groups"] if g["group_id"] == group_id)

    def record(self, group_id: str) -> Group:
        """The group's row, from the disk."""
        return Group.decode(self.rows["groups"][group_key(group_id)])

    def names(self, group_id: str) -> list[str]:
        """How the members are called, sorted; unknown ones are "?"."""
        members = self.engine.open_group(group_id, [], newest=True)["members"]
        return sorted(member["name"] or "?" for member in members)

    def joins(self) -> list[dict[str, Any]]:
        return list(self.engine.snapshot("online")["joins"])

    def outbox(self) -> list[Outgoing]:
        return [Outgoing.decode(value) for _, value in sorted(self.rows["outbox"].items())]

    def events_of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    def problems(self) -> list[str]:
        return [event["code"] for event in self.events_of("problem")]

    # -- what the user does --

    def send(self, group_id: str, text: str) -> None:
        self.op(self.engine.send_text(group_id, text, self.now))

    def create(self, name: str = "Friends") -> str:
        return str(self.op(self.engine.create_group(name, self.now))["group_id"])

    def invite(self, group_id: str, **kwargs: Any) -> str:
        """A link; it lives for an hour and 50 uses."""
        options = {"lifetime": 3600, "max_uses": 50} | kwargs
        made = self.op(self.engine.create_invite(group_id, origin=ORIGIN, now=self.now, **options))
        return str(made["link"])

    def look(self, link: str) -> dict[str, Any]:
        """What the link leads to."""
        parsed = Link.parse(link)
        known = self.engine.known_link(parsed)
        if known:
            return known
        _, body = self.office.handle(self, "invite_info", {"invite_id": parsed.invite_id.hex()})
        return self.engine.previewed(parsed, body)

    def ask(self, link: str, name: str) -> str:
        """Preview and join; the join's id."""
        self.look(link)
        return str(self.op(self.engine.join(Link.parse(link), name, self.now))["join_id"])

    def publish(self) -> None:
        """Have key packages at the service, and refill them from now on."""
        self.publishes = True
        self.run(self.engine.online(self.now))
        self.office.pump(self)

    def add(self, group_id: str, user_id: str, accept: list[str] | None = None) -> str:
        """Add somebody known; the claim's id."""
        return str(self.op(self.engine.add_person(group_id, user_id, accept or [], self.now)))

    def accept(self, group_id: str) -> dict[str, Any]:
        return dict(self.op(self.engine.accept_invitation(group_id, self.now)))

    def decline(self, group_id: str) -> None:
        self.run(self.engine.decline_invitation(group_id, self.now))

    def remove(self, group_id: str, other: Device) -> None:
        self.run(self.engine.remove_member(group_id, other.identity, self.now))

    def leave(self, group_id: str) -> None:
        self.run(self.engine.leave_group(group_id, self.now))

    def tick(self) -> None:
        self.run(self.engine.tick(self.now))
