"""The socket: resume, order, nothing twice, nothing missing."""

import asyncio
from collections.abc import Callable

import pytest

from tests.support.caller import Device, new_id
from tests.support.server import Service, execute
from tests.support.socket_client import WAIT_SECONDS, listening, open_socket


async def test_live_messages_arrive_in_order_and_once(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    await alice.add(group, bob)
    async with listening(service.url, bob) as socket:
        await socket.until("caught_up")
        for _ in range(20):
            (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 21)
        await socket.settle()
    assert socket.seqs(group.group_id) == list(range(2, 22))


async def test_the_socket_resumes_after_the_cursor(service: Service) -> None:
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    for _ in range(5):
        (await alice.send(group)).ok()
    async with listening(service.url, alice, {group.group_id: 3}) as socket:
        caught_up = await socket.until("caught_up")
    assert caught_up == {"v": 1, "type": "caught_up", "group_id": group.group_id, "seq": 5}
    assert socket.seqs(group.group_id) == [4, 5]


async def test_an_envelope_on_the_socket_is_the_one_of_get_messages(service: Service) -> None:
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    async with listening(service.url, alice) as socket:
        await socket.until("caught_up")
        (await alice.send(group)).ok()
        live = (await socket.until("envelope"))["envelope"]
    assert [live] == (await alice.messages(group))["envelopes"]


async def test_catch_up_meets_live_without_gap_or_double(service: Service) -> None:
    """Sockets open while messages are being sent: each gets every seq once, in order."""
    alice = await Device.guest(service.url)
    group = await alice.create_group()

    async def listen() -> list[int]:
        async with listening(service.url, alice) as socket:
            await socket.until_seq(group.group_id, 120)
            await socket.settle()
        return socket.seqs(group.group_id)

    async def talk() -> None:
        for _ in range(120):
            (await alice.send(group)).ok()

    async def listen_after(count: int) -> list[int]:
        while (await alice.messages(group))["last_seq"] < count:
            pass
        return await listen()

    *heard, _ = await asyncio.gather(*(listen_after(20 * number) for number in range(5)), talk())
    assert heard == [list(range(1, 121))] * 5


async def test_two_groups_with_the_same_seqs_both_arrive(service: Service) -> None:
    """A service that told messages apart by seq alone would drop one of them."""
    alice = await Device.guest(service.url)
    first, second = await alice.create_group(), await alice.create_group()
    async with listening(service.url, alice) as socket:
        await socket.until("caught_up")
        await socket.until("caught_up")
        for _ in range(3):
            await asyncio.gather(alice.send(first), alice.send(second))
        last = {first.group_id, second.group_id}
        while last:
            frame = await socket.until("envelope", lambda frame: frame["envelope"]["seq"] == 3)
            last.remove(frame["envelope"]["group_id"])
        await socket.settle()
    assert socket.seqs(first.group_id) == [1, 2, 3]
    assert socket.seqs(second.group_id) == [1, 2, 3]


async def test_a_group_that_the_device_makes_or_joins_is_added_to_its_live_socket(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    async with listening(service.url, bob) as socket, listening(service.url, alice) as hers:
        group = await alice.create_group()
        await hers.until("caught_up", lambda frame: frame["group_id"] == group.group_id)
        (await alice.commit(group, add=[bob.device_id])).ok()
        (await alice.send(group)).ok()
        await socket.settle()
        assert socket.seqs(group.group_id) == []  # delivery begins when the Welcome was saved
        (await bob.call("group_join", group_id=group.group_id)).ok()
        await socket.until_seq(group.group_id, 2)
        (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 3)
    assert socket.seqs(group.group_id) == [2, 3]


async def test_joins_are_pushed_to_members_and_welcomes_to_joiners(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    invite = await alice.invite(group)
    async with listening(service.url, alice) as members, listening(service.url, bob) as joiners:
        await members.until("caught_up")
        join = await bob.ask(invite)
        pushed = (await members.until("join_waiting"))["join"]
        assert [pushed] == (await alice.call("invite_pending")).ok()["joins"]
        assert {name: pushed[name] for name in ("kp_hex", "tag", "hello")} == {
            name: join.request[name] for name in ("kp_hex", "tag", "hello")
        }
        (await alice.complete(group, invite, (bob, join))).ok()
        welcome = await joiners.until("welcome")
        assert welcome == {"v": 1, "type": "welcome", **await bob.poll(join)}
        assert welcome["status"] == "welcomed"


async def test_what_waited_is_pushed_when_the_socket_opens(service: Service) -> None:
    alice, bob, carol = [await Device.guest(service.url) for _ in range(3)]
    group = await alice.create_group()
    invite = await alice.invite(group)
    done, waits = await bob.ask(invite), await carol.ask(invite)
    (await alice.complete(group, invite, (bob, done))).ok()
    async with listening(service.url, bob) as socket:
        assert (await socket.until("welcome"))["join_id"] == done.join_id
    async with listening(service.url, alice) as socket:
        assert (await socket.until("join_waiting"))["join"]["join_id"] == waits.join_id


async def test_who_was_added_hears_of_joins_that_wait_once_they_have_entered(service: Service) -> None:
    alice, bob, carol = [await Device.guest(service.url) for _ in range(3)]
    group = await alice.create_group()
    join = await carol.ask(await alice.invite(group))
    (await alice.commit(group, add=[bob.device_id])).ok()
    async with listening(service.url, bob) as socket:
        await socket.settle()
        assert "join_waiting" not in {frame["type"] for frame in socket.frames}
        assert (await bob.call("invite_pending")).ok()["joins"] == []
        (await bob.call("group_join", group_id=group.group_id)).ok()
        assert (await socket.until("join_waiting"))["join"]["join_id"] == join.join_id
        assert [one["join_id"] for one in (await bob.call("invite_pending")).ok()["joins"]] == [join.join_id]


async def test_the_joiner_hears_of_a_refusal(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    invite = await alice.invite(group, approval=True)
    async with listening(service.url, bob) as socket:
        join = await bob.ask(invite)
        (await alice.call("invite_decide", join_id=join.join_id, approve=False)).ok()
        assert (await socket.until("welcome"))["status"] == "refused"


async def test_a_removed_device_gets_its_removal_and_nothing_after(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    await alice.add(group, bob)
    async with listening(service.url, bob) as socket:
        await socket.until("caught_up")
        (await alice.commit(group, remove=[bob.device_id], end_invites=True)).ok()
        (await alice.send(group)).ok()
        removed = await socket.until("removed")
        assert removed == {"v": 1, "type": "removed", "group_id": group.group_id, "until_seq": 2}
        (await alice.send(group)).ok()
        await socket.settle()
    assert socket.seqs(group.group_id) == [2]


async def test_a_device_that_left_hears_it_on_its_other_socket(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    await alice.add(group, bob)
    async with listening(service.url, bob) as socket:
        await socket.until("caught_up")
        (await bob.call("group_leave", group_id=group.group_id)).ok()
        assert (await socket.until("removed"))["until_seq"] == 1


async def test_a_group_left_long_ago_comes_only_when_asked_for(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    group, other = await alice.create_group(), await bob.create_group()
    await alice.add(group, bob)
    (await alice.send(group)).ok()
    (await bob.call("group_leave", group_id=group.group_id)).ok()
    async with listening(service.url, bob) as socket:
        await socket.until("caught_up", lambda frame: frame["group_id"] == other.group_id)
        await socket.settle()
    assert {frame["type"] for frame in socket.frames} == {"ready", "key_packages_low", "caught_up", "pong"}
    async with listening(service.url, bob, {group.group_id: 1}) as socket:
        await socket.until("removed")
    assert socket.seqs(group.group_id) == [2]


async def test_who_was_removed_before_coming_in_gets_the_removal_when_asking_for_it(service: Service) -> None:
    """A Welcome that was kept opens later, too, and nothing else would say that the group is closed to them."""
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    (await alice.commit(group, add=[bob.device_id])).ok()
    (await alice.commit(group, remove=[bob.device_id])).ok()
    (await bob.call("group_join", group_id=group.group_id)).refused(403, "not_a_member")
    async with listening(service.url, bob, {group.group_id: 1}) as socket:
        assert (await socket.until("removed"))["until_seq"] == 2
    assert socket.seqs(group.group_id) == [2]


async def test_a_removed_device_that_was_away_gets_the_removing_commit(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    await alice.add(group, bob)
    (await alice.commit(group, remove=[bob.device_id], end_invites=True)).ok()
    (await alice.send(group)).ok()
    async with listening(service.url, bob, {group.group_id: 1}) as socket:
        assert (await socket.until("removed"))["until_seq"] == 2
    assert socket.seqs(group.group_id) == [2]


async def test_a_device_listed_anew_without_a_welcome_gets_what_it_missed(service: Service) -> None:
    """The roster was wrong, MLS never removed it: the next commit mends it."""
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    await alice.add(group, bob)
    (await alice.commit(group, remove=[bob.device_id])).ok()
    (await alice.send(group)).ok()
    async with listening(service.url, bob, {group.group_id: 2}) as socket:
        await socket.until("removed")
        (await alice.commit(group, add=[bob.device_id], welcomed=[])).ok()
        await socket.until_seq(group.group_id, 4)
    assert socket.seqs(group.group_id) == [3, 4]


async def test_acks_move_forward_only(make_service: Callable[..., Service]) -> None:
    service = make_service(COTERIE_ACK_SECONDS="0")
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    for _ in range(3):
        (await alice.send(group)).ok()

    async def acked() -> int:
        return int((await alice.call("groups_list")).ok()["groups"][0]["acked_seq"])

    async with asyncio.timeout(WAIT_SECONDS):
        for seq, kept in ((2, 2), (1, 2), (99, 3)):
            async with listening(service.url, alice) as socket:
                await socket.send("ack", group_id=group.group_id, seq=seq)
            while seq != 1 and await acked() != kept:  # written at the latest when the socket has ended
                pass
            assert await acked() == kept


async def test_no_hello_closes_the_socket(make_service: Callable[..., Service]) -> None:
    service = make_service(COTERIE_HELLO_SECONDS="0.05")
    async with open_socket(service.url) as socket:
        assert (await socket.ended())["code"] == "no_hello"


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("not json", "bad_request"),
        ("[]", "bad_request"),
        ('{"v":1,"type":"ping"}', "bad_request"),
        ('{"v":1,"type":"hello","token":"x"}', "bad_request"),
        ('{"v":1,"type":"hello","token":"x","cursors":{"y":1}}', "bad_request"),
        ('{"v":1,"type":"hello","token":"x","cursors":{}}', "no_session"),
    ],
)
async def test_a_wrong_hello_closes_the_socket(service: Service, first: str, code: str) -> None:
    async with open_socket(service.url) as socket:
        await socket.websocket.send(first)
        error = await socket.ended()
        assert error["code"] == code
        assert error["error"] == error["message"]


async def test_a_session_without_device_cannot_listen(service: Service) -> None:
    guest = Device(service.url)
    await guest.sign_in()
    async with open_socket(service.url) as socket:
        await socket.send("hello", token=guest.token, cursors={})
        assert (await socket.ended())["code"] == "device_not_registered"


async def test_unknown_frames_are_ignored(service: Service) -> None:
    alice = await Device.guest(service.url)
    async with listening(service.url, alice) as socket:
        await socket.send("something_new", value=1)
        await socket.settle()


async def refreshed(device: Device, service: Service) -> None:
    """A token of this service for a device that was registered at another."""
    body = {"refresh_token": device.session["refresh_token"]}
    device.http.url = service.url
    answer = await device.http.post("/auth/v1/token?grant_type=refresh_token", json=body)
    assert answer.status_code == 200, answer.text
    device.session = answer.json()


async def test_the_socket_ends_with_its_token_unless_it_gets_a_new_one(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    database = make_database()
    usual = make_service(DATABASE_URL=database)
    short = make_service(DATABASE_URL=database, COTERIE_TOKEN_SECONDS="8")
    alice, bob = await Device.guest(usual.url), await Device.guest(usual.url)
    await refreshed(alice, short)
    await refreshed(bob, short)
    async with listening(short.url, alice) as kept, listening(short.url, bob) as left:
        await refreshed(alice, usual)  # an hour
        await kept.send("token", token=alice.token)
        assert (await left.ended())["code"] == "no_session"
        await kept.settle()


async def test_a_token_of_another_session_is_refused(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    async with listening(service.url, alice) as socket:
        await socket.send("token", token=bob.token)
        assert (await socket.ended())["code"] == "no_session"


async def test_sign_out_ends_the_socket(service: Service) -> None:
    alice = await Device.guest(service.url)
    async with listening(service.url, alice) as socket:
        await alice.http.post("/auth/v1/logout", headers={"authorization": f"Bearer {alice.token}"})
        assert (await socket.ended())["code"] == "no_session"


async def test_two_processes_share_a_group(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    database = make_database()
    first, second = make_service(DATABASE_URL=database), make_service(DATABASE_URL=database)
    alice, bob = await Device.guest(first.url), await Device.guest(second.url)
    group = await alice.create_group()
    async with listening(second.url, bob) as socket:
        await alice.add(group, bob)
        (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 2)
        # signed out at one process, the socket at the other ends
        await alice.http.post("/auth/v1/logout", headers={"authorization": f"Bearer {bob.token}"})
        assert (await socket.ended())["code"] == "no_session"
    assert socket.seqs(group.group_id) == [2]


async def test_a_revoked_device_is_cut_off(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    database = make_database()
    service = make_service(DATABASE_URL=database)
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    await alice.add(group, bob)
    async with listening(service.url, bob) as socket:
        await socket.until("caught_up")
        execute(
            database, f"update coterie.devices set revoked_at = now() where device_id = '{bob.device_id}'"
        )
        (await alice.send(group)).ok()
        assert (await socket.ended())["code"] == "device_revoked"
    assert socket.seqs(group.group_id) == []
    (await bob.send(group)).refused(403, "device_revoked")


async def test_a_server_restart_loses_and_repeats_nothing(make_service: Callable[..., Service]) -> None:
    service = make_service()
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    async with listening(service.url, alice) as socket:
        (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 1)
        service.restart()
    (await alice.send(group)).ok()
    async with listening(service.url, alice, {group.group_id: 1}) as again:
        await again.until_seq(group.group_id, 2)
        await again.settle()
    assert again.seqs(group.group_id) == [2]


async def test_sockets_survive_a_lost_database_connection(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    """The listener comes back, and messages announced meanwhile are found from each socket's position."""
    database = make_database()
    service = make_service(DATABASE_URL=database, COTERIE_LISTEN_RETRY_SECONDS="0.5")
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    group, later = await alice.create_group(), await alice.create_group()
    await alice.add(group, bob)
    async with listening(service.url, bob) as socket:
        await socket.until("caught_up")
        execute(
            database,
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and query like '%LISTEN%' and pid <> pg_backend_pid()",
        )
        (await alice.send(group)).ok()  # nobody listens now
        await alice.add(later, bob)
        missing = {("envelope", group.group_id), ("caught_up", later.group_id)}
        while missing:
            frame = await socket.next()
            missing.discard((frame["type"], frame.get("envelope", frame).get("group_id")))
        (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 3)
        await socket.settle()
    assert socket.seqs(group.group_id) == [2, 3]


async def test_a_listener_that_dies_while_a_socket_catches_up_leaves_no_gap(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    """Several pages behind, messages still coming, and nobody listens for a while: each comes once, in order."""
    database = make_database()
    service = make_service(DATABASE_URL=database, COTERIE_LISTEN_RETRY_SECONDS="0.2")
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    for _ in range(450):  # pages have 200
        (await alice.send(group)).ok()
    end = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and query like '%LISTEN%' and pid <> pg_backend_pid()"
    )
    async with listening(service.url, alice) as socket:
        for page in range(3):
            await socket.until_seq(group.group_id, 1 + 200 * page)
            execute(database, end)
            (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 453)
        (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 454)
        await socket.settle()
    assert socket.seqs(group.group_id) == list(range(1, 455))


async def test_deliver_over_http_says_what_it_is(service: Service) -> None:
    alice = await Device.guest(service.url)
    answer = await alice.http.get("/functions/v1/deliver")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    (await alice.call("deliver", group_id=new_id())).refused(405, "method_not_allowed")
