"""The service, as far as devices can tell: orders and routes, answers as docs/protocol.md says.

It keeps what the service promises, no more; a test makes it lie by subclassing, by `refusals` and `lost`, or by
changing what lies in it. How the real service keeps the promises is shown in tests/contract, tests/db and tests/e2e.
It also keeps a record: no counter is used twice in an epoch with other bytes.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from coterie.core.group.outbox import final
from coterie_wire import CommitData, Envelope, parse_header
from tests.support.device import Crash, Device
from tests.support.directory import Caller, Directory, Reply, no
from tests.support.pacing import Pacing
from tests.support.seeded import Seeded

NOW = 1_790_000_000_000
CLAIM = 10_000
"""How long a claim holds, in milliseconds."""
SHORT = 15_000
"""Waits that `pump` lets pass, in milliseconds in all."""
OPEN = ("waiting", "claimed")


@dataclass
class Room:
    """A group, as the post office sees it."""

    epoch: int = 0
    group_info: bytes = b""
    envelopes: list[Envelope] = field(default_factory=list)
    members: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    """By device: the first seq and the last (None while it is one)."""
    delivers: set[str] = field(default_factory=set)
    """Devices that called `group_join`, or made the group."""
    answers: dict[str, tuple[str, Reply]] = field(default_factory=dict)
    """By message_id: the bytes and the answer."""
    counters: dict[str, int] = field(default_factory=dict)
    """By device: the highest counter of the present epoch."""
    acked: dict[str, int] = field(default_factory=dict)
    """By device: the highest seq that it said it had saved."""
    welcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By device: a Welcome that belongs to no join, until it is accepted or declined."""
    pacing: Pacing = field(default_factory=Pacing)


