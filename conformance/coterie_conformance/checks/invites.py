"""Links and joins: one answer for what cannot be used, uses counted once, a Welcome for its joiner alone."""

import asyncio
import statistics
import time

from coterie_conformance.api import Device, from_now, invite_body, join_body, new_id
from coterie_conformance.catalog import check, require, same
from coterie_conformance.service import Answer
from coterie_conformance.world import World


@check("Whoever holds the invite id reads the sealed preview, and nothing else.", "protocol, invite_info")
async def an_invite_shows_its_preview(world: World) -> None:
    alice, eve = await world.guests(2)
    group = await alice.create_group()
    body = invite_body(group)
    first = (await alice.call("invite_create", **body)).ok()
    same((await alice.call("invite_create", **body)).ok(), first, "the answer of a retry")
    found = (await eve.call("invite_info", invite_id=body["invite_id"])).ok()
    same(set(found), {"invite_id", "preview", "expires_at", "approval"}, "the fields of invite_info")
    same(found["preview"], body["preview"], "the preview")
    other = {**body, "preview": "00"}
    (await alice.call("invite_create", **other)).refused(409, "invite_exists")


async def _unusable(world: World, alice: Device) -> dict[str, str]:
    """Invite ids that cannot be used, by the reason."""
    group = await alice.create_group()
    revoked = await alice.invite(group)
    (await alice.call("invite_revoke", invite_id=revoked.hex())).ok()
    used = await alice.invite(group, max_uses=1)
    bob = await world.guest()
    (await alice.complete(group, used, (bob, await bob.ask(used)))).ok()
    expired = await alice.invite(group, expires_at=from_now(seconds=1))
    await asyncio.sleep(1.2)
    return {"unknown": "5a" * 16, "revoked": revoked.hex(), "used up": used.hex(), "expired": expired.hex()}


@check(
    "Unknown, expired, revoked and used-up invites get one and the same answer, from both functions that take them.",
    "design §4 and §5; protocol, invite_unavailable",
)
async def unusable_invites_look_alike(world: World) -> None:
    alice, eve = await world.guests(2)
    ids = await _unusable(world, alice)

    def visible(answer: Answer) -> tuple[object, ...]:
        """All that differs between two answers but the time of day and what a server counts."""
        names = sorted(name for name in answer.headers if name not in ("date", "x-request-id"))
        return (answer.status, answer.body, names)

    expected = None
    for reason, invite in ids.items():
        for function, body in (
            ("invite_info", {"invite_id": invite}),
            ("invite_join", join_body(bytes.fromhex(invite))),
        ):
            answer = await eve.call(function, **body)
            answer.refused(404, "invite_unavailable")
            expected = expected or visible(answer)
            same(visible(answer), expected, f"{function} of an invite that is {reason}")


