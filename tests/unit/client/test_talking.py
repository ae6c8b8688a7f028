"""Clients that talk: by socket, by polling, over restarts and a service that is down."""

import asyncio

import pytest

from coterie.client import Client
from coterie.errors import InviteError, LinkError, LocalError, StateError, StorageLost
from tests.support.exchange import Exchange, settle


async def test_two_people_talk_by_socket(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await alice.client.send_text(group_id=group_id, text="hi")
    await bob.client.send_text(group_id=group_id, text="hello")
    await settle()
    assert sorted(await alice.texts(group_id)) == ["hello", "hi"]
    assert await alice.texts(group_id) == await bob.texts(group_id)
    assert await alice.states(group_id) == ["sent"]
    assert alice.rows("outbox") == {} == alice.rows("sent")
    assert alice.told("connection")[-1]["state"] == "online"
    assert alice.wire.posts("get_messages") == []
    socket = bob.wire.socket
    assert socket
    assert socket.acks[-1] == (group_id, len(exchange.office.rooms[group_id].envelopes))


async def test_all_of_it_works_by_polling(exchange: Exchange) -> None:
    alice, bob = await exchange.person("Alice"), await exchange.person("Bob")
    alice.wire.sockets = bob.wire.sockets = False
    group_id = (await alice.client.create_group(name="Friends"))["group_id"]
    link = (await alice.client.create_invite(group_id=group_id))["link"]
    await bob.client.join(link=link, name="Bob")
    await exchange.clock.advance(15)
    await bob.client.send_text(group_id=group_id, text="hi")
    await exchange.clock.advance(6)
    assert await alice.texts(group_id) == await bob.texts(group_id) == ["hi"]
    assert alice.told("connection")[-1]["state"] == "polling"


async def test_a_restart_keeps_everything_and_goes_on(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    alice.wire.down = True
    await alice.client.send_text(group_id=group_id, text="written offline")
    await alice.killed()
    assert await alice.states(group_id) == ["pending"]
    alice.wire.down = False
    await exchange.clock.advance(30)
    assert await bob.texts(group_id) == ["written offline"]
    await bob.again()
    await bob.client.send_text(group_id=group_id, text="after a restart")
    await exchange.clock.advance(1)
    assert await alice.texts(group_id) == await bob.texts(group_id) == ["written offline", "after a restart"]
    assert len(alice.wire.posts("device_register")) == 1


async def test_messages_wait_while_the_service_is_down_and_go_when_it_is_back(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    for person in (alice, bob):
        person.wire.log.clear()
        person.wire.down = True
        person.wire.cut()
    for number in range(3):
        await alice.client.send_text(group_id=group_id, text=f"{number}")
    await exchange.clock.advance(120)
    assert await alice.states(group_id) == ["pending"] * 3
    assert alice.told("connection")[-1]["state"] == "offline"
    tries = alice.wire.posts("send_message")
    assert 5 < len(tries) < 40
    assert all(body == tries[0] for body in tries)
    for person in (alice, bob):
        person.wire.down = False
    await exchange.clock.advance(12)
    assert await bob.texts(group_id) == await alice.texts(group_id) == ["0", "1", "2"]
    assert await alice.states(group_id) == ["sent"] * 3


async def test_the_same_envelope_by_stream_and_page_is_one_line(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await alice.client.send_text(group_id=group_id, text="once")
    socket = bob.wire.socket
    assert socket
    await settle()
    envelope = exchange.envelope(group_id, len(exchange.office.rooms[group_id].envelopes))
    socket.queue.put_nowait({"v": 1, "type": "envelope", "envelope": envelope})
    bob.client._sync.catch_up(group_id)
    socket.queue.put_nowait({"v": 1, "type": "removed", "group_id": group_id, "until_seq": 99})
    socket.queue.put_nowait({"v": 1, "type": "from the future"})
    await settle()
    assert await bob.texts(group_id) == ["once"]
    assert await bob.codes(group_id) == ["joined_self"]


async def test_a_gap_in_the_stream_is_fetched(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    socket = bob.wire.socket
    assert socket
    socket.sent[group_id] = socket.sent[group_id] + 2  # the stream loses two
    for number in range(3):
        await alice.client.send_text(group_id=group_id, text=f"{number}")
        await settle()
    assert await bob.texts(group_id) == ["0", "1", "2"]
    assert "gap" not in await bob.codes(group_id)


async def test_catching_up_that_is_asked_for_meanwhile_happens_again(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    sync, calls = bob.client._sync, len(bob.wire.posts("get_messages"))
    sync.catch_up(group_id)
    await settle()
    assert len(bob.wire.posts("get_messages")) == calls + 1
    bob.wire.held["/functions/v1/get_messages"] = held = asyncio.Event()
    sync.catch_up(group_id)
    await settle()  # its page is on its way, with nothing in it
    for _ in range(3):
        sync.catch_up(group_id)
    held.set()
    await settle()
    assert len(bob.wire.posts("get_messages")) == calls + 3
    bob.wire.held.clear()
    bob.wire.down = True
    sync.catch_up(group_id)
    await settle()
    bob.wire.down = False
    await exchange.clock.advance(1)
    assert len(bob.wire.posts("get_messages")) == calls + 5


async def test_a_socket_that_died_without_a_word_is_found_out(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await exchange.clock.advance(300)
    assert bob.wire.connects == 1, "a socket that answers is kept"
    socket = bob.wire.socket
    assert socket
    socket.mute = True
    await alice.client.send_text(group_id=group_id, text="hi")
    await exchange.clock.advance(36)
    assert bob.wire.connects == 2
    assert await bob.texts(group_id) == ["hi"]


async def test_an_ill_formed_envelope_is_skipped(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    socket = bob.wire.socket
    assert socket
    for junk in ({}, {"v": 2}, {"v": 1, "seq": "7"}):
        socket.queue.put_nowait({"v": 1, "type": "envelope", "envelope": junk})
    socket.queue.put_nowait({"v": 1, "type": "welcome", "join_id": 7})
    socket.queue.put_nowait({"v": 1, "type": "join_waiting", "join": {"join_id": "x"}})
    await alice.client.send_text(group_id=group_id, text="good")
    await settle()
    assert await bob.texts(group_id) == ["good"]
    assert bob.problems() == []


async def test_an_invite_is_there_when_it_is_handed_out(exchange: Exchange) -> None:
    group_id, (alice,) = await exchange.friends("Alice")
    link = (await alice.client.create_invite(group_id=group_id))["link"]
    assert len(exchange.office.invites) == 1
    alice.wire.down = True
    late = await alice.client.create_invite(group_id=group_id)  # returns, and goes later
    assert late["link"] != link
    alice.wire.down = False
    await exchange.clock.advance(20)
    assert len(exchange.office.invites) == 2
    listed = await alice.client.list_invites(group_id=group_id)
    assert {invite["link"] for invite in listed} == {link, late["link"]}
    await alice.client.revoke_invite(invite_id=listed[0]["invite_id"])
    await settle()
    assert sum(invite["ended"] for invite in exchange.office.invites.values()) == 1


async def test_a_link_is_looked_at_before_anything_is_asked(exchange: Exchange) -> None:
    group_id, (alice,) = await exchange.friends("Alice")
    link = (await alice.client.create_invite(group_id=group_id))["link"]
    bob = await exchange.person("Bob")
    for text, error, code in (
        ("nonsense", LinkError, "bad_link"),
        (link.replace("#1.", "#2."), LinkError, "newer_link"),
        (link[:-5], LinkError, "bad_link"),
    ):
        with pytest.raises(error) as caught:
            await bob.client.preview_link(link=text)
        assert caught.value.code == code
    assert bob.wire.log == []
    assert (await bob.client.preview_link(link=link))["group_name"] == "Friends"
    exchange.office.invites.clear()
    with pytest.raises(InviteError) as gone:
        await bob.client.preview_link(link=link)
    assert gone.value.code == "invite_unavailable"
    assert await alice.client.preview_link(link=link) == {"kind": "member", "group_id": group_id}


async def test_a_member_is_led_in_by_a_link_that_is_over_too(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service is asked first: what members tell of a link is believed only when it does not say where it leads."""
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    link = (await alice.client.create_invite(group_id=group_id))["link"]
    await settle()
    there = {"kind": "member", "group_id": group_id}
    asked = len(bob.wire.posts("invite_info"))
    assert await bob.client.preview_link(link=link) == there
    assert len(bob.wire.posts("invite_info")) == asked + 1
    bob.wire.down = True
    assert await bob.client.preview_link(link=link) == there
    bob.wire.down = False
    exchange.office.invites.clear()
    assert await bob.client.preview_link(link=link) == there

    async def lost(_: object) -> None:
        raise StorageLost("storage_lost", "Another tab has it.")

    with monkeypatch.context() as patched:
        patched.setattr(bob.client, "_preview_of", lost)
        with pytest.raises(StorageLost):
            await bob.client.preview_link(link=link)
    with pytest.raises(StateError) as caught:
        await bob.client.join(link=link, name="Bob")
    assert caught.value.code == "already_member"


async def test_a_join_can_be_left_cancelled_and_dismissed(exchange: Exchange) -> None:
    group_id, (alice,) = await exchange.friends("Alice")
    link = (await alice.client.create_invite(group_id=group_id))["link"]
    await alice.client.close()
    bob = await exchange.person("Bob")
    join = await bob.client.join(link=link, name="Bob")
    await settle()
    await bob.again()
    assert (await bob.client.preview_link(link=link)) == {"kind": "waiting", "join_id": join["join_id"]}
    await bob.client.cancel_join(join_id=join["join_id"])
    await settle()
    assert exchange.office.joins[join["join_id"]]["status"] == "cancelled"
    await bob.client.dismiss_join(join_id=join["join_id"])
    assert bob.told("join_gone")[-1]["join_id"] == join["join_id"]
    exchange.people.remove(alice)


async def test_removing_leaving_and_forgetting(exchange: Exchange) -> None:
    group_id, (alice, bob, carol) = await exchange.friends("Alice", "Bob", "Carol")
    opened = await alice.client.open_group(group_id=group_id)
    identity = next(one["identity"] for one in opened["members"] if one["name"] == "Carol")
    await alice.client.remove_member(group_id=group_id, identity=identity)
    await settle()
    assert (await carol.codes(group_id))[-1] == "removed_self"
    await bob.client.leave_group(group_id=group_id)
    await exchange.clock.advance(11)
    assert len((await alice.client.open_group(group_id=group_id))["members"]) == 1
    await bob.client.forget_group(group_id=group_id)
    assert bob.rows("messages") == {} == bob.rows("groups")
    assert bob.told("group_gone") == [{"event": "group_gone", "group_id": group_id}]


async def test_history_comes_in_pages(exchange: Exchange) -> None:
    group_id, (alice,) = await exchange.friends("Alice")
    for number in range(7):
        await alice.client.send_text(group_id=group_id, text=f"{number}")
        await settle()
    page = await alice.client.open_group(group_id=group_id, limit=3)
    assert ([line["text"] for line in page["lines"]], page["more"]) == (["4", "5", "6"], True)
    older = await alice.client.open_group(group_id=group_id, before=page["lines"][0]["key"], limit=100)
    assert [line["text"] for line in older["lines"]][-4:] == ["0", "1", "2", "3"]
    assert not older["more"]
    whole = await alice.client.open_group(group_id=group_id, limit=len(page["lines"] + older["lines"]))
    assert (len(whole["lines"]), whole["more"]) == (len(page["lines"] + older["lines"]), False)


NOWHERE = "00000000-0000-4000-8000-000000000000"


async def test_what_cannot_be_is_a_typed_error_with_a_sentence(exchange: Exchange) -> None:
    group_id, (alice,) = await exchange.friends("Alice")
    client: Client = alice.client
    rows = alice.store.rows()
    for call, code in (
        (lambda: client.open_group(group_id="x"), "no_group"),
        (lambda: client.open_group(group_id=NOWHERE), "no_group"),
        (lambda: client.open_group(group_id=group_id, before="x"), "no_line"),
        (lambda: client.open_group(group_id=group_id, before="00"), "no_line"),
        (lambda: client.send_text(group_id=group_id, text=""), "empty"),
        (lambda: client.discard_line(group_id=group_id, key="zz"), "no_line"),
        (lambda: client.discard_line(group_id=group_id, key="f" * 20), "no_line"),
        (lambda: client.revoke_invite(invite_id="zz"), "no_invite"),
        (lambda: client.cancel_join(join_id="x"), "no_join"),
        (lambda: client.dismiss_join(join_id=NOWHERE), "no_join"),
        (lambda: client.remove_member(group_id=group_id, identity="x"), "no_member"),
        (lambda: client.forget_group(group_id=group_id), "still_member"),
        (lambda: client.set_name(name=""), "bad_name"),
        (lambda: client.create_group(name="\u202e"), "bad_name"),
        (lambda: client.create_invite(group_id=group_id, max_uses=0), "bad_invite"),
        (lambda: client.import_state(data=b""), "not_empty"),
    ):
        with pytest.raises(LocalError) as caught:
            await call()
        assert caught.value.code == code
        assert caught.value.sentence.endswith(".")
    assert alice.store.rows() == rows


async def test_a_state_goes_to_a_fresh_profile_and_reads_there(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await bob.client.send_text(group_id=group_id, text="history")
    await settle()
    data = await alice.client.export_state()
    copy = await exchange.person("Nobody yet")
    for junk in (b"", data[:-1], data[:40]):
        with pytest.raises(LocalError) as caught:
            await copy.client.import_state(data=junk)
        assert caught.value.code == "bad_export"
    assert copy.rows("mls") == {} == copy.rows("groups")
    snapshot = await copy.client.import_state(data=data)
    assert snapshot["read_only"]
    assert await copy.texts(group_id) == ["history"]
    for call in (
        lambda: copy.client.send_text(group_id=group_id, text="x"),
        lambda: copy.client.create_group(name="x"),
        lambda: copy.client.leave_group(group_id=group_id),
    ):
        with pytest.raises(StateError) as refused:
            await call()
        assert refused.value.code == "read_only"
    await copy.again()
    await exchange.clock.advance(60)
    assert copy.wire.log == []
