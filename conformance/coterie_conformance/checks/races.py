"""Many at one instant, and exactly one of them: epochs, one-use invites, claims, joins, key packages."""

import asyncio
import contextlib
import statistics
import time
from collections import Counter
from dataclasses import dataclass

from coterie_conformance.api import Device, Group, Join, new_id
from coterie_conformance.catalog import Broken, check, require, same
from coterie_conformance.checks.key_packages import publish, served
from coterie_conformance.service import Answer, Json
from coterie_conformance.sockets import Socket, listening
from coterie_conformance.volley import Shot
from coterie_conformance.world import World

_TARGETS = 10
"""Newcomers whom the committers of a round add, each of them one."""
_ADD_AT_ONCE = 250


async def _member_crowd(world: World, count: int) -> tuple[list[Device], Group]:
    """A group with `count` members, its owner first."""
    members = await world.crowd(count)
    owner, *others = members
    group = await owner.create_group()
    for start in range(0, len(others), _ADD_AT_ONCE):
        part = others[start : start + _ADD_AT_ONCE]
        (await owner.commit(group, add=[one.device_id for one in part])).ok()
        await asyncio.gather(*(one.call("group_join", group_id=group.group_id) for one in part))
    return members, group


@dataclass(slots=True)
class _Target:
    """A newcomer: some have asked through the link, some are added without having asked."""

    device: Device
    join: Join | None
    socket: Socket

    async def look(self) -> tuple[int, str]:
        """How many groups this device is in, and all that it can read in which a Welcome could stand, as text."""
        groups = (await self.device.call("groups_list")).ok()["groups"]
        found: list[object] = [groups, (await self.device.call("welcomes_list")).ok()]
        if self.join is not None:
            found.append(await self.device.poll(self.join))
        await self.socket.settle()
        return len(groups), str((found, self.socket.frames))


class _CommitRace:
    """Rounds of many committers on one epoch. Every committer adds one of a few newcomers with a Welcome of its own."""

    def __init__(
        self, world: World, members: list[Device], group: Group, stack: contextlib.AsyncExitStack
    ) -> None:
        self.world, self.members, self.group, self.stack = world, members, group, stack
        self.targets: list[_Target] = []
        self.seconds: list[float] = []
        self.invite = b""

    async def replenish(self) -> None:
        """New newcomers for those who have come in."""
        while len(self.targets) < _TARGETS:
            device = await self.world.guest()
            socket = await self.stack.enter_async_context(listening(device))
            join = await device.ask(self.invite) if self.world.random.random() < 0.5 else None
            self.targets.append(_Target(device, join, socket))

    def _shot(self, number: int, member: Device) -> Shot:
        target = self.targets[number % _TARGETS]
        if target.join is None:
            return Shot(member, "send_commit", member.commit_body(self.group, add=[target.device.device_id]))
        return Shot(
            member,
            "invite_complete",
            member.completing(self.group, self.invite, (target.device, target.join)),
        )

    async def round(self) -> None:
        """One epoch: exactly one winner, and nothing of the others."""
        await self.replenish()
        before = (await self.members[0].group(self.group))["last_seq"]
        shots = [
            self._shot(*one) for one in enumerate(self.world.random.sample(self.members, len(self.members)))
        ]
        began = time.perf_counter()
        answers = await self.world.volley.fire(shots)
        self.seconds.append(time.perf_counter() - began)
        winner = self._one_winner(answers)
        self.group.epoch += 1
        await self._whole(shots[winner].body, before + 1)
        await self._losers_left_nothing(shots, winner)
        del self.targets[winner % _TARGETS]

    def _one_winner(self, answers: list[Answer]) -> int:
        outcomes = Counter(one.outcome for one in answers)
        expected = Counter({(200, None): 1, (409, "stale_epoch"): len(answers) - 1})
        same(dict(outcomes), dict(expected), f"the answers of epoch {self.group.epoch}")
        present = {one.body["epoch"] for one in answers}
        same(present, {self.group.epoch + 1}, "the epoch that all were told")
        return next(number for number, one in enumerate(answers) if one.status == 200)

    async def _whole(self, body: Json, seq: int) -> None:
        """The epoch has the winner's commit and GroupInfo."""
        envelopes = await self.members[-1].envelopes(self.group, seq - 1)
        same([one["seq"] for one in envelopes], [seq], "what the epoch added")
        same(envelopes[0]["mls_bytes"], body["commit"], "the commit of the epoch")
        info = (await self.members[-1].call("group_info_get", group_id=self.group.group_id)).ok()
        same(info, {"epoch": self.group.epoch, "group_info": body["group_info"]}, "the GroupInfo")

    async def _losers_left_nothing(self, shots: list[Shot], winner: int) -> None:
        """No newcomer can read a Welcome but the winner's; each Welcome is for one of them alone."""
        seen = await asyncio.gather(*(one.look() for one in self.targets))
        texts = "".join(text for _, text in seen)
        for number, shot in enumerate(shots):
            found = shot.body["welcomes"][0]["welcome"] in texts
            require(number == winner or not found, "the Welcome of a commit that lost can be read")
            require(number != winner or found, "the winner's Welcome cannot be read")
        groups = [count for count, _ in seen]
        same(groups, [int(number == winner % _TARGETS) for number in range(_TARGETS)], "newcomers' groups")


