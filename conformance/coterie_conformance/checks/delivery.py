"""The socket: order, no gap and no double between catch-up and live, the same as polling."""

import asyncio
import json

from coterie_conformance.api import Device, Group
from coterie_conformance.catalog import check, require, same
from coterie_conformance.service import Json
from coterie_conformance.sockets import WAIT_SECONDS, listening, open_socket
from coterie_conformance.world import World


@check(
    "A socket that opens while others send gets every message once and in order, wherever its cursor stands.",
    "RFC 9750 §5.2; D4; protocol, the socket",
)
async def catch_up_and_live_meet(world: World) -> None:
    alice, bob, group = await world.couple()
    last = 1 + world.sizes.messages

    async def read(after: int) -> int:
        """Read up to somewhere, then go away; where it came to."""
        async with listening(bob, {group.group_id: after}) as socket:
            stop = min(last, after + world.random.randint(1, 40))
            await socket.until_seq(group, stop)
            seqs = socket.seqs(group)
            same(seqs, list(range(after + 1, seqs[-1] + 1)), f"the seqs after cursor {after}")
            return seqs[-1]

    sending = asyncio.create_task(alice.send_many(group, world.sizes.messages))
    cursor, sockets = 1, 0
    while cursor < last:
        cursor, sockets = await read(cursor), sockets + 1
    await sending
    world.note(f"{world.sizes.messages} messages over {sockets} sockets")


@check("What a socket delivers is what polling reads, envelope by envelope.", "design §4; protocol, deliver")
async def polling_equals_the_socket(world: World) -> None:
    alice, bob, group = await world.couple()
    carol = await world.guest()
    for _ in range(3):
        (await alice.send(group)).ok()
    async with listening(bob) as socket:
        await socket.caught_up(group)
        (await bob.send(group)).ok()
        (await alice.commit(group, add=[carol.device_id])).ok()
        (await alice.send(group)).ok()
        await socket.until_seq(group, 7)
        same(socket.envelopes(group), await bob.envelopes(group), "envelopes of socket and polling")


@check(
    "A cursor beyond what there is gets nothing, and is told how far the group goes.",
    "protocol, get_messages, deliver: so a client notices a service that was put back from a backup",
)
async def a_cursor_beyond_the_log(world: World) -> None:
    _, bob, group = await world.couple()
    page = await bob.messages(group, after=99)
    same((page["envelopes"], page["last_seq"]), ([], 1), "the page")
    async with listening(bob, {group.group_id: 99}) as socket:
        await socket.caught_up(group)
        same(socket.envelopes(group), [], "the envelopes")
        told = [frame["seq"] for frame in socket.frames if frame["type"] == "caught_up"]
        same(told, [1], "the seq of caught_up")


@check(
    "Every socket of a group gets the same envelopes, the sender's own too.",
    "RFC 9750 §5.2; D4; protocol, deliver",
)
async def every_socket_gets_the_same(world: World) -> None:
    alice, bob, group = await world.couple()
    async with listening(alice) as hers, listening(bob) as first, listening(bob) as second:
        sockets = (hers, first, second)
        for socket in sockets:
            await socket.caught_up(group)
        await asyncio.gather(alice.send_many(group, 10), bob.send_many(group, 10))
        for socket in sockets:
            await socket.until_seq(group, 21)
        seen = [[one for one in socket.envelopes(group) if one["seq"] > 1] for socket in sockets]
        same(seen[1], seen[0], "what two devices got")
        same(seen[2], seen[0], "what two sockets of one device got")


@check(
    "Between Welcome and group_join nothing is delivered; from group_join on, all of it, on a socket that was open.",
    "design §4; protocol, group_join",
)
async def delivery_begins_with_group_join(world: World) -> None:
    alice, bob = await world.guests(2)
    async with listening(bob) as socket:
        group = await alice.create_group()
        (await alice.commit(group, add=[bob.device_id])).ok()
        (await alice.send(group)).ok()
        await socket.settle()
        same(socket.seqs(group), [], "before group_join")
        (await bob.call("group_join", group_id=group.group_id)).ok()
        await socket.until_seq(group, 2)
        (await alice.send(group)).ok()
        await socket.until_seq(group, 3)
        same(socket.seqs(group), [2, 3], "after group_join")


