"""A line's life: pending until a 2xx or its echo; the same bytes until their epoch is gone; failed and discarded."""

import pytest

from coterie.core.group import lines, outbox
from coterie.core.hearing import OUTBOX_KEY
from coterie.core.records import group_key
from coterie.errors import LocalError, RemoteError, StateError
from coterie_wire import Envelope
from tests.support.device import Device
from tests.support.directory import no
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice
from tests.support.returning import change


def line_events(device: Device) -> list[tuple[str, str | None]]:
    """(text, was) of the `line` events."""
    return [(e["line"]["text"], e.get("was")) for e in device.events if e["event"] == "line"]


def post(device: Device, group_id: str) -> tuple[bytes, str, dict[str, object]]:
    found = device.engine.next_post(group_key(group_id))
    assert found
    return found


def test_a_line_is_pending_then_sent_and_the_echo_changes_nothing(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "hi")
    assert alice.states(group_id) == ["pending"]
    pending = alice.lines(group_id)[-1]["key"]
    office.post(alice)
    assert alice.states(group_id) == ["sent"]
    assert line_events(alice)[-1] == ("hi", pending)
    assert len(alice.rows["sent"]) == 1
    office.pump()
    assert alice.texts(group_id) == bob.texts(group_id) == ["hi"]
    assert alice.states(group_id) == ["sent"]
    assert alice.rows["sent"] == {} == alice.rows["outbox"]


def test_the_echo_settles_a_line_whose_answer_was_lost(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "hi")
    key, function, body = post(alice, group_id)
    status, answer = office.handle(alice, function, body)
    office.deliver(alice)
    assert alice.states(group_id) == ["sent"]
    before = {table: dict(rows) for table, rows in alice.rows.items()}
    alice.run(alice.engine.posted(key, status, answer, office.now))  # the answer, after all
    assert alice.rows == before
    office.pump()
    assert alice.texts(group_id) == bob.texts(group_id) == ["hi"]
    assert alice.rows["sent"] == {}


