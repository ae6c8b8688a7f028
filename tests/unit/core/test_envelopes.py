"""What comes in: garbage, replays, gaps and lies become a line each, and the next good message is read."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import coterie_mls
from coterie.core.effects import Acknowledge, CatchUp
from coterie.core.engine import Engine
from coterie.errors import StateError, StorageError
from coterie_wire import Envelope
from tests.support import mallory
from tests.support.device import Device
from tests.support.friends import friends, same_state
from tests.support.post_office import PostOffice


def next_envelope(office: PostOffice, group_id: str, sender: Device, text: str) -> Envelope:
    """A line of `sender`, posted and delivered to nobody."""
    sender.send(group_id, text)
    office.post(sender)
    return office.rooms[group_id].envelopes[-1]


def with_bytes(envelope: Envelope, data: bytes) -> Envelope:
    return replace(envelope, mls_bytes=data, hash=hashlib.sha256(data).digest(), size=len(data))


def replaced(office: PostOffice, group_id: str, envelope: Envelope) -> None:
    office.rooms[group_id].envelopes[envelope.seq - 1] = envelope


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


BAD_BYTES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda data: b"", "malformed"),
    "random": (lambda data: bytes(range(256)), "malformed"),
    "truncated": (lambda data: data[:-1], "malformed"),
    "trailing byte": (lambda data: data + b"\0", "malformed"),
    "changed inside": (lambda data: flip(data, len(data) - 3), "forged"),
    "oversized": (lambda data: data + bytes(1 << 20), "malformed"),
}


@pytest.mark.parametrize("name", BAD_BYTES)
def test_a_bad_message_is_a_line_and_the_next_good_one_is_read(office: PostOffice, name: str) -> None:
    change, code = BAD_BYTES[name]
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bad = next_envelope(office, group_id, alice, "lost")
    good = next_envelope(office, group_id, alice, "good")
    assert bad.mls_bytes
    bob.run(bob.engine.receive(with_bytes(bad, change(bad.mls_bytes)), office.now))
    bob.run(bob.engine.receive(good, office.now))
    assert bob.codes(group_id)[-1] == code
    assert bob.texts(group_id) == ["good"]
    assert bob.group(group_id)["can_send"]


def test_bytes_that_do_not_match_their_hash_are_tampered(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    first, second = (next_envelope(office, group_id, alice, text) for text in ("one", "two"))
    bob.run(bob.engine.receive(replace(first, hash=bytes(32)), office.now))
    bob.run(bob.engine.receive(second, office.now))
    assert (bob.codes(group_id)[-1], bob.texts(group_id)) == ("tampered", ["two"])


def test_an_expired_message_is_a_line(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    first, second = (next_envelope(office, group_id, alice, text) for text in ("one", "two"))
    bob.run(bob.engine.receive(replace(first, mls_bytes=None, gone=True), office.now))
    bob.run(bob.engine.receive(second, office.now))
    assert (bob.codes(group_id)[-1], bob.texts(group_id)) == ("expired", ["two"])


def gone(envelope: Envelope) -> Envelope:
    """As the service has it when it keeps the bytes no longer."""
    return replace(envelope, mls_bytes=None, gone=True)


def test_a_commit_that_is_gone_breaks_the_group_and_says_why(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    first = next_envelope(office, group_id, alice, "before")
    alice.remove(group_id, carol)
    office.post(alice)
    commit = office.rooms[group_id].envelopes[-1]
    assert commit.kind == "commit"
    for envelope in (first, gone(commit)):
        bob.run(bob.engine.receive(envelope, office.now))
    assert (bob.codes(group_id)[-1], bob.texts(group_id)) == ("missed_commit", ["before"])
    assert bob.group(group_id)["state"] == "broken"
    assert not bob.group(group_id)["can_send"]
    bob.crash()
    late = replace(next_envelope(office, group_id, alice, "after"), seq=commit.seq + 1)
    bob.run(bob.engine.receive(late, office.now))
    assert bob.texts(group_id) == ["before"]
    assert bob.record(group_id).cursor == late.seq, "what follows is passed over"


@pytest.mark.parametrize("what", ["message", "commit"])
def test_what_this_device_sent_itself_may_be_gone_when_it_comes_back(office: PostOffice, what: str) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    if what == "commit":
        alice.remove(group_id, carol)
    else:
        alice.send(group_id, "mine")
    office.post(alice)
    envelope = office.rooms[group_id].envelopes[-1]
    alice.run(alice.engine.receive(gone(envelope), office.now))
    office.deliver(bob)
    assert alice.codes(group_id)[-1] == ("removed" if what == "commit" else "joined")
    assert same_state(group_id, alice, bob)
    bob.send(group_id, "go on")
    office.pump()
    assert alice.texts(group_id)[-1] == "go on"


def test_the_same_envelope_by_stream_and_page_is_one_line(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    envelope = next_envelope(office, group_id, alice, "once")
    for paged in (False, True, False):
        step = bob.engine.receive(envelope, office.now, paged=paged)
        bob.run(step)
        assert Acknowledge(group_id, envelope.seq) in step.effects
    assert step.changes == {}
    assert bob.texts(group_id) == ["once"]
    assert bob.codes(group_id) == ["joined_self"]


def test_an_old_message_under_a_new_seq_is_replayed_not_read(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    envelope = next_envelope(office, group_id, alice, "once")
    bob.run(bob.engine.receive(envelope, office.now))
    bob.run(bob.engine.receive(replace(envelope, seq=envelope.seq + 1), office.now))
    assert (bob.codes(group_id)[-1], bob.texts(group_id)) == ("replayed", ["once"])


def test_the_same_content_encrypted_twice_is_shown_once(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "once")
    content = alice.outbox()[0].content
    again = alice.engine.backend.encrypt(alice.record(group_id).mls_id, content)
    office.post(alice)
    envelope = office.rooms[group_id].envelopes[-1]
    bob.run(bob.engine.receive(envelope, office.now))
    bob.run(bob.engine.receive(with_bytes(replace(envelope, seq=envelope.seq + 1), again), office.now))
    assert bob.texts(group_id) == ["once"]
    assert bob.codes(group_id) == ["joined_self"]


def test_a_gap_in_the_stream_is_fetched_and_a_gap_in_a_page_is_a_line(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    _, _, third = (next_envelope(office, group_id, alice, text) for text in ("one", "two", "three"))
    rows = dict(bob.rows["messages"])
    step = bob.engine.receive(third, office.now)
    assert step.effects == (CatchUp(group_id),)
    bob.run(step)
    assert bob.rows["messages"] == rows
    bob.run(bob.engine.receive(third, office.now, paged=True))
    assert [line["text"] for line in bob.lines(group_id)][-2:] == [
        "2 messages were held back by the service.",
        "three",
    ]


def test_the_same_seq_in_two_groups_is_two_messages(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    other = alice.create("Others")
    link = alice.invite(other)
    office.pump()
    bob.ask(link, "Bob")
    office.pump()
    while len(office.rooms[other].envelopes) != len(office.rooms[group_id].envelopes):
        shorter = min((group_id, other), key=lambda one: len(office.rooms[one].envelopes))
        alice.send(shorter, "filler")
        office.pump()
    one, two = next_envelope(office, group_id, alice, "here"), next_envelope(office, other, alice, "there")
    assert one.seq == two.seq
    bob.run(bob.engine.receive(one, office.now))
    bob.run(bob.engine.receive(two, office.now))
    assert bob.texts(group_id)[-1:] == ["here"]
    assert bob.texts(other)[-1:] == ["there"]


def test_a_message_of_one_group_under_the_other_is_refused(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    other, (carol, dan) = friends(office, "Carol", "Dan")
    foreign = next_envelope(office, other, carol, "not for you")
    cursor = bob.record(group_id).cursor
    bob.run(bob.engine.receive(replace(foreign, group_id=group_id, seq=cursor + 1), office.now))
    assert bob.codes(group_id)[-1] == "wrong_group"
    commit = next(e for e in office.rooms[other].envelopes if e.kind == "commit")
    bob.run(bob.engine.receive(replace(commit, group_id=group_id, seq=cursor + 2), office.now))
    assert bob.codes(group_id)[-1] == "wrong_group"
    assert bob.group(group_id)["can_send"]


def test_messages_of_other_epochs_are_lines_and_break_nothing(office: PostOffice) -> None:
    group_id, (alice, bob, carol) = friends(office, "Alice", "Bob", "Carol")
    old = next_envelope(office, group_id, alice, "old")
    commit_before = [e for e in office.rooms[group_id].envelopes if e.kind == "commit"][-1]
    office.pump()
    alice.remove(group_id, carol)
    office.post(alice)
    office.deliver(alice)
    early = next_envelope(office, group_id, alice, "early")
    cursor = bob.record(group_id).cursor
    bob.run(bob.engine.receive(replace(early, seq=cursor + 1), office.now))  # before the commit
    bob.run(bob.engine.receive(replace(office.rooms[group_id].envelopes[-2], seq=cursor + 2), office.now))
    bob.run(bob.engine.receive(replace(old, seq=cursor + 3), office.now))
    bob.run(bob.engine.receive(replace(commit_before, seq=cursor + 4), office.now))
    assert bob.codes(group_id)[-4:] == ["too_early", "removed", "replayed", "replayed"]
    assert bob.texts(group_id) == ["old"]
    assert bob.group(group_id)["state"] == "active"


def test_an_own_message_that_was_never_sent_is_forged(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    twin = mallory.twin(alice)
    twin.send(group_id, "with stolen keys")
    stolen = twin.outbox()[-1].mls_bytes
    template = next_envelope(office, group_id, bob, "honest")
    alice.run(alice.engine.receive(with_bytes(template, stolen), office.now))
    assert alice.codes(group_id)[-1] == "forged_own"
    assert alice.texts(group_id) == []
    assert alice.group(group_id)["can_send"]


def test_a_content_that_is_none_is_a_line(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    template = next_envelope(office, group_id, alice, "good")
    for junk in (b"", b"\xff", b"plain text"):
        data = alice.engine.backend.encrypt(alice.record(group_id).mls_id, junk)
        envelope = with_bytes(replace(template, seq=bob.record(group_id).cursor + 1), data)
        bob.run(bob.engine.receive(envelope, office.now))
        assert bob.codes(group_id)[-1] == "bad_content"
    assert bob.group(group_id)["can_send"]


@pytest.mark.parametrize("time", ["2026-99-99T99:99:99Z", "0000-01-01T00:00:00Z", "2026-12-31T23:59:60Z"])
def test_a_time_that_never_was_harms_nothing(office: PostOffice, time: str) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    first, second = (next_envelope(office, group_id, alice, text) for text in ("one", "two"))
    bob.run(bob.engine.receive(replace(first, server_time=time), office.now))
    bob.run(bob.engine.receive(replace(second, server_time=time, hash=bytes(32)), office.now))
    assert [line["at"] for line in bob.lines(group_id)][-2:] == [office.now, office.now]


def test_an_envelope_of_an_unknown_group_changes_nothing(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    envelope = replace(
        next_envelope(office, group_id, alice, "x"), group_id="00000000-0000-4000-8000-000000000000"
    )
    step = bob.engine.receive(envelope, office.now)
    assert (step.changes, step.effects) == ({}, ())


class Damaged:
    """The binding over a state whose rows do not read back."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def process(self, group_id: bytes, message: bytes) -> Any:
        raise coterie_mls.Corrupt("a row")


