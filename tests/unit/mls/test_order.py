"""How far messages of one sender may arrive out of order: 64 late, 2,000 ahead."""

import pytest

from coterie_mls import Backend, Stale, TooEarly

Pair = tuple[Backend, Backend, bytes]
LATE = 64
AHEAD = 2000


def messages(pair: Pair, count: int) -> list[bytes]:
    alice, _, group_id = pair
    return [alice.encrypt(group_id, b"%d" % number) for number in range(count)]


def test_the_last_that_is_not_too_late(pair: Pair) -> None:
    _, bob, group_id = pair
    sent = messages(pair, LATE + 2)
    bob.process(group_id, sent[LATE + 1])
    assert bob.process(group_id, sent[2]).data == b"2"
    with pytest.raises(Stale):
        bob.process(group_id, sent[0])


def test_exactly_at_the_limit(pair: Pair) -> None:
    _, bob, group_id = pair
    sent = messages(pair, LATE + 1)
    bob.process(group_id, sent[LATE])
    assert readable(bob, group_id, sent[:LATE]) == list(range(1, LATE)), "64 keys, the opened one among them"


def readable(bob: Backend, group_id: bytes, sent: list[bytes]) -> list[int]:
    opened = []
    for message in sent:
        try:
            opened.append(int(bob.process(group_id, message).data))
        except Stale:
            continue
    return opened


def test_any_order_within_the_limit(pair: Pair) -> None:
    _, bob, group_id = pair
    sent = messages(pair, LATE)
    assert readable(bob, group_id, sent[::-1]) == list(range(LATE))[::-1]


def test_as_far_ahead_as_may_be(pair: Pair) -> None:
    _, bob, group_id = pair
    sent = messages(pair, AHEAD + 2)
    before = bob.export_state()
    with pytest.raises(TooEarly):
        bob.process(group_id, sent[AHEAD + 1])
    assert bob.export_state() == before
    assert bob.process(group_id, sent[AHEAD]).data == b"%d" % AHEAD
    assert bob.process(group_id, sent[AHEAD + 1]).data == b"%d" % (AHEAD + 1)


def test_after_a_restart_the_order_is_remembered(pair: Pair) -> None:
    _, bob, group_id = pair
    sent = messages(pair, 10)
    bob.process(group_id, sent[9])
    copy = Backend.import_state(bob.export_state())
    assert copy.process(group_id, sent[3]).data == b"3"
    with pytest.raises(Stale):
        copy.process(group_id, sent[9])


def test_an_epoch_that_is_over_opens_nothing_and_the_next_opens_all(pair: Pair) -> None:
    alice, bob, group_id = pair
    late = alice.encrypt(group_id, b"in time for nobody")
    commit = bob.commit(group_id).commit
    bob.merge_pending(group_id)
    with pytest.raises(Stale):
        bob.process(group_id, late)
    early = bob.encrypt(group_id, b"an epoch ahead")
    with pytest.raises(TooEarly):
        alice.process(group_id, early)
    alice.process(group_id, commit)
    assert alice.process(group_id, early).data == b"an epoch ahead"
    with pytest.raises(Stale):
        bob.process(group_id, late)