@check(
    "The time of that answer says nothing either: told here as a ratio of medians, because time is not asserted.",
    "design §4 (in one time); protocol, invite_unavailable",
)
async def unusable_invites_take_one_time(world: World) -> None:
    alice, eve = await world.guests(2)
    ids = await _unusable(world, alice)
    times: dict[str, list[float]] = {reason: [] for reason in ids}
    for _ in range(max(10, world.sizes.messages // 2)):
        for reason, invite in world.random.sample(sorted(ids.items()), len(ids)):
            began = time.perf_counter()
            await eve.call("invite_info", invite_id=invite)
            times[reason].append(time.perf_counter() - began)
    base = statistics.median(times["unknown"])
    ratios = (f"{reason} {statistics.median(found) / base:.2f}" for reason, found in times.items())
    world.note(f"medians against unknown: {', '.join(ratios)}")


@check(
    "A join that is posted again is the same join; a device has one open join per invite.",
    "design §4; protocol, invite_join",
)
async def joins_are_posted_once(world: World) -> None:
    alice, bob, carol = await world.guests(3)
    group = await alice.create_group()
    invite = await alice.invite(group)
    body = join_body(invite)
    first = (await bob.call("invite_join", **body)).ok()
    same(first, {"join_id": body["join_id"], "status": "waiting"}, "the answer")
    same((await bob.call("invite_join", **body)).ok(), first, "the answer of a retry")
    (await carol.call("invite_join", **body)).refused(409, "join_id_reused")
    found = (await bob.call("invite_join", **join_body(invite))).refused(409, "join_open")
    same(found["join_id"], body["join_id"], "the open join that is named")
    (await alice.call("invite_join", **join_body(invite))).refused(409, "already_member")


@check(
    "A join and its Welcome are the joining device's alone to poll and to cancel.",
    "RFC 9750 §5.2 (Welcome Messages); protocol, invite_poll",
)
async def a_join_belongs_to_its_device(world: World) -> None:
    alice, bob, group = await world.couple()
    carol, eve = await world.guests(2)
    invite = await alice.invite(group)
    join = await carol.ask(invite)
    (await alice.complete(group, invite, (carol, join))).ok()
    for other in (alice, bob, eve):
        (await other.call("invite_poll", join_id=join.join_id)).refused(404, "unknown_join")
        (await other.call("invite_cancel", join_id=join.join_id)).refused(404, "unknown_join")
    (await carol.call("invite_cancel", join_id=join.join_id)).refused(409, "already_completed")
    require((await carol.poll(join))["welcome_hex"], "the joiner does not get its Welcome")
    (await carol.call("group_join", group_id=group.group_id)).ok()
    found = await carol.poll(join)
    same((found["status"], found["welcome_hex"]), ("joined", None), "the join after group_join")


@check(
    "Where approval is asked for, nobody comes in before a member has approved; a refusal ends the join.",
    "protocol, invite_decide",
)
async def approval_comes_first(world: World) -> None:
    alice, bob, carol = await world.guests(3)
    group = await alice.create_group()
    invite = await alice.invite(group, approval=True)
    wanted, refused = await bob.ask(invite), await carol.ask(invite)
    (await alice.complete(group, invite, (bob, wanted))).refused(409, "not_open")
    (await bob.call("invite_decide", join_id=wanted.join_id, approve=True)).refused(404, "unknown_join")
    found = (await alice.call("invite_decide", join_id=refused.join_id, approve=False)).ok()
    same(found["status"], "refused", "the refused join")
    (await alice.complete(group, invite, (carol, refused))).refused(409, "already_completed")
    (await alice.call("invite_decide", join_id=wanted.join_id, approve=True)).ok()
    (await alice.complete(group, invite, (bob, wanted))).ok()
    same((await carol.poll(refused))["welcome_hex"], None, "the refused joiner's Welcome")


@check(
    "A cancelled join is never completed; revoking an invite ends its open joins.",
    "protocol, invite_cancel and invite_revoke",
)
async def ended_joins_stay_ended(world: World) -> None:
    alice, bob, carol = await world.guests(3)
    group = await alice.create_group()
    invite = await alice.invite(group)
    cancelled, open_one = await bob.ask(invite), await carol.ask(invite)
    same((await bob.call("invite_cancel", join_id=cancelled.join_id)).ok()["status"], "cancelled", "the join")
    (await alice.complete(group, invite, (bob, cancelled))).refused(409, "already_completed")
    (await alice.call("invite_revoke", invite_id=invite.hex())).ok()
    same((await carol.poll(open_one))["status"], "expired", "the open join of a revoked invite")
    (await alice.complete(group, invite, (carol, open_one))).refused(409, "already_completed")
    same((await alice.call("invite_pending")).ok()["joins"], [], "what waits")


@check(
    "A use is counted when a join completes, and the last one ends the other open joins.",
    "protocol, invite_complete",
)
async def uses_are_counted_at_completion(world: World) -> None:
    alice, bob, carol, dave = await world.guests(4)
    group = await alice.create_group()
    invite = await alice.invite(group, max_uses=2)
    joins = [(one, await one.ask(invite)) for one in (bob, carol, dave)]
    for count, (device, join) in enumerate(joins[:2], start=1):
        (await alice.complete(group, invite, (device, join))).ok()
        listed = (await alice.call("invites_list", group_id=group.group_id)).ok()["invites"][0]
        same(listed["uses"], count, "the uses")
    same((await dave.poll(joins[2][1]))["status"], "expired", "the third join")
    (await alice.complete(group, invite, joins[2])).refused(409, "already_completed")


@check(
    "A claim is one device's until it lapses; then another takes over, and who let it lapse has to wait.",
    "design §4; protocol, invite_claim",
)
async def claims_lapse(world: World) -> None:
    alice, bob, group = await world.couple()
    carol = await world.guest()
    join = await carol.ask(await alice.invite(group))
    (await alice.call("invite_claim", join_id=join.join_id)).ok()
    (await bob.call("invite_claim", join_id=join.join_id)).refused(409, "already_claimed")
    before = time.monotonic()
    while (answer := await bob.call("invite_claim", join_id=join.join_id)).status == 409:
        spent = time.monotonic() - before
        await world.wait_for(0.1 if spent < world.sizes.patience else spent + 1, "a claim")
    answer.ok()
    (await alice.call("invite_claim", join_id=join.join_id)).refused(409, "already_claimed")


@check("At most 100 joins wait on one invite; the next is told to come later.", "protocol, too_many; D9")
async def waiting_joins_are_bounded(world: World) -> None:
    crowd = await world.crowd(101)
    alice = await world.guest()
    group = await alice.create_group()
    invite = await alice.invite(group, max_uses=1000)
    for device in crowd[:100]:
        await device.ask(invite)
    answer = await crowd[100].call("invite_join", **join_body(invite))
    require(answer.refused(429, "too_many")["retry_after"] > 0, "retry_after is not above 0")


@check("Only members make, list, revoke and decide; nothing is done for others.", "protocol, invites")
async def invites_are_for_members(world: World) -> None:
    alice, eve = await world.guests(2)
    group = await alice.create_group()
    invite = await alice.invite(group)
    (await eve.call("invite_create", **invite_body(group))).refused(403, "not_a_member")
    (await eve.call("invites_list", group_id=group.group_id)).refused(403, "not_a_member")
    (await eve.call("invite_revoke", invite_id=invite.hex())).refused(403, "not_a_member")
    (await eve.call("invite_revoke", invite_id="cd" * 16)).refused(403, "not_a_member")
    (await eve.call("invite_claim", join_id=new_id())).refused(403, "not_a_member")
    same((await eve.call("invite_pending")).ok()["joins"], [], "what a stranger sees waiting")
    (await eve.call("invite_info", invite_id=invite.hex())).ok()
