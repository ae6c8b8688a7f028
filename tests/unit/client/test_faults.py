"""Storage that fails, answers that are none, sessions that end, tasks that are cancelled: nothing is lost."""

import asyncio
import logging

import pytest

from coterie import session
from coterie.core.effects import CatchUp, Step
from coterie.core.engine import Engine
from coterie.errors import LocalError, Refused, StateError, StorageError, StorageLost, Unreachable
from coterie.ports import Answer
from tests.support.exchange import LIFE, Exchange, Person, settle

FULL = StorageError("storage_full", "There is no room left on this device.")
GONE = StorageLost("storage_lost", "Another tab has taken over.")
SEND = "/functions/v1/send_message"


# -- save, then act --


async def test_nothing_is_posted_before_it_is_saved(exchange: Exchange) -> None:
    """A lane asks for its next row at the very moment at which a new one is in memory and not on the disk."""
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    alice.store.held = first = asyncio.Event()
    one = asyncio.ensure_future(alice.client.send_text(group_id=group_id, text="one"))
    await settle()
    alice.wire.held[SEND] = posting = asyncio.Event()
    alice.store.held = second = asyncio.Event()
    first.set()
    await settle()  # "one" is saved and being posted
    posts = len(alice.wire.posts("send_message"))
    del alice.wire.held[SEND]
    posting.set()
    await settle()  # its answer is being saved
    two = asyncio.ensure_future(alice.client.send_text(group_id=group_id, text="two"))
    await settle()
    alice.store.held = third = asyncio.Event()
    second.set()
    await settle()  # now "two" is being saved
    assert not two.done()
    assert len(alice.wire.posts("send_message")) == posts, "bytes left the device that its disk does not have"
    alice.store.held = None
    third.set()
    await asyncio.gather(one, two)
    await settle()
    assert len(alice.wire.posts("send_message")) == posts + 1
    assert await bob.texts(group_id) == ["one", "two"]


