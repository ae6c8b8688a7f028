"""Commits: one winner an epoch; message, Welcomes, GroupInfo, roster and epoch all or nothing."""

import asyncio
import secrets
from typing import Any

from coterie_conformance import framing
from coterie_conformance.api import Device, Group, new_id
from coterie_conformance.catalog import check, require, same
from coterie_conformance.service import Json
from coterie_conformance.world import World


async def _state(device: Device, group: Group) -> dict[str, Any]:
    """All that a member can see of a group."""
    mine = await device.group(group)
    info = (await device.call("group_info_get", group_id=group.group_id)).ok()
    invites = (await device.call("invites_list", group_id=group.group_id)).ok()["invites"]
    return {**mine, "group_info": info, "invites": invites, "seqs": await device.seqs(group)}


@check(
    "Of two commits of one epoch the first wins; the other is told the present epoch and leaves nothing behind.",
    "RFC 9750 §5.2.1 (strongly consistent); D1; protocol, stale_epoch",
)
async def one_commit_wins_an_epoch(world: World) -> None:
    alice, bob, group = await world.couple()
    carol, dave = await world.guests(2)
    winner = alice.commit_body(group, add=[carol.device_id])
    loser = bob.commit_body(group, add=[dave.device_id])
    same((await alice.call("send_commit", **winner)).ok()["epoch"], 2, "the epoch after the commit")
    before = await _state(alice, group)
    same((await bob.call("send_commit", **loser)).refused(409, "stale_epoch")["epoch"], 2, "the epoch told")
    same(await _state(alice, group), before, "the group after the loser")
    same((await dave.call("groups_list")).ok()["groups"], [], "the groups of the loser's newcomer")


@check(
    "With a commit its message, Welcome, GroupInfo, roster and epoch are there, all of them.",
    "RFC 9750 §5.2.1, RFC 9420 §12.4.3; D2, D8; protocol, send_commit",
)
async def a_commit_is_whole(world: World) -> None:
    alice, bob, group = await world.couple()
    invite = await alice.invite(group)
    carol = await world.guest()
    join = await carol.ask(invite)
    body = alice.completing(group, invite, (carol, join), removed=[])
    answer = (await alice.call("invite_complete", **body)).ok()
    same((answer["seq"], answer["epoch"]), (2, 2), "the answer")
    state = await _state(bob, group)
    same(state["epoch"], 2, "the epoch")
    same(state["group_info"], {"epoch": 2, "group_info": body["group_info"]}, "the GroupInfo")
    roster = {one["device_id"] for one in state["roster"]}
    same(roster, {alice.device_id, bob.device_id, carol.device_id}, "the roster")
    same((await bob.envelopes(group))[-1]["mls_bytes"], body["commit"], "the commit as it is delivered")
    found = await carol.poll(join)
    same(found["status"], "welcomed", "the join")
    same(found["welcome_hex"], body["welcomes"][0]["welcome"], "the Welcome")
    same(found["welcome_tag"], body["joins"][0]["welcome_tag"], "its tag")
    same((found["group_id"], found["from_seq"]), (group.group_id, 3), "where delivery begins")
    same(state["invites"][0]["uses"], 1, "the uses of the invite")


def _wrong_commits(
    alice: Device, bob: Device, carol: Device, stranger: Device, group: Group
) -> dict[str, Json]:
    """Commits that must be refused, each for one reason."""
    mls_id, epoch = group.mls_id, group.epoch

    def body(**changes: Any) -> Json:
        return alice.commit_body(group, add=[carol.device_id], counter=1, **changes)

    def framed(data: bytes) -> Json:
        return body(commit=data.hex())

    data = framing.commit_data([carol.device_id], [], [], end_invites=False)

    def private(epoch: int = epoch, kind: int = framing.COMMIT, data: bytes = data) -> bytes:
        return framing.private_message(mls_id, epoch, kind, data)

    return {
        "header: an application message": framed(private(kind=framing.APPLICATION)),
        "header: a proposal": framed(private(kind=framing.PROPOSAL)),
        "header: the next epoch": framed(private(epoch + 1)),
        "header: the epoch before": framed(private(epoch - 1)),
        "header: a PublicMessage of a member": framed(
            framing.public_message(mls_id, epoch, framing.MEMBER)
        ),
        "header: a byte too many": framed(private() + b"\0"),
        "header: GroupInfo of this epoch": body(group_info=framing.group_info(mls_id, epoch).hex()),
        "header: GroupInfo of another group": body(
            group_info=framing.group_info(secrets.token_bytes(16), epoch + 1).hex()
        ),
        "header: a Welcome that is none": body(
            welcomes=[{"device_id": carol.device_id, "welcome": framing.posted_key_package().hex()}]
        ),
        "roster: another list than signed": body(added=[stranger.device_id], welcomes=[]),
        "roster: end_invites not signed": body(end_invites=True)
        | {"commit": private().hex()},
        "roster: no authenticated data": framed(private(data=b"")),
        "roster: not in its one spelling": framed(private(data=data.replace(b":", b": ", 1))),
        "roster: a Welcome for a device not added": alice.commit_body(
            group, add=[carol.device_id], welcomed=[carol.device_id, stranger.device_id], counter=1
        ),
        "roster: a Welcome for a member": alice.commit_body(group, add=[bob.device_id], counter=1),
        "roster: listed anew, never a member": alice.commit_body(
            group, add=[stranger.device_id], welcomed=[], counter=1
        ),
        "roster: removes a stranger": alice.commit_body(group, remove=[stranger.device_id], counter=1),
        "roster: removes itself": alice.commit_body(group, remove=[alice.device_id], counter=1),
        "roster: adds a device that is none": alice.commit_body(group, add=[new_id()], counter=1),
    }  # fmt: skip