@check(
    "Members hear of a join and the joiner of its Welcome on open sockets, as the polling functions tell them.",
    "RFC 9750 §5.2 (Welcome Messages); protocol, join_waiting and welcome",
)
async def joins_and_welcomes_are_told(world: World) -> None:
    alice, bob = await world.guests(2)
    group = await alice.create_group()
    invite = await alice.invite(group)
    async with listening(alice) as member, listening(bob) as joiner:
        join = await bob.ask(invite)
        told = (await member.until("join_waiting"))["join"]
        same([told], (await alice.call("invite_pending")).ok()["joins"], "join_waiting and invite_pending")
        for name in ("kp_hex", "tag", "hello"):
            same(told[name], join.request[name], f"`{name}` as it was posted")
        (await alice.complete(group, invite, (bob, join))).ok()
        welcome = await joiner.until("welcome", lambda frame: bool(frame["status"] == "welcomed"))
        same(welcome, {"v": 1, "type": "welcome", **await bob.poll(join)}, "welcome and invite_poll")
    async with listening(bob) as later:
        again = await later.until("welcome")
        same(again["join_id"], join.join_id, "the Welcome after a reconnect")


@check("Acks move the service's copy of the cursor forward and never back.", "design §4; protocol, ack")
async def acks_move_forward_only(world: World) -> None:
    alice = await world.guest()
    group = await alice.create_group()
    for _ in range(3):
        (await alice.send(group)).ok()

    async def acked() -> int:
        return int((await alice.group(group))["acked_seq"])

    async def until(seq: int, before: int) -> None:
        """Acks are written now and then; nothing tells when."""
        async with asyncio.timeout(WAIT_SECONDS):
            while (found := await acked()) != seq:
                same(found, before, "acked_seq meanwhile")

    async with listening(alice) as socket:
        await socket.send("ack", group_id=group.group_id, seq=2)
        await until(2, 0)
        await socket.send("ack", group_id=group.group_id, seq=1)
        await socket.settle()
    async with listening(alice) as socket:
        await socket.send("ack", group_id=group.group_id, seq=99)
        await until(3, 2)


async def _refusal(world: World, first: str) -> Json:
    async with open_socket(world.place) as socket:
        await socket.connection.send(first)
        return await socket.ended()


@check(
    "A socket whose first frame is no valid hello is told why and closed; unknown frames are ignored later.",
    "protocol, the socket (hello)",
)
async def hello_comes_first(world: World) -> None:
    alice = await world.guest()
    hello = {"v": 1, "type": "hello", "token": alice.token, "cursors": {}}
    wrong = {
        "not JSON": ("hello", "bad_request"),
        "no object": ("[]", "bad_request"),
        "ping first": (json.dumps({"v": 1, "type": "ping"}), "bad_request"),
        "no cursors": (json.dumps({"v": 1, "type": "hello", "token": alice.token}), "bad_request"),
        "cursor of no group": (json.dumps({**hello, "cursors": {"x": 1}}), "bad_request"),
        "negative cursor": (json.dumps({**hello, "cursors": {Group("").group_id: -1}}), "bad_request"),
        "forged token": (json.dumps({**hello, "token": alice.token[:-8] + "AAAAAAAA"}), "no_session"),
    }
    for name, (first, code) in wrong.items():
        error = await _refusal(world, first)
        same((name, error["code"]), (name, code), "the error")
        same(error["message"], error["error"], "`message` and `error`")
    guest = Device(world.place)
    await guest.sign_in()
    error = await _refusal(world, json.dumps({**hello, "token": guest.token}))
    same(error["code"], "device_not_registered", "a session without device")
    async with listening(alice) as socket:
        await socket.send("something_new", value=1)
        await socket.settle()


@check(
    "A socket takes fresh tokens of its own session and no other's, and ends with sign-out.",
    "protocol, the socket (token)",
)
async def sockets_belong_to_a_session(world: World) -> None:
    alice, bob = await world.guests(2)
    async with listening(alice) as socket:
        await socket.send("token", token=alice.token)
        await socket.settle()
        await socket.send("token", token=bob.token)
        same((await socket.ended())["code"], "no_session", "a token of another session")
    async with listening(bob) as socket:
        answer = await world.place.request("POST", f"{world.place.auth}/logout", bob.token)
        require(answer.status_code == 204, f"sign-out was answered with {answer.status_code}")
        same((await socket.ended())["code"], "no_session", "after sign-out")