async def test_nothing_is_shown_or_acknowledged_before_it_is_saved(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    socket = bob.wire.socket
    assert socket
    acks, events = list(socket.acks), len(bob.events)
    bob.store.held = asyncio.Event()
    await alice.client.send_text(group_id=group_id, text="hi")
    await settle()
    assert (socket.acks, len(bob.events)) == (acks, events)
    bob.store.held.set()
    await settle()
    assert socket.acks[-1][1] == acks[-1][1] + 1


async def test_a_save_that_fails_sends_nothing_and_uses_up_nothing(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    posts, rows = len(alice.wire.posts("send_message")), alice.store.rows()
    alice.store.error = FULL
    for _ in range(3):
        with pytest.raises(StorageError) as caught:
            await alice.client.send_text(group_id=group_id, text="lost")
        assert caught.value.code == "storage_full"
    await exchange.clock.advance(30)
    assert alice.store.rows() == rows
    assert len(alice.wire.posts("send_message")) == posts
    assert await alice.texts(group_id) == []
    alice.store.error = None
    await alice.client.send_text(group_id=group_id, text="kept")
    await exchange.clock.advance(10)  # the service's record of this device comes first, as after a start
    assert await bob.texts(group_id) == await alice.texts(group_id) == ["kept"]
    places = [(body["epoch"], body["counter"]) for body in alice.wire.posts("send_message")]
    assert places == sorted(set(places))


async def test_an_answer_that_cannot_be_saved_is_asked_for_again_and_told_once(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await alice.client.send_text(group_id=group_id, text="one")
    alice.wire.cut()
    alice.store.error = FULL
    await exchange.clock.advance(60)
    assert alice.problems().count("storage_full") <= 3  # the lane, the tick, the sync
    assert len(alice.wire.posts("send_message")) < 15
    alice.store.error = None
    await exchange.clock.advance(20)
    assert await alice.states(group_id) == ["sent"]
    assert await bob.texts(group_id) == ["one"]
    assert alice.rows("outbox") == {}


async def test_a_storage_that_fails_for_a_while_does_not_make_the_client_deaf(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    bob.store.error = FULL
    await alice.client.send_text(group_id=group_id, text="hi")
    await exchange.clock.advance(30)
    assert "storage_full" in bob.problems()
    assert bob.problems().count("storage_full") <= 2
    bob.store.error = None
    await exchange.clock.advance(30)
    assert await bob.texts(group_id) == ["hi"]
    await alice.client.send_text(group_id=group_id, text="again")
    await exchange.clock.advance(12)
    assert await bob.texts(group_id) == ["hi", "again"]


async def test_a_storage_that_fails_for_long_is_not_tried_without_a_pause(exchange: Exchange) -> None:
    """Each attempt reads the whole state again."""
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    bob.store.error = FULL
    connects = bob.wire.connects
    await alice.client.send_text(group_id=group_id, text="hi")
    await exchange.clock.advance(60)
    assert bob.wire.connects - connects < 15
    bob.store.error = None
    await exchange.clock.advance(30)
    assert await bob.texts(group_id) == ["hi"]


async def test_a_lost_storage_stops_every_turn(exchange: Exchange) -> None:
    """Another writer has been here: whatever this one remembers, it must not use."""
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    alice.store.error = GONE
    with pytest.raises(StorageLost):
        await alice.client.send_text(group_id=group_id, text="lost")
    alice.store.error = None  # even if it could write again
    posts, rows = len(alice.wire.posts("send_message")), alice.store.rows()
    with pytest.raises(StorageLost):
        await alice.client.send_text(group_id=group_id, text="lost too")
    await bob.client.send_text(group_id=group_id, text="hi")
    await exchange.clock.advance(60)
    assert (len(alice.wire.posts("send_message")), alice.store.rows()) == (posts, rows)
    assert "storage_lost" in alice.problems()
    assert alice.problems().count("storage_lost") <= 3


async def test_a_storage_that_cannot_be_read_back_stops_every_turn(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")

    async def load(table: str) -> dict[bytes, bytes]:
        raise FULL

    monkeypatch.setattr(alice.store, "load", load)
    alice.store.error = FULL
    with pytest.raises(StorageError):
        await alice.client.send_text(group_id=group_id, text="lost")
    alice.store.error = None
    with pytest.raises(StorageError):
        await alice.client.send_text(
            group_id=group_id, text="never out of memory that the disk does not have"
        )
    await exchange.clock.advance(20)
    assert [body for body in alice.wire.posts("send_message") if body["counter"] > 2] == []


async def test_who_stops_waiting_does_not_stop_the_save(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    alice.store.held = asyncio.Event()
    sending = asyncio.ensure_future(alice.client.send_text(group_id=group_id, text="one"))
    await settle()
    sending.cancel()
    other = asyncio.ensure_future(alice.client.send_text(group_id=group_id, text="two"))
    await settle()
    assert sending.cancelled()
    commits = alice.store.commits
    await settle()
    assert alice.store.commits == commits, "two saves at once"
    alice.store.held.set()
    alice.store.held = None
    await other
    await settle()
    assert await bob.texts(group_id) == ["one", "two"]


async def test_a_socket_that_comes_while_a_poll_is_saving_loses_nothing(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    bob.wire.sockets = False
    bob.wire.cut()
    await alice.client.send_text(group_id=group_id, text="hi")
    bob.store.held = asyncio.Event()
    await exchange.clock.advance(8)
    bob.wire.sockets = True
    await exchange.clock.advance(12)  # the socket is ready; the poll, in the middle of its save, is cancelled
    bob.store.held.set()
    bob.store.held = None
    await exchange.clock.advance(12)
    assert await bob.texts(group_id) == ["hi"]
    assert set(await bob.codes(group_id)) == {"joined_self"}


async def test_closing_with_work_in_flight_saves_what_has_begun(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    alice.wire.held[SEND] = asyncio.Event()
    await alice.client.send_text(group_id=group_id, text="in flight")
    await settle()
    alice.store.held = asyncio.Event()
    sending = asyncio.ensure_future(alice.client.send_text(group_id=group_id, text="being saved"))
    await settle()
    rows = alice.store
    closing = asyncio.ensure_future(alice.client.close())
    await settle()
    assert not closing.done()
    kept: dict[tuple[str, bytes], bytes] = {}
    original = rows.close

    async def close() -> None:
        kept.update(rows.rows())
        await original()

    rows.close = close  # type: ignore[method-assign]
    rows.held.set()
    await closing
    await sending
    assert sum(1 for table, _ in kept if table == "outbox") == 2
    with pytest.raises(StorageError):
        await alice.client.send_text(group_id=group_id, text="after the end")
    alice.store = type(rows)(kept)
    alice.client = alice._client()
    alice.wire.held.clear()
    await alice.client.start()
    await exchange.clock.advance(2)
    assert await bob.texts(group_id) == ["in flight", "being saved"]


async def test_closing_twice_and_before_the_start_is_fine(exchange: Exchange) -> None:
    person = Person(exchange)
    await person.client.close()
    await person.client.close()
    alice = await exchange.person("Alice")
    alice.wire.held["/auth/v1/signup"] = asyncio.Event()
    creating = asyncio.ensure_future(alice.client.create_group(name="x"))
    await settle()
    await alice.client.close()
    creating.cancel()
    await asyncio.gather(creating, return_exceptions=True)


# -- lanes --


@pytest.mark.parametrize("status", [401, 408, 425, 429, 500, 502, 503, 302, 101])
async def test_what_is_no_final_answer_is_tried_again_with_the_same_bytes(
    exchange: Exchange, status: int
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    alice.wire.answers[SEND] = Answer(status, {"code": "x", "message": "x"})
    alice.wire.log.clear()
    await alice.client.send_text(group_id=group_id, text="hi")
    await exchange.clock.advance(60)
    tries = alice.wire.posts("send_message")
    assert 3 < len(tries) < 25
    assert all(one == tries[0] for one in tries)
    assert await alice.states(group_id) == ["pending"]
    alice.wire.answers.clear()
    await exchange.clock.advance(16)
    assert await bob.texts(group_id) == ["hi"]


@pytest.mark.parametrize(
    ("asked", "earliest", "latest"),
    [(7, 7, 8), (0, 0.5, 1), (-5, 0.5, 1), (10**9, 300, 301), ("soon", 0.5, 1)],
)
async def test_a_pause_that_is_asked_for_is_kept_within_reason(
    exchange: Exchange, asked: object, earliest: float, latest: float
) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    alice.wire.answers[SEND] = Answer(429, {"code": "too_soon", "retry_after": asked})
    alice.wire.log.clear()
    await alice.client.send_text(group_id=group_id, text="hi")
    await exchange.clock.advance(earliest - 0.1)
    assert len(alice.wire.posts("send_message")) == 1
    await exchange.clock.advance(latest - earliest + 0.1)
    assert len(alice.wire.posts("send_message")) == 2


@pytest.mark.parametrize("body", [{}, {"seq": 0}, {"seq": "7"}, {"seq": None}])
async def test_a_yes_without_a_place_is_tried_again_and_told(
    exchange: Exchange, body: dict[str, object]
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    alice.wire.answers[SEND] = Answer(200, body)
    await alice.client.send_text(group_id=group_id, text="hi")
    await exchange.clock.advance(30)
    assert alice.problems() == ["bad_answer"]
    alice.wire.answers.clear()
    await exchange.clock.advance(16)
    assert await bob.texts(group_id) == await alice.texts(group_id) == ["hi"]


async def test_one_group_that_waits_holds_up_no_other(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    other = (await alice.client.create_group(name="Others"))["group_id"]
    await settle()
    original = exchange.office.handle

    def handle(caller: object, function: str, body: dict[str, object]) -> tuple[int, dict[str, object]]:
        if body.get("group_id") == group_id and function == "send_message":
            return 503, {}
        return original(caller, function, body)  # type: ignore[arg-type]

    exchange.office.handle = handle  # type: ignore[method-assign]
    await alice.client.send_text(group_id=group_id, text="waits")
    await alice.client.send_text(group_id=other, text="goes")
    await settle()
    assert await alice.states(other) == ["sent"]
    assert await alice.states(group_id) == ["pending"]


async def test_a_refused_line_is_failed_and_can_be_discarded(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    alice.wire.answers[SEND] = Answer(413, {"code": "too_large", "message": "Too large."})
    await alice.client.send_text(group_id=group_id, text="hi")
    await settle()
    line = (await alice.client.open_group(group_id=group_id))["lines"][-1]
    assert (line["state"], line["why"]) == ("failed", "Not sent: Too large.")
    await alice.client.discard_line(group_id=group_id, key=line["key"])
    assert await alice.texts(group_id) == []


async def test_a_service_that_hangs_up_before_it_is_ready_is_not_called_in_a_circle(
    exchange: Exchange,
) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    alice.wire.tokens.clear()
    alice.wire.answers["/auth/v1/token?grant_type=refresh_token"] = Unreachable("unreachable", "No.")
    alice.wire.cut()
    connects = alice.wire.connects
    await exchange.clock.advance(120)
    assert 5 < alice.wire.connects - connects < 25


# -- sessions --


async def test_a_token_that_ended_is_renewed_once_for_all(exchange: Exchange) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    other = (await alice.client.create_group(name="Others"))["group_id"]
    await settle()
    alice.wire.tokens.clear()
    alice.wire.log.clear()
    for one in (group_id, other):
        await alice.client.send_text(group_id=one, text="hi")
    await settle()
    assert [path for path, _ in alice.wire.log].count("/auth/v1/token?grant_type=refresh_token") == 1
    assert await bob.texts(group_id) == ["hi"]
    assert await alice.states(other) == ["sent"]


async def test_a_token_is_renewed_before_it_ends_and_handed_to_the_socket(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    await exchange.clock.advance(LIFE * 3)
    renewals = [path for path, _ in alice.wire.log].count("/auth/v1/token?grant_type=refresh_token")
    assert 2 < renewals <= 4
    assert alice.problems() == []


async def test_a_refused_session_is_told_once_and_nothing_is_lost(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    alice.wire.tokens.clear()
    alice.wire.refresh_tokens.clear()
    alice.wire.cut()
    await alice.client.send_text(group_id=group_id, text="waits")
    await exchange.clock.advance(300)
    assert alice.problems() == ["session_ended"]
    assert alice.told("session")[-1]["session"]["state"] == "ended"
    assert await alice.states(group_id) == ["pending"]
    assert len(alice.wire.log) < 400
    with pytest.raises(StateError) as caught:
        await alice.client.preview_link(
            link="https://x.example/?join=AAECAwQFBgcICQoLDA0ODw#1.EBESExQVFhcYGRobHB0eHw"
        )
    assert caught.value.code == "session_ended"
    assert "guest" in caught.value.sentence
    assert len(alice.wire.posts("device_register")) == 1, "nobody new is made in its place"


REFUSALS = {
    "another service": Answer(404, {"code": "not_found", "message": "There is nothing at this address."}),
    "a proxy": Answer(403, {"error": "Forbidden"}),
    "a fault of the service": Answer(400, {"code": "bad_json", "message": "Could not read body."}),
}


@pytest.mark.parametrize("path", ["/auth/v1/token?grant_type=refresh_token", "/functions/v1/device_register"])
@pytest.mark.parametrize("who", REFUSALS)
async def test_a_refusal_that_may_pass_does_not_end_a_guests_session(
    exchange: Exchange, who: str, path: str
) -> None:
    """A service that is set up wrongly for an hour must not cost guests who they are."""
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    alice.wire.answers[path] = REFUSALS[who]
    (alice.wire.tokens if "token" in path else alice.wire.bound).clear()
    await alice.client.send_text(group_id=group_id, text="hi")
    await exchange.clock.advance(LIFE + 30)
    assert await alice.states(group_id) == ["pending"]
    assert alice.problems() == []
    alice.wire.answers.clear()
    await exchange.clock.advance(40)
    assert await alice.states(group_id) == ["sent"]
    assert await bob.texts(group_id) == ["hi"]


@pytest.mark.parametrize("answer", ["junk", "another user", "full"])
async def test_a_renewal_that_fails_oddly_stalls_nothing(exchange: Exchange, answer: str) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    alice.wire.tokens.clear()
    if answer == "full":
        await alice.client.send_text(group_id=group_id, text="hi")
        alice.store.error = FULL
    else:
        body = {} if answer == "junk" else (await bob.wire.request("POST", "/auth/v1/signup", {}, None)).body
        alice.wire.answers["/auth/v1/token?grant_type=refresh_token"] = Answer(200, body)
        await alice.client.send_text(group_id=group_id, text="hi")
    await exchange.clock.advance(LIFE + 30)
    assert await alice.states(group_id) == ["pending"]
    assert 1 <= len(alice.problems()) <= 4
    alice.wire.answers.clear()
    alice.store.error = None
    await exchange.clock.advance(40)
    assert await alice.states(group_id) == ["sent"]


async def test_signing_out_deletes_everything_and_one_can_begin_again(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    alice.wire.held[SEND] = asyncio.Event()
    await alice.client.send_text(group_id=group_id, text="in flight")
    await settle()
    await exchange.clock.advance(LIFE + 10)
    await alice.client.sign_out()
    assert alice.store.rows() == {}
    assert alice.wire.refresh_tokens == set()
    calls = len(alice.wire.log)
    await exchange.clock.advance(60)
    assert len(alice.wire.log) == calls
    assert alice.problems() == []
    with pytest.raises(StateError):
        await alice.client.send_text(group_id=group_id, text="gone")
    alice.wire.held.clear()
    alice.wire.device_id = ""
    await alice.client.set_name(name="Someone else")
    made = await alice.client.create_group(name="New")
    await exchange.clock.advance(1)
    assert made["group_id"] in exchange.office.rooms
    assert alice.told("connection")[-1]["state"] == "online"


async def test_signing_out_that_fails_leaves_all_as_it_was(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")

    async def full() -> None:
        raise StorageError("storage_full", "No room.")

    with monkeypatch.context() as patched:
        patched.setattr(alice.store, "clear", full)
        with pytest.raises(StorageError, match=r"No room\."):
            await alice.client.sign_out()
    await alice.client.send_text(group_id=group_id, text="still here")
    await bob.client.send_text(group_id=group_id, text="so am I")
    await exchange.clock.advance(15)
    assert (
        sorted(await alice.texts(group_id)) == sorted(await bob.texts(group_id)) == ["so am I", "still here"]
    )
    assert alice.told("signed_out") == []
    await alice.client.sign_out()
    assert alice.wire.refresh_tokens == set()


async def test_signing_out_does_not_wait_for_a_service_that_says_nothing(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (alice, _) = await exchange.friends("Alice", "Bob")
    monkeypatch.setattr(session, "PARTING", 0)
    alice.wire.held["/auth/v1/token?grant_type=refresh_token"] = asyncio.Event()
    await exchange.clock.advance(LIFE)  # the token has to be renewed before anything else
    await asyncio.wait_for(alice.client.sign_out(), 5)
    assert alice.store.rows() == {}
    await exchange.clock.advance(60)
    assert alice.store.rows() == {}


async def test_signing_out_works_on_a_full_disk(exchange: Exchange) -> None:
    _, (alice, _) = await exchange.friends("Alice", "Bob")
    exchange.office.now += LIFE * 1000  # the token has to be renewed, which is saved
    alice.store.error = StorageError("storage_full", "No room.")
    await alice.client.sign_out()
    assert alice.store.rows() == {}


async def test_whoever_comes_after_a_sign_out_gets_nothing_of_the_session_before(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last renewal is answered, and cut off while it is saved."""
    _, (alice, _) = await exchange.friends("Alice", "Bob")
    monkeypatch.setattr(session, "PARTING", 0.05)
    renewing = alice.wire.held["/auth/v1/token?grant_type=refresh_token"] = asyncio.Event()
    exchange.office.now += LIFE * 1000
    given_up, stop = asyncio.Event(), alice.client._stop

    async def stopped() -> None:
        given_up.set()
        await stop()

    monkeypatch.setattr(alice.client, "_stop", stopped)
    leaving = asyncio.ensure_future(alice.client.sign_out())
    await settle()
    saving = alice.store.held = asyncio.Event()
    renewing.set()
    await given_up.wait()
    alice.store.held = None
    saving.set()
    await leaving
    assert alice.store.rows() == {}
    user, alice.wire.device_id = alice.wire.user_id, ""
    await alice.client.set_name(name="Someone else")
    await alice.client.create_group(name="New")
    assert alice.wire.user_id != user
    assert alice.client.snapshot()["user_id"] == alice.wire.user_id


async def test_signing_out_works_while_the_service_is_down(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    alice.wire.down = True
    await alice.client.sign_out()
    assert alice.store.rows() == {}


@pytest.mark.parametrize("path", ["/auth/v1/signup", "/functions/v1/device_register"])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Unreachable("unreachable", "No."), Unreachable),
        (Answer(503, {"code": "unavailable", "message": "Later."}), Unreachable),
        (Answer(429, {"code": "too_many", "message": "Later."}), Unreachable),
        (Answer(403, {"code": "signup_disabled", "message": "No."}), Refused),
    ],
)
async def test_a_sign_in_that_fails_can_be_tried_again(
    exchange: Exchange, path: str, answer: Answer | Exception, error: type[Exception]
) -> None:
    alice = await exchange.person("Alice")
    alice.wire.answers[path] = answer
    with pytest.raises(error):
        await alice.client.create_group(name="Friends")
    alice.wire.answers.clear()
    await alice.client.create_group(name="Friends")
    await settle()
    assert len(exchange.office.rooms) == 1
    assert [p for p, _ in alice.wire.log].count("/auth/v1/signup") == (2 if "signup" in path else 1)


@pytest.mark.parametrize(
    "body", [{}, {"access_token": "x"}, {"access_token": "a.b.c", "refresh_token": "r", "user": {"id": "u"}}]
)
async def test_a_sign_in_with_junk_changes_nothing(exchange: Exchange, body: dict[str, object]) -> None:
    alice = await exchange.person("Alice")
    rows = alice.store.rows()
    alice.wire.answers["/auth/v1/signup"] = Answer(200, body)
    with pytest.raises(Exception, match="not a session"):
        await alice.client.create_group(name="Friends")
    assert alice.store.rows() == rows


# -- what must not take the client down --


async def test_a_page_that_fails_to_draw_does_not_keep_lines_from_going(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")

    def on_event(event: dict[str, object]) -> None:
        raise ValueError("the page")

    alice.client._on_event = on_event
    await alice.client.send_text(group_id=group_id, text="hi")
    await settle()
    assert await bob.texts(group_id) == ["hi"]
    assert "failed to take an event" in caplog.text


async def test_a_defect_in_the_background_is_told_and_logged(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")

    def tick(self: Engine, now: int) -> Step:
        raise KeyError("a defect")

    monkeypatch.setattr(Engine, "tick", tick)
    await exchange.clock.advance(20)
    assert alice.problems() == ["internal"]
    assert "a defect" in caplog.text
    await alice.client.send_text(group_id=group_id, text="still goes")
    await settle()
    assert await bob.texts(group_id) == ["still goes"]


async def test_no_secret_is_logged(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    link = (await alice.client.create_invite(group_id=group_id))["link"]
    alice.wire.tokens.clear()
    alice.wire.refresh_tokens.clear()
    alice.wire.cut()
    bob.store.error = FULL
    await alice.client.send_text(group_id=group_id, text="the plaintext")
    with pytest.raises(LocalError):
        await bob.client.preview_link(link=link + "x")
    await exchange.clock.advance(60)
    for secret in ("SECRET", link.partition("#1.")[2], "the plaintext", "e30."):
        assert secret not in caplog.text
    assert "coterie" in caplog.text


async def test_catching_up_that_nobody_can_answer_ends(exchange: Exchange) -> None:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    alice.wire.answers["/functions/v1/get_messages"] = Answer(503, {})
    alice.wire.log.clear()

    def work(engine: Engine, now: int) -> Step:
        return Step({}, (CatchUp(group_id),))

    await alice.client._do(work)
    await exchange.clock.advance(120)
    assert 3 < len(alice.wire.posts("get_messages")) < 12