@check(
    "A commit whose header, GroupInfo, Welcomes or roster do not match is refused and changes nothing.",
    "RFC 9420 §6, §12.4.3; RFC 9750 §5.2; D2; protocol, wrong_header and wrong_roster",
)
async def commits_that_do_not_match_change_nothing(world: World) -> None:
    alice, bob, group = await world.couple()
    carol, stranger = await world.guests(2)
    before = await _state(alice, group)
    wrong = _wrong_commits(alice, bob, carol, stranger, group)
    for name, body in wrong.items():
        code = "wrong_header" if name.startswith("header") else "wrong_roster"
        answer = await alice.call("send_commit", **body)
        require(answer.outcome == (422, code), f"{name} was answered with {answer.outcome}")
        same(await _state(alice, group), before, f"the group after {name!r}")
    for one in (carol, stranger):
        same((await one.call("groups_list")).ok()["groups"], [], "the groups of a device that was not added")
    (await alice.commit(group, add=[carol.device_id], counter=1)).ok()  # the same, as it should be
    world.note(f"{len(wrong)} wrong commits")


@check(
    "A commit with a join that cannot be completed changes nothing: no message, no epoch, no other join's Welcome.",
    "RFC 9750 §5.2; D2; design §4 (all or nothing); protocol, already_completed and not_open",
)
async def commits_with_joins_are_all_or_nothing(world: World) -> None:
    alice, _, group = await world.couple()
    carol, dave = await world.guests(2)
    invite, asked = await alice.invite(group), await alice.invite(group, approval=True)
    good, waits = await carol.ask(invite), await dave.ask(asked)
    before = await _state(alice, group)

    async def attempt(**joins: Any) -> Any:
        body = alice.commit_body(
            group, add=[carol.device_id, dave.device_id], invites=[invite, asked], counter=1
        )
        body["joins"] = [
            {"join_id": good.join_id, "welcome_tag": "11" * 32},
            {"join_id": joins.get("second", waits.join_id), "welcome_tag": "22" * 32},
        ]
        return await alice.call("invite_complete", **body)

    (await attempt()).refused(409, "not_open")
    (await attempt(second=new_id())).refused(409, "already_completed")
    (await dave.call("invite_cancel", join_id=waits.join_id)).ok()
    (await attempt()).refused(409, "already_completed")
    same(await _state(alice, group), before, "the group")
    found = await carol.poll(good)
    same(
        (found["status"], found["welcome_hex"]), ("waiting", None), "the join that could have been completed"
    )


@check("A commit that is sent again gets the same answer, also many times at once.", "design §4 (retries)")
async def a_commit_retry_gets_the_same_answer(world: World) -> None:
    alice, bob, group = await world.couple()
    carol = await world.guest()
    body = alice.commit_body(group, add=[carol.device_id])
    answers = await asyncio.gather(*(alice.call("send_commit", **body) for _ in range(10)))
    same({str(one.ok()) for one in answers}, {str(answers[0].ok())}, "the answers")
    (await alice.send(Group(group.group_id, group.mls_id, 2))).ok()
    same((await alice.call("send_commit", **body)).ok(), answers[0].ok(), "the answer later")
    same(await alice.seqs(group), [1, 2, 3], "the seqs")
    (await bob.call("send_commit", **body)).refused(409, "message_id_reused")