class PostOffice(Directory):
    """Orders and routes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.mls: Any = Seeded(random.Random(1))  # noqa: S311 - keys are not made with it
        """What devices encrypt with."""
        self.devices: dict[str, Device] = {}
        self.rooms: dict[str, Room] = {}
        self.invites: dict[str, dict[str, Any]] = {}
        self.joins: dict[str, dict[str, Any]] = {}
        self.wanted: set[tuple[str, str]] = set()
        self.log: list[tuple[str, str, dict[str, Any]]] = []
        self.down = False
        self.refusals: dict[str, Reply] = {}
        """By function: what it answers instead of doing anything, until it is taken out."""
        self.lost: set[str] = set()
        """Functions whose answers do not arrive, though they are carried out."""
        self.framed: dict[tuple[str, str, int, int], str] = {}
        """(group, device, epoch, counter) of every message posted, and its bytes."""

    def device(self, name: str) -> Device:
        return Device(self, name)

    def new_id(self) -> str:
        """The id of a user or a device."""
        return str(uuid4())

    def roster_changes(self, group_id: str) -> int:
        """How many commits changed the members."""
        bodies = [*self.calls("send_commit"), *self.calls("invite_complete")]
        taken = self.rooms[group_id].answers
        return len(
            {
                body["message_id"]
                for body in bodies
                if body["message_id"] in taken and (body["added"] or body["removed"])
            }
        )

    def calls(self, function: str) -> list[dict[str, Any]]:
        """The bodies with which a function was called."""
        return [body for _, called, body in self.log if called == function]

    # -- pumping --

    def pump(self, *devices: Device) -> None:
        """Until nobody has anything to do; the short waits of those who lost a race pass meanwhile."""
        until = self.now + SHORT
        for _ in range(300):
            online = [device for device in devices or self.devices.values() if device.online]
            busy = [self.round(device) for device in online]
            if not any(busy) and not self._let_wake(online, until):
                return
        raise AssertionError("the devices do not come to rest")

    def wait(self, seconds: float, *devices: Device) -> None:
        """Let time pass; everybody online looks at what it brings."""
        self.now += int(seconds * 1000)
        for device in devices or self.devices.values():
            if device.online:
                self._guarded(device.tick)
        self.pump(*devices)

    def _let_wake(self, devices: list[Device], until: int) -> bool:
        """Let the time come at which the first of them wants to look again; whether one does before `until`."""
        waiting = [device for device in devices if 0 < device.look_again_at < until]
        if not waiting:
            return False
        first = min(waiting, key=lambda device: device.look_again_at)
        self.now = max(self.now, first.look_again_at)
        first.look_again_at = 0
        self._guarded(first.tick)
        return True

    def round(self, device: Device) -> bool:
        """One look at everything that a device has to do; whether there was something."""
        works = (self.post, self.carry_out, self.make, self.deliver, self.tell_joins, self.tell_directory)
        busy = [self._guarded(work, device) for work in works]
        return any(busy)

    def _guarded(self, work: Callable[..., Any], *args: Any) -> bool:
        try:
            return bool(work(*args))
        except Crash:
            return True

    def post(self, device: Device) -> bool:
        """Post the head of each lane once."""
        busy = False
        for lane in device.engine.lanes():
            post = device.engine.next_post(lane)
            if post and not self.down:
                key, function, body = post
                status, answer = self.handle(device, function, body)
                if function not in self.lost and final(function, body, status):
                    device.run(device.engine.posted(key, status, answer, self.now))
                    busy = True
        return busy

    def carry_out(self, device: Device) -> bool:
        """Carry out the `Call` effects."""
        calls, device.calls = device.calls, []
        for call in calls:
            status, answer = (503, {}) if self.down else self.handle(device, call.function, call.body)
            device.run(device.engine.answered(call.function, call.body, status, answer, self.now))
        return bool(calls) and not self.down

    def make(self, device: Device) -> bool:
        """Carry out `MakePackages`, slice by slice."""
        if device.making:
            device.making = device.op(device.engine.make_packages(self.now))
            return True
        return False

    def tell_directory(self, device: Device) -> bool:
        """Tell a device of its Welcomes, each once, and that its key packages run low."""
        if self.down or device.device_id not in self.enrolled:
            return False
        fresh = [one for one in self.welcomes(device) if (one["group_id"], one["seq"]) not in device.welcomed]
        if fresh:
            device.welcomed.update((one["group_id"], one["seq"]) for one in fresh)
            device.run(device.engine.invited(fresh, self.now))
        stock = self.stock(device.device_id)
        if device.publishes and stock["available"] < stock["refill_below"] and stock != device.stock:
            device.stock = stock
            device.run(device.engine.stock_told(stock, self.now))
            return True
        return bool(fresh)

    def welcomes(self, caller: Caller) -> list[dict[str, Any]]:
        """Welcomes for a device that belong to no join."""
        found = [room.welcomes.get(caller.device_id) for room in self.rooms.values()]
        return [one for one in found if one]

    def meets(self, caller: Caller, user_id: str) -> bool:
        mine = [room for group, room in self.rooms.items() if self.is_member(caller, group)]
        theirs = {one.device_id for one in self.enrolled.values() if one.user_id == user_id}
        return any(
            caller.device_id in room.delivers
            and any(
                last is None for device, (_, last) in room.members.items() if device in theirs & room.delivers
            )
            for room in mine
        )

    def deliver(self, device: Device) -> bool:
        """Hand over what lies behind the cursors."""
        busy = False
        for group_id, cursor in device.engine.cursors().items():
            for envelope in [] if self.down else self.envelopes(device, group_id, cursor):
                device.run(device.engine.receive(envelope, self.now, paged=True))
                busy = True
            if not self.down and group_id not in device.engine.up_to_date:
                device.run(
                    device.engine.caught_up(group_id, device.engine.cursors().get(group_id, 0), self.now)
                )
        return busy

    def tell_joins(self, device: Device) -> bool:
        """Tell members of joins that wait, each once, and joiners how theirs stand."""
        if self.down:
            return False
        fresh = [join for join in self.pending(device) if join["join_id"] not in device.told]
        if fresh:
            device.told.update(join["join_id"] for join in fresh)
            device.run(device.engine.joins_waiting(fresh, self.now))
        asked = [one for one in device.engine.open_joins() if one in self.joins]
        ended = [one for one in asked if self.joins[one]["status"] not in OPEN]
        for join_id in ended:
            device.run(device.engine.polled(self.poll(join_id), self.now))
        return bool(fresh or ended)

    # -- what lies here --

    def envelopes(self, caller: Caller, group_id: str, after: int) -> list[Envelope]:
        """What a device may have behind a seq."""
        room = self.rooms.get(group_id)
        span = room.members.get(caller.device_id) if room else None
        if room is None or span is None or caller.device_id not in room.delivers:
            return []
        first, last = span
        return [
            e for e in room.envelopes if after < e.seq and e.seq >= first and (last is None or e.seq <= last)
        ]

    def pending(self, caller: Caller) -> list[dict[str, Any]]:
        """Joins that wait in the groups of a device."""
        return [
            dict(join)
            for join in self.joins.values()
            if join["status"] in OPEN and self.is_member(caller, join["group_id"])
        ]

    def is_member(self, caller: Caller, group_id: str) -> bool:
        room = self.rooms.get(group_id)
        span = room.members.get(caller.device_id) if room else None
        return span is not None and span[1] is None

    def poll(self, join_id: str) -> dict[str, Any]:
        return {"welcome_hex": None, "welcome_tag": None, "from_seq": None} | self.joins[join_id]

    def time(self) -> str:
        return (
            datetime.fromtimestamp(self.now / 1000, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )

    # -- functions --

    def handle(self, caller: Caller, function: str, body: dict[str, Any]) -> Reply:
        """Answer one call."""
        self.log.append((caller.device_id, function, body))
        if function in self.refusals:
            return self.refusals[function]
        enrolled = self.enrolled.get(caller.device_id)
        if enrolled and enrolled.revoked:
            return no(403, "device_revoked")
        return getattr(self, f"_do_{function}")(caller, body)  # type: ignore[no-any-return]

    def _do_group_create(self, caller: Caller, body: dict[str, Any]) -> Reply:
        old = self.rooms.get(body["group_id"])
        if old and old.group_info.hex() != body["group_info"]:
            return no(409, "group_exists")
        if not old:
            self.rooms[body["group_id"]] = Room(
                group_info=bytes.fromhex(body["group_info"]),
                members={caller.device_id: (1, None)},
                delivers={caller.device_id},
            )
        return 200, {"group_id": body["group_id"], "epoch": 0, "seq": 0}

    def _do_groups_list(self, caller: Caller, body: dict[str, Any]) -> Reply:
        groups: list[dict[str, Any]] = []
        for group_id, room in self.rooms.items():
            if caller.device_id in room.members:
                first, last = room.members[caller.device_id]
                groups.append(
                    {
                        "group_id": group_id,
                        "epoch": room.epoch if last is None else None,
                        "last_seq": len(room.envelopes) if last is None else last,
                        "from_seq": first,
                        "until_seq": last,
                        "acked_seq": room.acked.get(caller.device_id, 0),
                        "counter": room.counters.get(caller.device_id, 0),
                        "joined": caller.device_id in room.delivers,
                        "roster": [],
                    }
                )
        return 200, {"groups": groups}

    def _do_group_info_get(self, caller: Caller, body: dict[str, Any]) -> Reply:
        if not self.is_member(caller, body["group_id"]):
            return no(403, "not_a_member")
        room = self.rooms[body["group_id"]]
        return 200, {"epoch": room.epoch, "group_info": room.group_info.hex()}

    def _do_send_message(self, caller: Caller, body: dict[str, Any]) -> Reply:
        return self.append(caller, body, body["mls_bytes"], "application")

    def _do_send_commit(self, caller: Caller, body: dict[str, Any]) -> Reply:
        return self.append(caller, body, body["commit"], "commit")

    def _do_commit_pause(self, caller: Caller, body: dict[str, Any]) -> Reply:
        wait = self.rooms[body["group_id"]].pacing.pause(caller.device_id, self.now)
        return no(429, "too_soon", retry_after=wait / 1000) if wait else (200, {"group_id": body["group_id"]})

    def _do_invite_complete(self, caller: Caller, body: dict[str, Any]) -> Reply:
        known = self.rooms[body["group_id"]].answers.get(body["message_id"])
        for join in body["joins"] if known is None else []:
            if self.joins[join["join_id"]]["status"] not in OPEN:
                return no(409, "already_completed", join_id=join["join_id"])
        return self.append(caller, body, body["commit"], "commit")

    def append(self, caller: Caller, body: dict[str, Any], mls_hex: str, kind: str) -> Reply:
        """Message id first, then membership, epoch, counter; then it lies here."""
        room = self.rooms[body["group_id"]]
        rejoin = body["counter"] == 0  # counts no message key
        if not rejoin:
            place = (body["group_id"], caller.device_id, body["epoch"], body["counter"])
            assert self.framed.setdefault(place, mls_hex) == mls_hex, "a counter was used twice"
        if body["message_id"] in room.answers:
            known, answer = room.answers[body["message_id"]]
            return answer if known == mls_hex else no(409, "message_id_reused")
        refusal = self._refusal(room, caller, body)
        if not refusal and kind == "commit":
            refusal = self._commit_refusal(room, caller, body)
        if refusal:
            return refusal
        if not rejoin:
            room.counters[caller.device_id] = body["counter"]
        data = bytes.fromhex(mls_hex)
        assert parse_header(data).epoch == room.epoch
        seq = len(room.envelopes) + 1
        room.envelopes.append(
            self.envelope(body["group_id"], seq, room.epoch, kind, body["message_id"], caller, data)
        )
        if kind == "commit":
            self._committed(room, body, seq, parse_header(data).authenticated_data, caller)
        answer = 200, {"seq": seq, "epoch": room.epoch, "server_time": self.time()}
        room.answers[body["message_id"]] = mls_hex, answer
        return answer

    def _refusal(self, room: Room, caller: Caller, body: dict[str, Any]) -> Reply | None:
        """Why a message is not taken, or None."""
        if not self.is_member(caller, body["group_id"]):
            return no(403, "not_a_member")
        if body["epoch"] != room.epoch:
            return no(409, "stale_epoch", epoch=room.epoch)
        last = room.counters.get(caller.device_id, 0)
        return no(409, "state_behind", counter=last) if 0 < body["counter"] <= last else None

    def _commit_refusal(self, room: Room, caller: Caller, body: dict[str, Any]) -> Reply | None:
        """Why a commit is not taken, or None."""
        wait = room.pacing.wait(caller.device_id, self.now, empty=not body["added"] and not body["removed"])
        if wait:
            return no(429, "too_soon", retry_after=wait / 1000)
        return no(422, "wrong_roster") if self._wrong_roster(room, body) else None

    def _wrong_roster(self, room: Room, body: dict[str, Any]) -> bool:
        """A Welcome for who is not added, or is a member and stays one; a removal of who never was one."""
        members = {device for device, (_, last) in room.members.items() if last is None}
        staying = members - set(body["removed"])
        welcomed = {entry["device_id"] for entry in body["welcomes"]}
        joining = {self.joins[done["join_id"]]["device_id"] for done in body.get("joins", [])}
        return bool(
            welcomed - set(body["added"])
            or (welcomed - joining) & staying
            or (set(body["removed"]) | (set(body["added"]) - welcomed)) - set(room.members)
        )

    def _committed(self, room: Room, body: dict[str, Any], seq: int, aad: bytes, caller: Caller) -> None:
        data = CommitData.parse(aad) if aad else CommitData()  # a rejoin may leave it empty
        assert [*data.added] == body["added"]
        assert [*data.removed] == body["removed"]
        room.epoch += 1
        room.counters.clear()
        room.group_info = bytes.fromhex(body["group_info"])
        if not body["counter"]:  # a rejoin enters the group
            room.delivers.add(caller.device_id)
            room.welcomes.pop(caller.device_id, None)
        for device_id in body["removed"]:
            first, last = room.members[device_id]
            room.members[device_id] = (first, seq if last is None else last)
        for device_id in set(body["added"]) - {entry["device_id"] for entry in body["welcomes"]}:
            room.members[device_id] = (room.members[device_id][0], None)
        if body["end_invites"]:
            self._end_invites(body["group_id"])
        welcomes = {entry["device_id"]: entry["welcome"] for entry in body["welcomes"]}
        for done in body.get("joins", []):
            self._welcomed(room, self.joins[done["join_id"]], done, welcomes, seq)
            welcomes.pop(self.joins[done["join_id"]]["device_id"], None)
        for device_id, welcome in welcomes.items():
            room.members[device_id] = (seq + 1, None)
            room.delivers.discard(device_id)
            room.welcomes[device_id] = {
                "group_id": body["group_id"],
                "seq": seq,
                "welcome": welcome,
                "from_seq": seq + 1,
                "sender_device": caller.device_id,
                "sender_user": caller.user_id,
                "created_at": self.time(),
            }

    def _end_invites(self, group_id: str) -> None:
        for invite in self.invites.values():
            invite["ended"] = invite["ended"] or invite["group_id"] == group_id
        for join in self.joins.values():
            if join["group_id"] == group_id and join["status"] in OPEN:
                join["status"] = "expired"

    def _welcomed(
        self, room: Room, join: dict[str, Any], done: dict[str, Any], welcomes: dict[str, str], seq: int
    ) -> None:
        room.members[join["device_id"]] = (seq + 1, None)
        room.delivers.discard(join["device_id"])
        self.invites[join["invite_id"]]["uses"] += 1
        join |= {
            "status": "welcomed",
            "welcome_hex": welcomes[join["device_id"]],
            "welcome_tag": done["welcome_tag"],
            "from_seq": seq + 1,
        }

    def envelope(
        self, group_id: str, seq: int, epoch: int, kind: str, message_id: str, caller: Caller, data: bytes
    ) -> Envelope:
        return Envelope(
            group_id=group_id,
            seq=seq,
            epoch=epoch,
            kind=kind,  # type: ignore[arg-type]
            message_id=message_id,
            sender_device=caller.device_id,
            hash=hashlib.sha256(data).digest(),
            size=len(data),
            server_time=self.time(),
            mls_bytes=data,
        )

    def _do_get_messages(self, caller: Caller, body: dict[str, Any]) -> Reply:
        if caller.device_id not in self.rooms[body["group_id"]].members:
            return no(403, "not_a_member")
        found = self.envelopes(caller, body["group_id"], body["after"])[: body.get("limit", 100)]
        last = len(self.rooms[body["group_id"]].envelopes)
        return 200, {"envelopes": [envelope.to_json() for envelope in found], "last_seq": last}

    def _do_group_join(self, caller: Caller, body: dict[str, Any]) -> Reply:
        if not self.is_member(caller, body["group_id"]):
            return no(403, "not_a_member")
        self.rooms[body["group_id"]].delivers.add(caller.device_id)
        self.rooms[body["group_id"]].welcomes.pop(caller.device_id, None)
        return 200, {
            "group_id": body["group_id"],
            "from_seq": self.rooms[body["group_id"]].members[caller.device_id][0],
        }

    def _do_group_leave(self, caller: Caller, body: dict[str, Any]) -> Reply:
        room = self.rooms[body["group_id"]]
        if self.is_member(caller, body["group_id"]):
            room.members[caller.device_id] = (room.members[caller.device_id][0], len(room.envelopes))
        room.welcomes.pop(caller.device_id, None)
        return 200, {"group_id": body["group_id"], "until_seq": len(room.envelopes)}

    # -- invites --

    def _alive(self, invite_id: str) -> dict[str, Any] | None:
        invite = self.invites.get(invite_id)
        if invite is None or invite["ended"] or invite["uses"] >= invite["max_uses"]:
            return None
        expires = datetime.fromisoformat(invite["expires_at"]).timestamp() * 1000
        return invite if self.now < expires else None

    def _do_invite_create(self, caller: Caller, body: dict[str, Any]) -> Reply:
        if not self.is_member(caller, body["group_id"]):
            return no(403, "not_a_member")
        self.invites.setdefault(body["invite_id"], body | {"ended": False, "uses": 0})
        return 200, {"invite_id": body["invite_id"]}

    def _do_invite_info(self, caller: Caller, body: dict[str, Any]) -> Reply:
        invite = self._alive(body["invite_id"])
        return (200, dict(invite)) if invite else no(404, "invite_unavailable")

    def _do_invite_revoke(self, caller: Caller, body: dict[str, Any]) -> Reply:
        self.invites[body["invite_id"]]["ended"] = True
        for join in self.joins.values():
            if join["invite_id"] == body["invite_id"] and join["status"] in OPEN:
                join["status"] = "expired"
        return 200, {"invite_id": body["invite_id"]}

    def _do_invite_join(self, caller: Caller, body: dict[str, Any]) -> Reply:
        invite = self._alive(body["invite_id"])
        old = self.joins.get(body["join_id"])
        if old:
            return (
                (200, {"join_id": old["join_id"], "status": old["status"]})
                if old["tag"] == body["tag"]
                else no(409, "join_id_reused")
            )
        if not invite:
            return no(404, "invite_unavailable")
        if self.is_member(caller, invite["group_id"]):
            return no(409, "already_member")
        for join in self.joins.values():
            if (join["invite_id"], join["device_id"]) == (body["invite_id"], caller.device_id) and join[
                "status"
            ] in OPEN:
                return no(409, "join_open", join_id=join["join_id"])
        self.joins[body["join_id"]] = body | {
            "group_id": invite["group_id"],
            "device_id": caller.device_id,
            "user_id": caller.user_id,
            "status": "waiting",
        }
        return 200, {"join_id": body["join_id"], "status": "waiting"}

    def _do_invite_pending(self, caller: Caller, body: dict[str, Any]) -> Reply:
        return 200, {"joins": self.pending(caller)}

    def _do_invite_claim(self, caller: Caller, body: dict[str, Any]) -> Reply:
        join = self.joins[body["join_id"]]
        if join["status"] not in OPEN:
            return no(409, "not_open")
        held = join["status"] == "claimed" and self.now < join["claimed_until"]
        if held and join["claimed_by"] != caller.device_id:
            return no(409, "already_claimed")
        join |= {"status": "claimed", "claimed_by": caller.device_id, "claimed_until": self.now + CLAIM}
        return 200, {"join_id": body["join_id"]}

    def _do_invite_cancel(self, caller: Caller, body: dict[str, Any]) -> Reply:
        join = self.joins.get(body["join_id"])
        if join is None:
            return no(404, "unknown_join")
        if join["status"] == "welcomed":
            return no(409, "already_completed")
        join["status"] = "cancelled"
        return 200, {"join_id": body["join_id"], "status": "cancelled"}

    def _do_invite_poll(self, caller: Caller, body: dict[str, Any]) -> Reply:
        join = self.joins.get(body["join_id"])
        if join is None or join["device_id"] != caller.device_id:
            return no(404, "unknown_join")
        return 200, self.poll(body["join_id"])

    def _do_welcomes_list(self, caller: Caller, body: dict[str, Any]) -> Reply:
        wanted = body.get("group_id")
        return 200, {"welcomes": [one for one in self.welcomes(caller) if wanted in (None, one["group_id"])]}
