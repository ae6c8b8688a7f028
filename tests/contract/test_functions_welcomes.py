"""Added without a link: the Welcome waits for the device, is told to its sockets, and is accepted or declined."""

import asyncio
from typing import Any

from tests.support import mls
from tests.support.caller import Device, Group
from tests.support.server import Service
from tests.support.socket_client import listening

MIB = 1024 * 1024


async def people(service: Service, count: int) -> list[Device]:
    """So many guests."""
    return [await Device.guest(service.url) for _ in range(count)]


async def waiting(device: Device, **more: Any) -> list[dict[str, Any]]:
    """`welcomes_list`."""
    welcomes: list[dict[str, Any]] = (await device.call("welcomes_list", **more)).ok()["welcomes"]
    return welcomes


async def add(adder: Device, group: Group, *devices: Device) -> list[str]:
    """Commit without joins; gives the Welcomes in hex."""
    welcomes = [{"device_id": one.device_id, "welcome": mls.welcome().hex()} for one in devices]
    (await adder.commit(group, add=[one.device_id for one in devices], welcomes=welcomes)).ok()
    return [one["welcome"] for one in welcomes]


async def test_a_known_person_is_added_while_all_their_devices_are_away(service: Service) -> None:
    alice, bob = await people(service, 2)
    await alice.add(await alice.create_group(), bob)
    await bob.publish(2)
    [package] = (await alice.claim(bob)).ok()["key_packages"]
    group = await alice.create_group()
    (await alice.send(group)).ok()
    [welcome] = await add(alice, group, bob)
    assert package["device_id"] == bob.device_id
    [invitation] = await waiting(bob)
    assert invitation.pop("created_at").endswith("Z")
    assert invitation == {
        "group_id": group.group_id,
        "seq": 2,
        "welcome": welcome,
        "from_seq": 3,
        "sender_device": alice.device_id,
        "sender_user": alice.user_id,
    }
    assert await waiting(alice) == []


async def test_accepted_by_group_join(service: Service) -> None:
    alice, bob = await people(service, 2)
    group = await alice.create_group()
    await add(alice, group, bob)
    (await alice.send(group)).ok()
    async with listening(service.url, bob) as socket:
        await socket.until("invitation")
        await socket.settle()
        assert socket.seqs(group.group_id) == []
        joined = (await bob.call("group_join", group_id=group.group_id)).ok()
        assert joined == {"group_id": group.group_id, "from_seq": 2}
        await socket.until_seq(group.group_id, 2)
    assert await waiting(bob) == []


async def test_declined_by_group_leave(service: Service) -> None:
    alice, bob = await people(service, 2)
    group = await alice.create_group()
    await add(alice, group, bob)
    (await bob.call("group_leave", group_id=group.group_id)).ok()
    assert await waiting(bob) == []
    (await bob.send(group)).refused(403, "not_a_member")
    (await bob.call("group_join", group_id=group.group_id)).refused(403, "not_a_member")
    [mine] = (await bob.call("groups_list")).ok()["groups"]
    assert (mine["until_seq"], mine["joined"]) == (1, False)


async def test_an_open_socket_hears_of_it_and_so_does_the_next_one(service: Service) -> None:
    alice, bob, carol = await people(service, 3)
    first, second = await alice.create_group(), await alice.create_group()
    async with listening(service.url, bob) as socket, listening(service.url, carol) as hers:
        await add(alice, first, bob)
        told = await socket.until("invitation")
        assert told == {"v": 1, "type": "invitation", **(await waiting(bob))[0]}
        await add(alice, second, bob)
        assert (await socket.until("invitation"))["group_id"] == second.group_id
        await alice.send(first)
        await socket.settle()
        await hers.settle()
        told_groups = [one["group_id"] for one in socket.frames if one["type"] == "invitation"]
        assert told_groups == [first.group_id, second.group_id]  # each once
        assert "invitation" not in [frame["type"] for frame in hers.frames]
    async with listening(service.url, bob) as socket:
        groups = {(await socket.until("invitation"))["group_id"] for _ in range(2)}
    assert groups == {first.group_id, second.group_id}


async def test_what_was_taken_back_waits_no_more(service: Service) -> None:
    """Removed before it answered; then added anew: the Welcome that counts is the last one."""
    alice, bob = await people(service, 2)
    group = await alice.create_group()
    [old] = await add(alice, group, bob)
    (await alice.commit(group, remove=[bob.device_id])).ok()
    assert await waiting(bob) == []
    [new] = await add(alice, group, bob)
    [invitation] = await waiting(bob)
    assert (invitation["welcome"], invitation["from_seq"]) == (new, 4)
    assert old != new


async def test_who_comes_by_a_link_gets_the_welcome_there_and_not_here(service: Service) -> None:
    alice, bob = await people(service, 2)
    group = await alice.create_group()
    invite = await alice.invite(group)
    join = await bob.ask(invite)
    async with listening(service.url, bob) as socket:
        (await alice.complete(group, invite, (bob, join))).ok()
        await socket.until("welcome")
        await socket.settle()
        assert "invitation" not in [frame["type"] for frame in socket.frames]
    assert await waiting(bob) == []


async def test_who_waits_on_a_link_and_is_added_without_it_waits_no_more(service: Service) -> None:
    alice, bob = await people(service, 2)
    group = await alice.create_group()
    join = await bob.ask(await alice.invite(group))
    await add(alice, group, bob)
    assert len(await waiting(bob)) == 1
    (await bob.call("group_join", group_id=group.group_id)).ok()
    assert (await bob.poll(join))["status"] == "cancelled"
    assert (await alice.call("invite_pending")).ok() == {"joins": []}


async def test_large_ones_are_fetched_one_by_one(service: Service) -> None:
    alice, bob = await people(service, 2)
    groups = [await alice.create_group() for _ in range(3)]
    sizes = [5 * MIB, 4 * MIB, MIB]
    for group, size in zip(groups, sizes, strict=True):
        welcomes = [{"device_id": bob.device_id, "welcome": (mls.welcome() + bytes(size)).hex()}]
        (await alice.commit(group, add=[bob.device_id], welcomes=welcomes)).ok()
    listed = await waiting(bob)
    assert [one["group_id"] for one in listed] == [group.group_id for group in groups]
    assert [one["welcome"] is None for one in listed] == [False, True, True]
    [second] = await waiting(bob, group_id=groups[1].group_id)
    assert len(second["welcome"]) > 8 * MIB
    async with listening(service.url, bob) as socket:
        frames = [await socket.until("invitation") for _ in groups]
    assert [frame["welcome"] is None for frame in frames] == [False, True, True]


async def test_a_group_of_others_is_as_one_that_does_not_exist(service: Service) -> None:
    alice, bob, eve = await people(service, 3)
    group = await alice.create_group()
    await add(alice, group, bob)
    assert await waiting(eve, group_id=group.group_id) == []
    assert await waiting(eve) == []
    (await eve.call("welcomes_list", group_id="x")).refused(400, "bad_request")


async def test_a_commit_that_lost_invites_nobody(service: Service) -> None:
    alice, bob, carol = await people(service, 3)
    group = await alice.create_group()
    await alice.add(group, bob)
    bodies = [one.commit_body(group, add=[carol.device_id]) for one in (alice, bob)]
    answers = await asyncio.gather(
        alice.call("send_commit", **bodies[0]), bob.call("send_commit", **bodies[1])
    )
    assert sorted(answer.status for answer in answers) == [200, 409]
    winner = bodies[0] if answers[0].status == 200 else bodies[1]
    [invitation] = await waiting(carol)
    assert invitation["welcome"] == winner["welcomes"][0]["welcome"]