@check(
    "An external commit that returns a member's own device is taken, with counter 0 and no change of roster.",
    "RFC 9420 §12.4.3.2, RFC 9750 §7 (D7, the way back); protocol, a rejoin",
)
async def a_member_may_rejoin(world: World) -> None:
    alice, bob, group = await world.couple()

    def rejoin(**changes: Any) -> Json:
        body = bob.commit_body(group, counter=1)
        commit = framing.public_message(group.mls_id, group.epoch)
        return {**body, "commit": commit.hex(), "counter": 0, **changes}

    (await bob.call("send_commit", **rejoin(counter=1))).refused(422, "wrong_header")
    carol = await world.guest()
    (await bob.call("send_commit", **rejoin(added=[carol.device_id]))).refused(422, "wrong_roster")
    same((await bob.call("send_commit", **rejoin())).ok()["epoch"], 2, "the epoch after the rejoin")
    (await carol.call("send_commit", **rejoin())).refused(403, "not_a_member")
    (await alice.send(Group(group.group_id, group.mls_id, 2))).ok()


@check(
    "A GroupInfo is given to members' devices alone, and it is that of the present epoch.",
    "RFC 9750 §5.2, RFC 9420 §12.4.3.2; D8; protocol, group_info_get",
)
async def group_info_is_for_members(world: World) -> None:
    alice, bob, group = await world.couple()
    stranger = await world.guest()
    (await stranger.call("group_info_get", group_id=group.group_id)).refused(403, "not_a_member")
    body = alice.commit_body(group, remove=[bob.device_id])
    (await alice.call("send_commit", **body)).ok()
    (await bob.call("group_info_get", group_id=group.group_id)).refused(403, "not_a_member")
    found = (await alice.call("group_info_get", group_id=group.group_id)).ok()
    same(found, {"epoch": 2, "group_info": body["group_info"]}, "the GroupInfo")


@check(
    "Commits that add and remove nobody are taken rarely; the refusal says when to try again.",
    "design §4 (against livelock); protocol, too_soon",
)
async def empty_commits_are_rare(world: World) -> None:
    alice = await world.guest()
    group = await alice.create_group()
    (await alice.commit(group)).ok()
    answer = await alice.commit(group)
    require(answer.refused(429, "too_soon")["retry_after"] > 0, "retry_after is not above 0")
    require(int(answer.headers["retry-after"]) >= 1, "there is no Retry-After header in whole seconds")
    bob = await world.guest()
    (await alice.commit(group, add=[bob.device_id])).ok()  # one that changes the roster is not held up


@check(
    "A pause that a device asked for holds up the commits of the others, and not its own.",
    "design §4 (against livelock); protocol, commit_pause",
)
async def a_pause_holds_up_others(world: World) -> None:
    alice, bob, group = await world.couple()
    carol, dave = await world.guests(2)
    (await bob.call("commit_pause", group_id=group.group_id)).ok()
    answer = await alice.commit(group, add=[carol.device_id])
    if answer.status == 200:  # the pause of 500 ms was over before the request came
        world.note("the pause was over too soon to be seen")
    else:
        answer.refused(429, "too_soon")
    (await bob.commit(group, add=[dave.device_id])).ok()
    (await bob.call("commit_pause", group_id=group.group_id)).refused(429, "too_soon")


@check(
    "A commit that ends invites ends all of the group's, with their open joins, in the same step.",
    "design §5; protocol, send_commit (end_invites)",
)
async def a_commit_may_end_invites(world: World) -> None:
    alice, bob, group = await world.couple()
    invite = await alice.invite(group)
    carol = await world.guest()
    join = await carol.ask(invite)
    (await alice.commit(group, remove=[bob.device_id], end_invites=True)).ok()
    same((await carol.poll(join))["status"], "expired", "the open join")
    (await carol.call("invite_info", invite_id=invite.hex())).refused(404, "invite_unavailable")
    (await alice.complete(group, invite, (carol, join))).refused(409, "already_completed")


@check(
    "group_create is repeatable, and a group id belongs to who was first.",
    "design §4; protocol, group_create",
)
async def groups_are_created_once(world: World) -> None:
    alice, bob = await world.guests(2)
    body: Json = {
        "group_id": new_id(),
        "group_info": framing.group_info(secrets.token_bytes(16), 0).hex(),
        "message_id": new_id(),
    }
    first = (await alice.call("group_create", **body)).ok()
    same(first, {"group_id": body["group_id"], "epoch": 0, "seq": 0}, "the answer")
    same((await alice.call("group_create", **body)).ok(), first, "the answer of a retry")
    (await bob.call("group_create", **body)).refused(409, "group_exists")
    later = framing.group_info(secrets.token_bytes(16), 3).hex()
    answer = await alice.call("group_create", **{**body, "group_id": new_id(), "group_info": later})
    answer.refused(422, "wrong_header")
