"""Who may read and write when: newcomers, those removed, those who left, those added anew."""

from coterie_conformance.api import Device, Group, new_id
from coterie_conformance.catalog import check, require, same
from coterie_conformance.service import Json
from coterie_conformance.sockets import listening
from coterie_conformance.world import World


async def _is_cut_off(device: Device, group: Group) -> None:
    """Neither writes, nor reads what members alone may read."""
    (await device.send(group)).refused(403, "not_a_member")
    (await device.call("send_commit", **device.commit_body(group))).refused(403, "not_a_member")
    (await device.call("commit_pause", group_id=group.group_id)).refused(403, "not_a_member")
    (await device.call("group_info_get", group_id=group.group_id)).refused(403, "not_a_member")
    (await device.call("invites_list", group_id=group.group_id)).refused(403, "not_a_member")


@check(
    "A newcomer reads from the message after its commit on, and nothing before.",
    "RFC 9750 §5.2; protocol, from_seq",
)
async def newcomers_read_from_their_start(world: World) -> None:
    alice, bob = await world.guests(2)
    group = await alice.create_group()
    (await alice.send(group)).ok()
    await alice.add(group, bob)
    (await alice.send(group)).ok()
    same(await bob.seqs(group), [3], "what the newcomer reads")
    mine = await bob.group(group)
    same((mine["from_seq"], mine["joined"]), (3, True), "from_seq and joined")


@check(
    "A removed device reads up to the commit that removed it and nothing after, and writes nothing.",
    "RFC 9750 §8 (access), RFC 9420 §12.3; protocol, until_seq",
)
async def removed_devices_are_cut_off(world: World) -> None:
    alice, bob, group = await world.couple()
    (await alice.commit(group, remove=[bob.device_id])).ok()
    await _is_cut_off(bob, group)
    (await alice.send(group)).ok()
    same(await bob.seqs(group), [2], "what the removed device reads")
    same((await bob.messages(group))["last_seq"], 2, "the last_seq that it is told")
    mine = await bob.group(group)
    same((mine["until_seq"], mine["last_seq"]), (2, 2), "until_seq and last_seq")
    same((mine["epoch"], mine["roster"]), (None, []), "epoch and roster")


@check(
    "A removed device's open socket gets the removing commit, is told so, and gets nothing of the group after.",
    "RFC 9750 §8; protocol, the socket (removed)",
)
async def removed_devices_are_cut_off_on_the_socket(world: World) -> None:
    alice, bob, group = await world.couple()
    other = await alice.create_group()
    await alice.add(other, bob)
    async with listening(bob) as socket:
        await socket.caught_up(group)
        (await alice.commit(group, remove=[bob.device_id])).ok()
        (await alice.send(group)).ok()
        removed = await socket.until("removed")
        same((removed["group_id"], removed["until_seq"]), (group.group_id, 2), "the frame")
        (await alice.send(group)).ok()
        (await alice.send(other)).ok()
        await socket.until_seq(other, 2)
        await socket.settle()
        same(socket.seqs(group), [2], "what came of the group")
    async with listening(bob, {group.group_id: 1}) as again:
        await again.until("removed")
        await again.settle()
        same(again.seqs(group), [2], "what comes after a reconnect")


@check("A device that has left is cut off at the message before.", "RFC 9750 §6.4; protocol, group_leave")
async def devices_that_left_are_cut_off(world: World) -> None:
    alice, bob, group = await world.couple()
    (await alice.send(group)).ok()
    left = (await bob.call("group_leave", group_id=group.group_id)).ok()
    same(left["until_seq"], 2, "until_seq")
    same((await bob.call("group_leave", group_id=group.group_id)).ok(), left, "the answer of a retry")
    await _is_cut_off(bob, group)
    (await alice.commit(group, remove=[bob.device_id])).ok()
    same((await bob.group(group))["until_seq"], 2, "until_seq after the removal")
    same(await bob.seqs(group), [2], "what it reads")


@check(
    "A device that is removed and added again begins anew: what lay between is not its to read.",
    "RFC 9420 §12.1.1; protocol, added",
)
async def devices_added_again_begin_anew(world: World) -> None:
    alice, bob, group = await world.couple()
    (await alice.commit(group, remove=[bob.device_id])).ok()
    (await alice.send(group)).ok()
    (await alice.commit(group, add=[bob.device_id])).ok()
    (await alice.send(group)).ok()
    mine = await bob.group(group)
    same((mine["from_seq"], mine["joined"], mine["counter"]), (5, False, 0), "from_seq, joined, counter")
    (await bob.call("group_join", group_id=group.group_id)).ok()
    same(await bob.seqs(group), [5], "what it reads")


@check(
    "A device that a wrong roster left out is listed again by the next commit and gets what it missed.",
    "RFC 9750 §7 (D7, the way back); protocol, added without a Welcome",
)
async def a_wrong_roster_is_mended(world: World) -> None:
    alice, bob, group = await world.couple()
    (await alice.commit(group, remove=[bob.device_id])).ok()
    (await alice.send(group)).ok()
    (await alice.commit(group, add=[bob.device_id], welcomed=[])).ok()
    same(await bob.seqs(group), [2, 3, 4], "what it reads")
    (await bob.send(group)).ok()


@check(
    "Strangers learn nothing: a group, join or invite of others is answered as one that does not exist.",
    "RFC 9750 §8 (D8); protocol, not_a_member",
)
async def strangers_learn_nothing(world: World) -> None:
    alice, _, group = await world.couple()
    invite = await alice.invite(group)
    carol, eve = await world.guests(2)
    join = await carol.ask(invite)
    pairs: dict[str, tuple[Json, Json]] = {
        "get_messages": ({"group_id": group.group_id, "after": 0}, {"group_id": new_id(), "after": 0}),
        "group_info_get": ({"group_id": group.group_id}, {"group_id": new_id()}),
        "group_join": ({"group_id": group.group_id}, {"group_id": new_id()}),
        "group_leave": ({"group_id": group.group_id}, {"group_id": new_id()}),
        "commit_pause": ({"group_id": group.group_id}, {"group_id": new_id()}),
        "invites_list": ({"group_id": group.group_id}, {"group_id": new_id()}),
        "invite_revoke": ({"invite_id": invite.hex()}, {"invite_id": "ab" * 16}),
        "invite_claim": ({"join_id": join.join_id}, {"join_id": new_id()}),
        "invite_cancel": ({"join_id": join.join_id}, {"join_id": new_id()}),
        "invite_poll": ({"join_id": join.join_id}, {"join_id": new_id()}),
        "invite_decide": (
            {"join_id": join.join_id, "approve": True},
            {"join_id": new_id(), "approve": True},
        ),
        "send_message": (eve.message(group), eve.message(Group(new_id()))),
        "send_commit": (eve.commit_body(group), eve.commit_body(Group(new_id()))),
    }
    for function, (real, made_up) in pairs.items():
        found, unknown = await eve.call(function, **real), await eve.call(function, **made_up)
        same(
            (found.status, found.body), (unknown.status, unknown.body), f"{function} of others and of nothing"
        )
        require(found.status in (403, 404), f"{function} answers a stranger with {found.outcome}")
