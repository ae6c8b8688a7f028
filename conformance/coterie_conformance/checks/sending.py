"""Messages: one order without gaps, retries that are exact, counters, headers."""

import asyncio

from coterie_conformance import framing
from coterie_conformance.api import Group, invite_body, join_body
from coterie_conformance.catalog import check, require, same
from coterie_conformance.volley import pour
from coterie_conformance.world import World


@check(
    "Messages of one group get the numbers 1, 2, 3 … without a gap, also when many send at once.",
    "RFC 9750 §5.2 (ordering); D4; protocol, send_message",
)
async def seq_is_gapless(world: World) -> None:
    owner, *others = await world.guests(4)
    group = await owner.create_group()
    await owner.add(group, *others)
    senders, each = [owner, *others], max(2, world.sizes.messages // 4)
    told = await asyncio.gather(*(one.send_many(group, each) for one in senders))
    given = [seq for seqs in told for seq in seqs]
    expected = list(range(2, 2 + each * len(senders)))
    same(sorted(given), expected, "the seqs that senders were told")
    same(await owner.seqs(group, after=1), expected, "the seqs that are read")
    world.note(f"{len(given)} messages of {len(senders)} senders")


@check("Every member reads the same messages in the same order.", "RFC 9750 §5.2; D4; protocol, get_messages")
async def every_member_reads_one_order(world: World) -> None:
    alice, bob, group = await world.couple()
    await asyncio.gather(alice.send_many(group, 10), bob.send_many(group, 10))
    same(await alice.seqs(group, 1), list(range(2, 22)), "the seqs")
    same(await bob.envelopes(group, 1), await alice.envelopes(group, 1), "what two members read")


@check(
    "A message that is sent again with the same message_id and bytes gets the same answer and no second place.",
    "design §4 (retries); protocol, conventions",
)
async def a_retry_gets_the_same_answer(world: World) -> None:
    alice = await world.guest()
    group = await alice.create_group()
    body = alice.message(group)
    first = (await alice.call("send_message", **body)).ok()
    (await alice.send(group)).ok()
    same((await alice.call("send_message", **body)).ok(), first, "the answer of a retry")
    same(await alice.seqs(group), [1, 2], "the seqs")


@check(
    "The same message sent many times at once gets one place, and every answer names it.",
    "design §4 (retries); protocol, conventions",
)
async def concurrent_duplicates_are_one_message(world: World) -> None:
    alice = await world.guest()
    group = await alice.create_group()
    body = alice.message(group)
    answers = await asyncio.gather(*(alice.call("send_message", **body) for _ in range(20)))
    same({str(one.ok()) for one in answers}, {str(answers[0].ok())}, "the answers")
    same(await alice.seqs(group), [1], "the seqs")


@check(
    "A message_id with other bytes, or from another device, is refused.",
    "design §4; protocol, message_id_reused",
)
async def a_message_id_is_used_once(world: World) -> None:
    alice, bob, group = await world.couple()
    body = alice.message(group)
    (await alice.call("send_message", **body)).ok()
    other = framing.private_message(group.mls_id, group.epoch).hex()
    (await alice.call("send_message", **{**body, "mls_bytes": other})).refused(409, "message_id_reused")
    (await bob.call("send_message", **body)).refused(409, "message_id_reused")
    (await alice.commit(group, message_id=body["message_id"])).refused(409, "message_id_reused")


@check(
    "A retry is answered from what was stored, even after the epoch has moved and the sender was removed.",
    "design §3 rule 5; protocol, order of checks",
)
async def a_retry_comes_before_everything_else(world: World) -> None:
    alice, bob, group = await world.couple()
    body = bob.message(group)
    first = (await bob.call("send_message", **body)).ok()
    (await alice.commit(group, remove=[bob.device_id])).ok()
    same((await bob.call("send_message", **body)).ok(), first, "the answer of a retry")
    (await bob.send(group)).refused(403, "not_a_member")


@check(
    "A message of another epoch than the present one is refused, and the present one is told.",
    "RFC 9420 §15.2; protocol, stale_epoch",
)
async def messages_are_of_the_present_epoch(world: World) -> None:
    alice, _, group = await world.couple()
    for epoch in (0, 2):
        wrong = Group(group.group_id, group.mls_id, epoch)
        same((await alice.send(wrong)).refused(409, "stale_epoch")["epoch"], 1, "the epoch told")
    same(await alice.seqs(group), [1], "the seqs")


@check(
    "A device's counter rises within an epoch: who does not raise it is told the highest; the next begins anew.",
    "design §3 rule 5; protocol, state_behind",
)
async def counters_rise(world: World) -> None:
    alice, bob, group = await world.couple()
    (await bob.send(group, counter=7)).ok()
    for counter in (7, 3, 1):
        found = (await bob.send(group, counter=counter)).refused(409, "state_behind")
        same(found["counter"], 7, "the counter told")
    (await bob.commit(group, counter=7)).refused(409, "state_behind")
    same((await bob.group(group))["counter"], 7, "groups_list's counter")
    (await alice.send(group, counter=1)).ok()  # each device has its own
    carol = await world.guest()
    (await alice.commit(group, add=[carol.device_id], counter=2)).ok()
    same((await bob.group(group))["counter"], 0, "the counter in a new epoch")
    (await bob.send(group, counter=1)).ok()


@check("A message that is refused raises no counter.", "design §3 rule 5; protocol, send_message")
async def refusals_raise_no_counter(world: World) -> None:
    alice = await world.guest()
    group = await alice.create_group()
    wrong = framing.private_message(group.mls_id, 5).hex()
    (await alice.send(group, counter=9, mls_bytes=wrong)).refused(422, "wrong_header")
    (await alice.send(Group(group.group_id, group.mls_id, 4), counter=9)).refused(409, "stale_epoch")
    same((await alice.group(group))["counter"], 0, "the counter")
    (await alice.send(group, counter=1)).ok()


@check(
    "What is posted as a message is an application message in a PrivateMessage of the epoch named, to its last byte.",
    "RFC 9420 §6; RFC 9750 §5.2 (D3, no proposals); protocol, wrong_header",
)
async def message_headers_match(world: World) -> None:
    alice = await world.guest()
    group = await alice.create_group()
    mls_id = group.mls_id
    good = framing.private_message(mls_id, 0)
    wrong = {
        "another epoch": framing.private_message(mls_id, 1),
        "a commit": framing.private_message(mls_id, 0, framing.COMMIT),
        "a proposal": framing.private_message(mls_id, 0, framing.PROPOSAL),
        "content type 9": framing.private_message(mls_id, 0, 9),
        "a PublicMessage": framing.public_message(mls_id, 0, framing.MEMBER, framing.APPLICATION),
        "a Welcome": framing.welcome(),
        "a GroupInfo": framing.group_info(mls_id, 0),
        "a KeyPackage": framing.posted_key_package(),
        "another version": b"\0\2" + good[2:],
        "another wire format": b"\0\1\0\x63" + good[4:],
        "a byte too many": good + b"\0",
        "a byte too few": good[:-1],
        "nothing": b"",
    }
    for name, data in wrong.items():
        answer = await alice.send(group, mls_bytes=data.hex())
        require(
            answer.outcome in {(422, "wrong_header"), (400, "bad_request")},
            f"{name} was answered with {answer.outcome}",
        )
    same(await alice.seqs(group), [], "what was stored")


@check(
    "An envelope holds what was posted, byte for byte, with hash and size, and nothing beyond what is documented.",
    "RFC 9750 §8 (D10); protocol, envelope",
)
async def envelopes_hold_what_was_posted(world: World) -> None:
    alice = await world.guest()
    group = await alice.create_group()
    body = alice.message(group)
    answer = (await alice.call("send_message", **body)).ok()
    data = bytes.fromhex(body["mls_bytes"])
    expected = {
        "v": 1,
        "group_id": group.group_id,
        "seq": 1,
        "epoch": 0,
        "kind": "application",
        "message_id": body["message_id"],
        "sender_device": alice.device_id,
        "hash": framing.sha256(data),
        "size": len(data),
        "server_time": answer["server_time"],
        "mls_bytes": body["mls_bytes"],
    }
    same(await alice.envelopes(group), [expected], "the envelope")


@check(
    "Pages begin after the seq asked for and hold at most `limit`; GET answers as POST.",
    "protocol, get_messages",
)
async def pages_are_exact(world: World) -> None:
    alice = await world.guest()
    group = await alice.create_group()
    for _ in range(7):
        (await alice.send(group)).ok()
    page = await alice.messages(group, 2, limit=3)
    same([one["seq"] for one in page["envelopes"]], [3, 4, 5], "a page of three after 2")
    same(page["last_seq"], 7, "last_seq")
    same((await alice.messages(group, 7))["envelopes"], [], "after the last")
    place = alice.place
    found = await place.request(
        "GET", f"{place.functions}/get_messages", alice.token,
        params={"group_id": group.group_id, "after": 2, "limit": 3},
    )  # fmt: skip
    same(found.json(), page, "GET")
    for limit in (0, 501, -1):
        answer = await alice.call("get_messages", group_id=group.group_id, after=0, limit=limit)
        answer.refused(400, "bad_request")


@check(
    "A page of large messages ends after 8 MiB and says by last_seq that there is more.",
    "protocol, get_messages",
)
async def pages_of_large_messages_end(world: World) -> None:
    alice = await world.guest()
    group = await alice.create_group()
    for _ in range(10):
        data = framing.private_message_of(1 << 20, group.mls_id, group.epoch)
        (await alice.send(group, mls_bytes=data.hex())).ok()
    page = await alice.messages(group)
    size = sum(one["size"] for one in page["envelopes"])
    require(page["envelopes"] and size <= 9 << 20, f"a page holds {size} bytes of messages")
    same(page["last_seq"], 10, "last_seq")
    same(await alice.seqs(group), list(range(1, 11)), "all pages")


@check(
    "A message of 1 MiB is taken; a byte more is refused, as are larger commits, previews, key packages and hellos.",
    "protocol, sizes; RFC 9750 §8 (D9)",
)
async def sizes_are_bounded(world: World) -> None:
    alice = await world.guest()
    group = await alice.create_group()
    for size, outcome in ((1 << 20, (200, None)), ((1 << 20) + 1, (413, "too_large"))):
        data = framing.private_message_of(size, group.mls_id, group.epoch)
        same((await alice.send(group, mls_bytes=data.hex())).outcome, outcome, f"a message of {size} bytes")
    commit = alice.commit_body(group)
    commit["commit"] = framing.private_message_of((1 << 20) + 1, group.mls_id, group.epoch).hex()
    (await alice.call("send_commit", **commit)).refused(413, "too_large")
    (await alice.call("invite_create", **invite_body(group, preview="00" * 4097))).refused(413, "too_large")
    join = join_body(await alice.invite(group))
    for name, size in (("kp_hex", 64 * 1024), ("hello", 4096)):
        (await alice.call("invite_join", **{**join, name: "00" * (size + 1)})).refused(413, "too_large")


@check(
    "A body beyond the limit is refused while it streams in, without its end being waited for.",
    "RFC 9750 §8 (D9); protocol, sizes",
)
async def endless_bodies_are_refused(world: World) -> None:
    alice = await world.guest()
    status, sent = await pour(alice, "send_message", b"0" * (1 << 16), 200 << 20)
    require(status in (413, None), f"the status is {status}")
    require(sent < 200 << 20, "200 MiB of a body were taken")
    world.note(f"{status or 'cut off'} after {sent >> 20} MiB")