def test_a_retry_posts_the_same_bytes(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.lost.add("send_message")
    alice.send(group_id, "hi")
    office.post(alice)
    alice.crash()
    office.post(alice)
    office.post(alice)
    bodies = office.calls("send_message")[-3:]
    assert bodies[0] == bodies[1] == bodies[2]
    office.lost.clear()
    office.pump()
    assert alice.texts(group_id) == bob.texts(group_id) == ["hi"]


def test_a_row_that_is_retried_holds_those_behind_it(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.refusals["send_message"] = no(503, "unavailable")
    for text in ("one", "two", "three"):
        alice.send(group_id, text)
    first = post(alice, group_id)
    office.post(alice)
    assert post(alice, group_id) == first
    del office.refusals["send_message"]
    office.pump()
    assert bob.texts(group_id) == ["one", "two", "three"]
    counters = [body["counter"] for body in office.calls("send_message")[-3:]]
    assert counters == sorted(set(counters))


def test_lines_of_a_gone_epoch_are_framed_anew_in_their_order(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    bob.online = False
    for text in ("one", "two", "three"):
        bob.send(group_id, text)
    alice.remove(group_id, carol)
    office.pump()
    bob.online = True
    office.deliver(bob)
    bob.send(group_id, "four")  # framed in the new epoch, behind rows of the old one
    office.pump()
    assert alice.texts(group_id) == bob.texts(group_id) == ["one", "two", "three", "four"]
    assert "state_behind" not in bob.codes(group_id)
    assert same_state(group_id, alice, bob)
    assert "fork" not in alice.codes(group_id)


def test_stale_epoch_is_no_reason_to_encrypt_before_the_epoch_has_moved(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.refusals["send_message"] = no(409, "stale_epoch", epoch=9)
    alice.send(group_id, "hi")
    row = alice.outbox()[0]
    office.post(alice)
    assert alice.outbox()[0].mls_bytes == row.mls_bytes
    assert alice.engine.next_post(group_key(group_id)) is None
    assert (alice.device_id, group_id) in office.wanted
    del office.refusals["send_message"]
    alice.crash()  # after a restart it asks again, with the same bytes
    office.pump()
    assert bob.texts(group_id) == ["hi"]
    assert office.calls("send_message")[-1] == office.calls("send_message")[-2]


class Liar(PostOffice):
    """Answers `stale_epoch` to one text, but keeps and delivers it."""

    lying = False

    def _do_send_message(self, caller: object, body: dict[str, object]) -> tuple[int, dict[str, object]]:
        answer = super()._do_send_message(caller, body)  # type: ignore[arg-type]
        if self.lying and answer[0] == 200:
            self.lying = False
            return no(409, "stale_epoch", epoch=99)
        return answer


def test_a_lying_stale_epoch_shows_a_line_once() -> None:
    office = Liar()
    group_id, (alice, bob, carol, dan) = friends(office, "Alice", "Bob", "Carol", "Dan")
    office.lying = True
    bob.send(group_id, "hi")
    key, function, body = post(bob, group_id)
    status, answer = office.handle(bob, function, body)
    assert answer["code"] == "stale_epoch"
    bob.run(bob.engine.posted(key, status, answer, office.now))
    hidden = office.rooms[group_id].envelopes[-1]
    alice.run(alice.engine.receive(hidden, office.now))
    alice.remove(group_id, dan)
    office.post(alice)
    commit = office.rooms[group_id].envelopes[-1]
    moved = _at(commit, hidden.seq)  # Bob is shown the commit in the place of his line
    bob.run(bob.engine.receive(moved, office.now))
    office.pump(alice, bob, carol)
    assert alice.texts(group_id) == carol.texts(group_id) == bob.texts(group_id) == ["hi"]
    first, second = (
        b for b in office.calls("send_message") if b["message_id"] == body["message_id"] or b["epoch"] == 4
    )
    assert first["mls_bytes"] != second["mls_bytes"]


def _at(envelope: Envelope, seq: int) -> Envelope:
    return Envelope.from_json(envelope.to_json() | {"seq": seq})


def test_an_answer_to_bytes_that_were_framed_anew_means_nothing(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    bob.send(group_id, "hi")
    old, _, _ = post(bob, group_id)
    alice.remove(group_id, carol)
    office.post(alice)
    bob.run(bob.engine.posted(old, 409, {"code": "stale_epoch"}, office.now))
    office.deliver(bob)
    fresh, _, _ = post(bob, group_id)
    assert fresh[:OUTBOX_KEY] == old[:OUTBOX_KEY]
    assert fresh != old
    rows = dict(bob.rows["outbox"])
    bob.run(bob.engine.posted(old, 409, {"code": "stale_epoch"}, office.now))
    bob.run(bob.engine.posted(old, 400, {"code": "bad_request"}, office.now))
    assert bob.rows["outbox"] == rows
    office.pump()
    assert alice.texts(group_id) == ["hi"]


def test_state_behind_stops_sending_with_a_line_and_nothing_else(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.rooms[group_id].counters[alice.device_id] = 99
    office.refusals["group_info_get"] = 503, {}
    alice.send(group_id, "hi")
    office.pump()
    assert alice.codes(group_id)[-1] == "state_behind"
    assert alice.states(group_id) == ["pending"]
    assert not alice.group(group_id)["can_send"]
    assert "stopped sending" in alice.group(group_id)["why"]
    with pytest.raises(StateError) as caught:
        alice.send(group_id, "again")
    assert caught.value.code == "state_behind"
    posts = len(office.calls("send_message"))
    bob.send(group_id, "still heard")
    alice.crash()
    office.pump()
    assert alice.texts(group_id) == ["still heard", "hi"]
    assert len(office.calls("send_message")) == posts + 1


def test_a_final_refusal_is_a_failed_line_that_can_be_discarded(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.refusals["send_message"] = no(413, "too_large")
    alice.send(group_id, "hi")
    office.post(alice)
    line = alice.lines(group_id)[-1]
    assert (line["state"], line["code"], line["text"]) == ("failed", "not_sent", "hi")
    assert line["why"] == "Not sent: Refused: too_large."
    del office.refusals["send_message"]
    alice.crash()
    alice.send(group_id, "next")
    office.pump()
    assert bob.texts(group_id) == ["next"]
    assert alice.texts(group_id) == ["hi", "next"]
    value = alice.rows["messages"][group_key(group_id) + bytes.fromhex(line["key"])]
    alice.run(alice.engine.discard_line(group_id, value, office.now))
    assert alice.texts(group_id) == ["next"]
    assert alice.events[-1] == {"event": "line_gone", "group_id": group_id, "key": line["key"]}
    assert b"hi" not in alice.rows["messages"][group_key(group_id) + bytes.fromhex(line["key"])]


def test_only_a_failed_line_can_be_discarded(office: PostOffice) -> None:
    group_id, (alice, _) = friends(office, "Alice", "Bob")
    alice.send(group_id, "hi")
    office.pump()
    value = alice.rows["messages"][group_key(group_id) + bytes.fromhex(alice.lines(group_id)[-1]["key"])]
    with pytest.raises(StateError) as caught:
        alice.engine.discard_line(group_id, value, office.now)
    assert caught.value.code == "not_failed"


@pytest.mark.parametrize("order", ["answer first", "echo first"])
def test_a_notice_never_takes_the_place_of_an_own_line(office: PostOffice, order: str) -> None:
    group_id, (alice, _) = friends(office, "Alice", "Bob")
    alice.send(group_id, "hi")
    if order == "echo first":
        office.lost.add("send_message")
    office.post(alice)
    office.deliver(alice)
    office.lost.clear()
    office.refusals["send_message"] = no(413, "too_large")
    for text in ("two", "three"):  # failed lines stand behind the last line, at the same seq
        alice.send(group_id, text)
        office.post(alice)
    assert alice.texts(group_id) == ["hi", "two", "three"]


def test_a_seq_that_is_taken_never_lets_a_line_replace_another(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.send(group_id, "from bob")
    office.pump()
    for number, lie in enumerate((1, alice.record(group_id).cursor, 77, 77, 2**53 - 1)):
        alice.send(group_id, f"line {number}")
        key, _, _ = post(alice, group_id)
        alice.run(alice.engine.posted(key, 200, {"seq": lie}, office.now))
    assert sorted(alice.texts(group_id)) == ["from bob", *(f"line {n}" for n in range(5))]
    bob.send(group_id, "goes on")
    office.pump()
    assert "goes on" in alice.texts(group_id)


@pytest.mark.parametrize("seq", [None, 0, -1, "7", True, 2**53, 1.5, [1]])
def test_an_answer_without_a_place_is_no_answer(office: PostOffice, seq: object) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "hi")
    rows = {table: dict(held) for table, held in alice.rows.items()}
    key, _, _ = post(alice, group_id)
    with pytest.raises(RemoteError) as caught:
        alice.engine.posted(key, 200, {"seq": seq}, office.now)
    assert caught.value.code == "bad_answer"
    assert alice.rows == rows
    office.pump()
    assert bob.texts(group_id) == ["hi"]


def test_what_cannot_be_sent_is_refused_before_anything_changes(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    for text in ("", " ", "x" * 16_001, "\ud800"):
        with pytest.raises(LocalError):
            alice.send(group_id, text)
    with pytest.raises(StateError):
        alice.send("00000000-0000-4000-8000-000000000000", "hi")
    alice.send(group_id, "hi")
    office.pump()
    assert bob.texts(group_id) == ["hi"]
    assert office.calls("send_message")[-1]["counter"] == alice.record(group_id).counter


def test_a_full_outbox_refuses_lines_and_keeps_those_it_has(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coterie.core.group.outbox.MAX_WAITING", 3)
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.down = True
    for number in range(3):
        alice.send(group_id, str(number))
    with pytest.raises(StateError) as caught:
        alice.send(group_id, "too much")
    assert caught.value.code == "outbox_full"
    office.down = False
    office.pump()
    assert bob.texts(group_id) == ["0", "1", "2"]


def test_what_is_framed_anew_and_what_is_due_in_the_new_epoch_share_one_count(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    ask = bob.engine._turn(
        office.now, lambda turn: outbox.send_control(turn, lines.need(turn, group_id), {"type": "ask"})
    )
    bob.run(ask[0])
    office.pump()
    change(bob, group_id)  # the invites that Bob asked for are due by now
    alice.send(group_id, "in the old epoch")
    office.post(bob)
    office.post(alice)
    assert alice.record(group_id).answer_at
    office.pump(alice)
    assert not alice.record(group_id).answer_at
    alice.send(group_id, "in the new one")
    office.pump()
    assert bob.texts(group_id) == ["in the old epoch", "in the new one"]