def test_own_keys_that_do_not_read_stop_everything_and_use_up_nothing(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    envelope = next_envelope(office, group_id, alice, "hi")
    rows = {table: dict(held) for table, held in bob.rows.items()}
    bob.engine.backend = Damaged(bob.engine.backend)
    with pytest.raises(StorageError) as caught:
        bob.engine.receive(envelope, office.now)
    assert caught.value.code == "corrupt_row"
    assert bob.rows == rows
    bob.crash()
    bob.run(bob.engine.receive(envelope, office.now))
    assert bob.texts(group_id) == ["hi"]


def test_damaged_keys_are_noticed_before_anything_is_sent(office: PostOffice) -> None:
    group_id, (_, bob) = friends(office, "Alice", "Bob")
    used = {key for (table, key) in bob.writes[-1].changes if table == "mls"}
    bob.send(group_id, "hi")
    used |= {key for (table, key) in bob.writes[-1].changes if table == "mls"}
    assert used
    for key in used & set(bob.rows["mls"]):
        damaged = bob.rows["mls"] | {key: bob.rows["mls"][key][:-1]}
        with pytest.raises((StorageError, StateError, coterie_mls.MlsError)) as caught:
            _send_on(bob, group_id, damaged)
        code = str(getattr(caught.value, "code", ""))
        assert "corrupt" in code or code == "no_group"  # the latter: the group was set aside at the start


def _send_on(device: Device, group_id: str, keys: dict[bytes, bytes]) -> None:
    """The binding may notice as soon as it is loaded, or when it needs the row."""
    Engine.load(coterie_mls, device.rows | {"mls": keys}).send_text(group_id, "x", device.now)


def test_a_hundred_lines_of_each_arrive_complete_and_in_one_order(office: PostOffice) -> None:
    group_id, people = friends(office, "Alice", "Bob", "Carol")
    for number in range(100):
        for person in people:
            person.send(group_id, f"{number}")
        if number % 7 == 0:
            office.pump()
    office.pump()
    assert same_state(group_id, *people)
    assert len(people[0].texts(group_id)) == 300
    for person in people:
        assert set(person.codes(group_id)) <= {"created", "joined", "joined_self"}
