"""Groups, messages and commits: one order, one commit per epoch, nothing for those who are not in."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from coterie_wire import CommitData, ContentType, Envelope, SenderType
from tests.support import mls
from tests.support.caller import Answer, Device, Group, new_id
from tests.support.server import Service
from tests.support.socket_client import listening


async def people(service: Service, count: int) -> list[Device]:
    """Guests with devices."""
    return list(await asyncio.gather(*(Device.guest(service.url) for _ in range(count))))


async def group_of(service: Service, count: int) -> tuple[Group, list[Device]]:
    """A group in epoch 1 whose first member made it."""
    devices = await people(service, count)
    group = await devices[0].create_group()
    await devices[0].add(group, *devices[1:])
    return group, devices


def winners(answers: list[Answer]) -> list[Answer]:
    """Those that were accepted."""
    return [answer for answer in answers if answer.status == 200]


# ---- group_create and groups_list


async def test_a_new_group_has_its_creator_in_it(service: Service) -> None:
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    listed = (await alice.call("groups_list")).ok()["groups"]
    me = {"device_id": alice.device_id, "user_id": alice.user_id, "name": "Laptop", "kind": "person"}
    assert listed == [
        {"group_id": group.group_id, "epoch": 0, "last_seq": 0, "from_seq": 1, "until_seq": None, "acked_seq": 0,
         "counter": 0, "joined": True, "roster": [me]}
    ]  # fmt: skip


async def test_group_create_again_is_the_same_answer_and_otherwise_exists(service: Service) -> None:
    alice, bob = await people(service, 2)
    body = {"group_id": new_id(), "group_info": mls.group_info(b"m" * 16, 0).hex(), "message_id": new_id()}
    answers = await asyncio.gather(*(alice.call("group_create", **body) for _ in range(6)))
    assert [answer.ok() for answer in answers] == [{"group_id": body["group_id"], "epoch": 0, "seq": 0}] * 6
    for change in ({"message_id": new_id()}, {"group_info": mls.group_info(b"n" * 16, 0).hex()}):
        (await alice.call("group_create", **{**body, **change})).refused(409, "group_exists")
    (await bob.call("group_create", **body)).refused(409, "group_exists")


@pytest.mark.parametrize(
    "info", [b"", b"\0\1\0\4", mls.welcome(), mls.group_info(b"m" * 16, 1), mls.private_message(b"m", 0)]
)
async def test_group_create_wants_a_group_info_of_epoch_0(service: Service, info: bytes) -> None:
    alice = await Device.guest(service.url)
    answer = await alice.call("group_create", group_id=new_id(), group_info=info.hex(), message_id=new_id())
    answer.refused(*((422, "wrong_header") if info else (400, "bad_request")))


# ---- send_message


async def test_a_message_comes_back_as_its_envelope(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    body = alice.message(group)
    sent = (await alice.call("send_message", **body)).ok()
    assert sent["seq"] == 2
    page = await bob.messages(group)
    raw = bytes.fromhex(body["mls_bytes"])
    assert page["last_seq"] == 2
    assert [Envelope.from_json(one) for one in page["envelopes"]] == [
        Envelope(
            group_id=group.group_id, seq=2, epoch=1, kind="application", message_id=body["message_id"],
            sender_device=alice.device_id, hash=hashlib.sha256(raw).digest(), size=len(raw),
            server_time=sent["server_time"], mls_bytes=raw,
        )
    ]  # fmt: skip


async def test_seqs_have_no_gap_whoever_sends(service: Service) -> None:
    group, devices = await group_of(service, 4)

    async def talk(device: Device) -> None:
        for _ in range(15):
            (await device.send(group)).ok()

    await asyncio.gather(*(talk(device) for device in devices))
    assert await devices[0].seqs(group) == list(range(1, 62))


async def test_a_retry_gets_the_same_answer_whatever_happened_since(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    body = bob.message(group)
    answers = await asyncio.gather(*(bob.call("send_message", **body) for _ in range(8)))
    assert len({answer.ok()["seq"] for answer in answers}) == 1
    (await bob.send(group)).ok()  # a higher counter
    (await alice.commit(group, remove=[bob.device_id])).ok()  # another epoch, and no member any more
    assert (await bob.call("send_message", **body)).ok() == answers[0].body
    assert (await alice.messages(group))["last_seq"] == 4


async def test_a_message_id_is_for_one_message_of_one_device(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    body = alice.message(group)
    (await alice.call("send_message", **body)).ok()
    other = {**body, "mls_bytes": mls.private_message(group.mls_id, 1).hex()}
    (await alice.call("send_message", **other)).refused(409, "message_id_reused")
    (await bob.call("send_message", **body)).refused(409, "message_id_reused")
    carol = await Device.guest(service.url)
    await alice.add(group, carol)  # for whom the first message is hidden
    (await carol.send(group, message_id=body["message_id"])).refused(409, "message_id_reused")


async def test_another_epoch_is_stale_and_named(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    old = bob.message(group)
    (await alice.commit(group, add=[(await Device.guest(service.url)).device_id])).ok()
    assert (await bob.call("send_message", **old)).refused(409, "stale_epoch")["epoch"] == 2
    ahead = Group(group.group_id, group.mls_id, 7)
    assert (await bob.send(ahead)).refused(409, "stale_epoch")["epoch"] == 2


async def test_the_counter_only_rises_within_an_epoch(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    (await alice.send(group, counter=5)).ok()
    for counter in (1, 4, 5):
        assert (await alice.send(group, counter=counter)).refused(409, "state_behind")["counter"] == 5
    (await bob.send(group, counter=1)).ok()
    assert [one["counter"] for one in (await alice.call("groups_list")).ok()["groups"]] == [5]
    (await alice.commit(group, add=[(await Device.guest(service.url)).device_id], counter=6)).ok()
    assert [one["counter"] for one in (await alice.call("groups_list")).ok()["groups"]] == [0]
    (await alice.send(group, counter=1)).ok()
    (await alice.send(group, counter=0)).refused(400, "bad_request")


async def test_the_framing_must_be_what_the_request_says(service: Service) -> None:
    group, (alice, _) = await group_of(service, 2)
    wrong = [
        b"\0",
        mls.private_message(group.mls_id, 0),  # another epoch
        mls.private_message(group.mls_id, 1, ContentType.COMMIT),
        mls.private_message(group.mls_id, 1, ContentType.PROPOSAL),
        mls.private_message(group.mls_id, 1) + b"\0",  # trailing bytes
        mls.private_message(group.mls_id, 1)[:-1],
        b"\0\2" + mls.private_message(group.mls_id, 1)[2:],  # another version
        mls.public_commit(group.mls_id, 1),
        mls.welcome(), mls.key_package(), mls.group_info(group.mls_id, 1),
    ]  # fmt: skip
    for number, message in enumerate(wrong):
        (await alice.send(group, mls_bytes=message.hex(), counter=50 + number)).refused(422, "wrong_header")
    (await alice.send(group, kind="commit")).refused(400, "bad_request")
    assert (await alice.messages(group))["last_seq"] == 1


async def test_checks_come_in_their_order(service: Service) -> None:
    """message_id, membership, header, epoch, counter: each request has the next fault too."""
    group, (alice, bob) = await group_of(service, 2)
    eve = await Device.guest(service.url)
    body = alice.message(group, counter=3)
    (await alice.call("send_message", **body)).ok()
    bad = {**body, "mls_bytes": "00", "epoch": 9, "counter": 1}
    (await alice.call("send_message", **bad)).refused(409, "message_id_reused")
    (await bob.call("send_message", **bad)).refused(409, "message_id_reused")
    bad["message_id"] = new_id()
    (await eve.call("send_message", **bad)).refused(403, "not_a_member")
    (await alice.call("send_message", **bad)).refused(422, "wrong_header")
    bad["mls_bytes"] = mls.private_message(group.mls_id, 9).hex()
    (await alice.call("send_message", **bad)).refused(409, "stale_epoch")
    bad |= {"epoch": 1, "mls_bytes": mls.private_message(group.mls_id, 1).hex()}
    (await alice.call("send_message", **bad)).refused(409, "state_behind")


# ---- get_messages


async def test_pages(service: Service) -> None:
    group, (alice, _) = await group_of(service, 2)
    for _ in range(5):
        (await alice.send(group)).ok()
    assert [one["seq"] for one in (await alice.messages(group, 2, limit=2))["envelopes"]] == [3, 4]
    assert await alice.seqs(group, 6) == []
    assert await alice.seqs(group, 10**9) == []
    for limit in (0, 501, "1", None):
        (await alice.call("get_messages", group_id=group.group_id, after=0, limit=limit)).refused(
            400, "bad_request"
        )


async def test_a_page_ends_after_eight_mebibytes(service: Service) -> None:
    group, (alice, _) = await group_of(service, 2)
    big = secrets.token_bytes(2**20 - 200)
    for _ in range(10):
        (await alice.send(group, mls_bytes=mls.private_message(group.mls_id, 1, ciphertext=big).hex())).ok()
    page = await alice.messages(group, 1)
    assert page["last_seq"] == 11
    first = [one["seq"] for one in page["envelopes"]]
    assert first == list(range(2, 11))
    assert await alice.seqs(group, first[-1]) == [11]


async def test_a_newcomer_reads_from_its_welcome_on_and_a_leaver_until_it_left(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    (await alice.send(group)).ok()  # 2
    carol = await Device.guest(service.url)
    await alice.add(group, carol)  # 3
    (await carol.send(group)).ok()  # 4
    assert await carol.seqs(group) == [4]
    (await alice.commit(group, remove=[bob.device_id], end_invites=True)).ok()  # 5
    (await alice.send(group)).ok()  # 6
    assert await bob.seqs(group) == [2, 3, 4, 5]
    assert (await bob.messages(group))["last_seq"] == 5
    for function in ("group_info_get", "invites_list", "group_join"):
        (await bob.call(function, group_id=group.group_id)).refused(403, "not_a_member")
    (await bob.send(group)).refused(403, "not_a_member")
    (await bob.commit(group)).refused(403, "not_a_member")
    listed = (await bob.call("groups_list")).ok()["groups"]
    assert [(one["until_seq"], one["last_seq"], one["roster"]) for one in listed] == [(5, 5, [])]


async def test_group_leave_ends_delivery_and_is_idempotent(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    (await alice.send(group)).ok()
    for _ in range(2):
        assert (await bob.call("group_leave", group_id=group.group_id)).ok() == {
            "group_id": group.group_id,
            "until_seq": 2,
        }
        (await alice.send(group)).ok()
    assert await bob.seqs(group) == [2]
    (await alice.commit(group, remove=[bob.device_id])).ok()  # the others take it out of MLS too
    assert (await bob.messages(group))["last_seq"] == 2


# ---- send_commit


async def test_a_commit_moves_epoch_roster_group_info_and_welcomes_together(service: Service) -> None:
    alice, bob = await people(service, 2)
    group = await alice.create_group()
    body = alice.commit_body(group, add=[bob.device_id])
    answer = (await alice.call("send_commit", **body)).ok()
    assert (answer["seq"], answer["epoch"]) == (1, 1)
    listed = (await bob.call("groups_list")).ok()["groups"][0]
    assert (listed["epoch"], listed["from_seq"], listed["joined"]) == (1, 2, False)
    assert {one["device_id"] for one in listed["roster"]} == {alice.device_id, bob.device_id}
    info = (await bob.call("group_info_get", group_id=group.group_id)).ok()
    assert info == {"epoch": 1, "group_info": body["group_info"]}
    assert (await bob.call("group_join", group_id=group.group_id)).ok() == {
        "group_id": group.group_id,
        "from_seq": 2,
    }
    assert (await bob.call("group_join", group_id=group.group_id)).ok() == {
        "group_id": group.group_id,
        "from_seq": 2,
    }
    assert (await bob.call("groups_list")).ok()["groups"][0]["joined"] is True
    envelope = (await alice.messages(group))["envelopes"][0]
    assert (envelope["kind"], envelope["epoch"], envelope["mls_bytes"]) == ("commit", 0, body["commit"])


async def test_one_commit_per_epoch_under_a_race(service: Service) -> None:
    """Fault: commits stored without an epoch check."""
    group, devices = await group_of(service, 6)
    for epoch in range(1, 6):
        newcomers = await people(service, len(devices))
        bodies = [
            one.commit_body(group, add=[new.device_id]) for one, new in zip(devices, newcomers, strict=True)
        ]
        answers = await asyncio.gather(
            *(one.call("send_commit", **body) for one, body in zip(devices, bodies, strict=True))
        )
        assert len(winners(answers)) == 1
        for answer in answers:
            if answer.status != 200:
                assert answer.refused(409, "stale_epoch")["epoch"] == epoch + 1
        won = next(number for number, answer in enumerate(answers) if answer.status == 200)
        member = [(await one.call("groups_list")).ok()["groups"] != [] for one in newcomers]
        assert member == [number == won for number in range(len(newcomers))]
        assert (await devices[0].call("group_info_get", group_id=group.group_id)).ok()[
            "group_info"
        ] == bodies[won]["group_info"]
        group.epoch += 1
    commits = [
        one["epoch"] for one in (await devices[0].messages(group))["envelopes"] if one["kind"] == "commit"
    ]
    assert commits == list(range(6))


async def test_a_message_and_a_commit_race_for_the_epoch(service: Service) -> None:
    """Whatever comes after the commit is not of its epoch."""
    group, (alice, bob, carol) = await group_of(service, 3)
    newcomer = await Device.guest(service.url)
    sends = [bob.call("send_message", **bob.message(group)) for _ in range(10)]
    commit = alice.call("send_commit", **alice.commit_body(group, add=[newcomer.device_id]))
    await asyncio.gather(*sends[:5], commit, *sends[5:])
    log = (await carol.messages(group))["envelopes"]
    at = next(number for number, one in enumerate(log) if one["kind"] == "commit")
    assert {one["epoch"] for one in log[: at + 1]} == {1}
    assert log[at + 1 :] == []


async def test_the_welcome_of_a_commit_that_lost_is_never_handed_out(service: Service) -> None:
    """Fault: a Welcome handed out though its commit lost."""
    group, (alice, bob) = await group_of(service, 2)
    invite = await alice.invite(group)
    carol = await Device.guest(service.url)
    join = await carol.ask(invite)
    bodies = [one.commit_body(group, add=[carol.device_id], invites=[invite]) for one in (alice, bob)]
    for body in bodies:
        body["joins"] = [{"join_id": join.join_id, "welcome_tag": secrets.token_hex(32)}]
    answers = await asyncio.gather(
        *(one.call("invite_complete", **body) for one, body in zip((alice, bob), bodies, strict=True))
    )
    won = next(body for body, answer in zip(bodies, answers, strict=True) if answer.status == 200)
    assert len(winners(answers)) == 1
    polled = await carol.poll(join)
    assert polled["welcome_hex"] == won["welcomes"][0]["welcome"]
    assert polled["welcome_tag"] == won["joins"][0]["welcome_tag"]


async def test_a_refused_commit_leaves_nothing_behind(service: Service) -> None:
    """All or nothing: the last step fails, and no earlier one is kept."""
    group, (alice, bob) = await group_of(service, 2)
    nobody = new_id()
    before = [
        (await alice.call("groups_list")).body,
        (await alice.call("group_info_get", group_id=group.group_id)).body,
    ]
    body = alice.commit_body(group, add=[nobody], remove=[bob.device_id], end_invites=True)
    (await alice.call("send_commit", **body)).refused(422, "wrong_roster")
    after = [
        (await alice.call("groups_list")).body,
        (await alice.call("group_info_get", group_id=group.group_id)).body,
    ]
    assert before == after
    (await bob.send(group)).ok()


async def test_a_commit_retry_gets_the_same_answer(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    body = alice.commit_body(group, add=[(await Device.guest(service.url)).device_id])
    answers = await asyncio.gather(*(alice.call("send_commit", **body) for _ in range(6)))
    assert {(answer.ok()["seq"], answer.body["epoch"], answer.body["server_time"]) for answer in answers} == {
        (2, 2, answers[0].body["server_time"])
    }
    (await bob.call("send_commit", **body)).refused(409, "message_id_reused")


async def test_the_body_must_say_what_the_commit_says(service: Service) -> None:
    """Lying bodies: the authenticated data stands in the message that members will check."""
    group, (alice, bob, carol) = await group_of(service, 3)
    dave = await Device.guest(service.url)
    honest: dict[str, Any] = {"add": [dave.device_id], "remove": [bob.device_id]}
    lies: list[dict[str, Any]] = [
        {"added": [], "welcomes": []},
        {"added": [dave.device_id, carol.device_id]},
        {"removed": []},
        {"removed": [carol.device_id]},
        {"removed": [bob.device_id, carol.device_id]},
        {"end_invites": True},
        {
            "welcomes": [{"device_id": carol.device_id, "welcome": mls.welcome().hex()}]
        },  # for one who is not added
    ]
    for lie in lies:
        (await alice.call("send_commit", **(alice.commit_body(group, **honest) | lie))).refused(
            422, "wrong_roster"
        )
    for data in (b"", b"{}", CommitData(added=(dave.device_id,)).encode() + b" "):
        body = alice.commit_body(group, **honest)
        body["commit"] = mls.private_message(group.mls_id, 1, ContentType.COMMIT, data).hex()
        (await alice.call("send_commit", **body)).refused(422, "wrong_roster")
    assert (await alice.messages(group))["last_seq"] == 1


async def test_the_roster_change_must_be_possible(service: Service) -> None:
    group, (alice, bob, _) = await group_of(service, 3)
    stranger = await Device.guest(service.url)
    changes: list[dict[str, Any]] = [
        {"remove": [stranger.device_id]},  # never was a member
        {"remove": [alice.device_id]},  # nobody removes itself in MLS
        {"add": [stranger.device_id], "welcomed": []},  # could never get in
        {"add": [new_id()]},  # no device
    ]
    for change in changes:
        (await alice.commit(group, **change)).refused(422, "wrong_roster")
    for twice in ("added", "removed"):
        body = alice.commit_body(group) | {twice: [bob.device_id] * 2}
        (await alice.call("send_commit", **body)).refused(400, "bad_request")


async def test_the_framing_of_a_commit(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    dave = await Device.guest(service.url)
    data = CommitData(added=(dave.device_id,))
    commit = mls.private_commit(group.mls_id, 1, data)
    wrong: list[dict[str, Any]] = [
        {"commit": "00"},
        {"commit": mls.private_commit(group.mls_id, 0, data).hex()},
        {"commit": mls.private_message(group.mls_id, 1, ContentType.APPLICATION, data.encode()).hex()},
        {"commit": mls.private_message(group.mls_id, 1, ContentType.PROPOSAL, data.encode()).hex()},
        {"commit": (commit + b"\0").hex()},
        {"commit": mls.public_commit(group.mls_id, 1, SenderType.MEMBER, data.encode()).hex()},
        {"commit": mls.public_commit(group.mls_id, 1, SenderType.EXTERNAL, data.encode()).hex()},
        {"commit": mls.public_commit(group.mls_id, 1, SenderType.NEW_MEMBER_PROPOSAL, data.encode()).hex()},
        {"group_info": mls.group_info(group.mls_id, 1).hex()},
        {"group_info": mls.group_info(group.mls_id, 3).hex()},
        {"group_info": mls.group_info(b"another group", 2).hex()},
        {"group_info": mls.welcome().hex()},
        {"welcomes": [{"device_id": dave.device_id, "welcome": mls.key_package().hex()}]},
        {"counter": 0},
    ]
    for change in wrong:
        body = alice.commit_body(group, add=[dave.device_id]) | change
        (await alice.call("send_commit", **body)).refused(422, "wrong_header")
    (await bob.commit(group, add=[dave.device_id])).ok()


async def test_a_rejoin_is_a_public_commit_that_changes_no_roster(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    commit = mls.public_commit(group.mls_id, 1)
    body = bob.commit_body(group, counter=1) | {"commit": commit.hex(), "counter": 0}
    for lie in ({"removed": [alice.device_id]}, {"added": [alice.device_id]}, {"end_invites": True}):
        (await bob.call("send_commit", **(body | lie))).refused(422, "wrong_roster")
    (await bob.call("send_commit", **(body | {"counter": 1}))).refused(422, "wrong_header")
    assert (await bob.call("send_commit", **body)).ok()["epoch"] == 2
    eve = await Device.guest(service.url)
    group.epoch = 2
    body = eve.commit_body(group, counter=1) | {
        "commit": mls.public_commit(group.mls_id, 2).hex(),
        "counter": 0,
    }
    (await eve.call("send_commit", **body)).refused(403, "not_a_member")


async def test_who_comes_back_while_a_welcome_waits_is_in_and_is_delivered_to(service: Service) -> None:
    """Removed, added anew with a Welcome, and back by a rejoin instead."""
    group, (alice, bob) = await group_of(service, 2)
    (await alice.commit(group, remove=[bob.device_id])).ok()
    (await alice.commit(group, add=[bob.device_id])).ok()
    rejoin = mls.public_commit(group.mls_id, group.epoch).hex()
    (await bob.commit(group, commit=rejoin, counter=0)).ok()
    assert (await bob.call("welcomes_list")).ok()["welcomes"] == []
    (listed,) = (await bob.call("groups_list")).ok()["groups"]
    assert listed["joined"] is True
    async with listening(service.url, bob, {group.group_id: 2}) as socket:
        assert (await socket.until("caught_up"))["seq"] == 4
        (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 5)


async def test_commits_that_change_no_roster_come_rarely(make_service: Callable[..., Service]) -> None:
    service = make_service(COTERIE_COMMIT_GROUP_SECONDS="20", COTERIE_COMMIT_DEVICE_SECONDS="60")
    group, (alice, bob) = await group_of(service, 2)
    (await alice.commit(group)).ok()
    by_group = (await bob.commit(group)).refused(429, "too_soon")
    assert 0 < by_group["retry_after"] <= 20
    by_device = await alice.commit(group)
    assert 20 < by_device.refused(429, "too_soon")["retry_after"] <= 60
    assert int(by_device.headers["retry-after"]) >= by_device.body["retry_after"]
    (await alice.commit(group, add=[(await Device.guest(service.url)).device_id])).ok()


async def test_a_pause_holds_the_commits_of_others(make_service: Callable[..., Service]) -> None:
    service = make_service(COTERIE_PAUSE_SECONDS="60", COTERIE_PAUSE_GAP_SECONDS="100")
    group, (alice, bob) = await group_of(service, 2)
    newcomer = await Device.guest(service.url)
    (await bob.call("commit_pause", group_id=group.group_id)).ok()
    assert (
        50
        < (await alice.commit(group, add=[newcomer.device_id])).refused(429, "too_soon")["retry_after"]
        <= 60
    )
    (await alice.call("commit_pause", group_id=group.group_id)).refused(429, "too_soon")
    assert (
        60
        < (await bob.call("commit_pause", group_id=group.group_id)).refused(429, "too_soon")["retry_after"]
        <= 100
    )
    (await alice.send(group, counter=9)).ok()
    (await bob.commit(group, add=[newcomer.device_id])).ok()


async def test_the_pace_is_a_setting(make_service: Callable[..., Service]) -> None:
    service = make_service(COTERIE_COMMIT_GROUP_SECONDS="0", COTERIE_COMMIT_DEVICE_SECONDS="0")
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    for _ in range(3):
        (await alice.commit(group)).ok()


async def test_nobody_enters_without_a_commit(service: Service) -> None:
    """Fault: joining a group without an invite."""
    group, (alice, _) = await group_of(service, 2)
    eve = await Device.guest(service.url)
    (await eve.call("group_join", group_id=group.group_id)).refused(403, "not_a_member")
    (await eve.commit(group, add=[eve.device_id])).refused(403, "not_a_member")
    invite = await alice.invite(group)
    await eve.ask(invite)
    (await eve.call("group_join", group_id=group.group_id)).refused(403, "not_a_member")
    (await eve.call("get_messages", group_id=group.group_id, after=0)).refused(403, "not_a_member")
    (await eve.send(group)).refused(403, "not_a_member")


async def test_a_device_that_is_added_anew_begins_anew(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    (await alice.commit(group, remove=[bob.device_id])).ok()  # 2
    (await alice.send(group)).ok()  # 3
    (await alice.commit(group, add=[bob.device_id])).ok()  # 4
    listed = (await bob.call("groups_list")).ok()["groups"][0]
    assert (listed["from_seq"], listed["until_seq"], listed["joined"]) == (5, None, False)
    (await bob.send(group)).ok()
    assert await bob.seqs(group) == [5]


async def test_a_member_is_welcomed_only_when_it_is_removed_too(service: Service) -> None:
    """A Welcome begins after its commit: a member that stays would miss it."""
    group, (alice, bob) = await group_of(service, 2)
    (await alice.commit(group, add=[bob.device_id])).refused(422, "wrong_roster")
    (await alice.commit(group, add=[bob.device_id], remove=[bob.device_id])).ok()
    listed = (await bob.call("groups_list")).ok()["groups"][0]
    assert (listed["from_seq"], listed["until_seq"], listed["joined"]) == (3, None, False)


async def test_one_who_is_out_sees_no_epoch(service: Service) -> None:
    group, (alice, bob) = await group_of(service, 2)
    (await alice.commit(group, remove=[bob.device_id])).ok()
    assert (await bob.call("groups_list")).ok()["groups"][0]["epoch"] is None