@check(
    "Of many devices that commit on one epoch at one instant exactly one wins, and no loser's Welcome can be read.",
    "RFC 9750 §5.2.1; D1, D2; protocol, send_commit",
)
async def one_of_many_commits_wins(world: World) -> None:
    members, group = await _member_crowd(world, world.sizes.committers)
    async with contextlib.AsyncExitStack() as stack:
        race = _CommitRace(world, members, group, stack)
        race.invite = await members[0].invite(group, max_uses=100_000)
        for _ in range(world.sizes.rounds):
            await race.round()
    middle = statistics.median(race.seconds)
    world.note(
        f"{len(race.seconds)} rounds of {len(members)} committers in flight: 1 winner each, 0 losers' "
        f"Welcomes readable; a round took {middle:.2f} s, {len(members) / middle:.0f} commits answered a second"
    )


async def _complete_all(
    world: World, group: Group, invite: bytes, racers: list[tuple[Device, Device, Join]]
) -> Counter[tuple[int, str | None]]:
    """Every member completes one device's join. Who loses the epoch tries again in the next one, all at once."""
    outcomes: Counter[tuple[int, str | None]] = Counter()
    for _ in range(10):
        shots = [
            Shot(member, "invite_complete", member.completing(group, invite, (joiner, join)))
            for member, joiner, join in racers
        ]
        answers = await world.volley.fire(shots)
        outcomes += Counter(one.outcome for one in answers if one.code != "stale_epoch")
        stale = [one.code == "stale_epoch" for one in answers]
        racers = [racer for racer, again in zip(racers, stale, strict=True) if again]
        if not racers:
            return outcomes
        group.epoch = max(one.body["epoch"] for one in answers if "epoch" in one.body)
    raise Broken("after ten attempts the epoch is still stale")


@check(
    "Of many who come through a one-use invite at one instant exactly one gets in.",
    "design §4 and §5; protocol, invite_complete",
)
async def one_use_invites_let_one_in(world: World) -> None:
    count = world.sizes.racers
    crowd = await world.crowd(2 * count)
    joiners, members = crowd[:count], [await world.guest(), *crowd[count : 2 * count - 1]]
    group = await members[0].create_group()
    await members[0].add(group, *members[1:])
    invite = await members[0].invite(group, max_uses=1)
    joins = await asyncio.gather(*(one.ask(invite) for one in joiners))
    outcomes = await _complete_all(world, group, invite, list(zip(members, joiners, joins, strict=True)))
    same(outcomes.pop((200, None), 0), 1, "completed joins")
    late = {(409, "already_completed"), (409, "invites_ended")}
    require(set(outcomes) <= late, f"the others were answered with {outcomes}")
    states = [await device.poll(join) for device, join in zip(joiners, joins, strict=True)]
    found = Counter(one["status"] for one in states)
    same(found, Counter({"expired": count - 1, "welcomed": 1}), "the joins")
    same(sum(one["welcome_hex"] is not None for one in states), 1, "Welcomes that can be read")
    world.note(f"{count} racers, 1 came in")


@check(
    "Of many members that claim one join at one instant exactly one has it.",
    "design §4; protocol, invite_claim",
)
async def one_of_many_claims_a_join(world: World) -> None:
    members, group = await _member_crowd(world, world.sizes.racers)
    joiner = await world.guest()
    join = await joiner.ask(await members[0].invite(group))
    answers = await world.volley.fire(
        [Shot(one, "invite_claim", {"join_id": join.join_id}) for one in members]
    )
    outcomes = Counter(one.outcome for one in answers)
    same(dict(outcomes), {(200, None): 1, (409, "already_claimed"): len(members) - 1}, "the answers")
    same(len({one.body["claimed_until"] for one in answers}), 1, "the ends of the claim that were told")
    world.note(f"{len(members)} racers, 1 has it")


@check(
    "Of many that complete one join, each in the epoch that it finds, exactly one does.",
    "design §4; protocol, already_completed",
)
async def one_of_many_completes_a_join(world: World) -> None:
    members, group = await _member_crowd(world, min(10, world.sizes.racers))
    joiner = await world.guest()
    invite = await members[0].invite(group)
    join = await joiner.ask(invite)

    async def complete(member: Device) -> Answer:
        mine = Group(group.group_id, group.mls_id, group.epoch)
        while (answer := await member.complete(mine, invite, (joiner, join))).code == "stale_epoch":
            mine.epoch = answer.body["epoch"]
        return answer

    answers = await asyncio.gather(*(complete(one) for one in members))
    outcomes = Counter(one.outcome for one in answers)
    expected = {(200, None): 1, (409, "already_completed"): len(members) - 1}
    same(dict(outcomes), expected, "the answers")


@check(
    "Of many that claim a device's last key package at one instant exactly one gets it, the others the last resort.",
    "RFC 9420 §10, §16.8; RFC 9750 §5.1; D5; protocol, key_packages_claim",
)
async def one_of_many_gets_the_last_key_package(world: World) -> None:
    members, _ = await _member_crowd(world, world.sizes.racers + 1)
    holder, *claimers = members
    for with_last_resort in (False, True):
        one, last = await publish(holder, 1, last_resort=with_last_resort)
        body = {"user_ids": [holder.user_id]}
        answers = await world.volley.fire(
            [Shot(claimer, "key_packages_claim", {**body, "claim_id": new_id()}) for claimer in claimers]
        )
        given = [served(answer.ok(), holder) for answer in answers]
        same(given.count(one[0]), 1, "claims that got the last package")
        rest = Counter(package for package in given if package != one[0])
        same(dict(rest), {last if with_last_resort else None: len(claimers) - 1}, "what the others got")
    world.note(f"{len(claimers)} racers, 1 got it")
