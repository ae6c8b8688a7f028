"""A turn is all or nothing, is saved before it is heard of, and writes what it changed."""

from collections.abc import Callable
from typing import Any

import pytest

from coterie.core import standing
from coterie.core.effects import DEVICE_LANE, Step
from coterie.core.engine import Engine
from coterie.core.group import lines, once, outbox
from coterie.core.records import group_key
from coterie.core.state import Turn
from coterie.errors import LocalError
from tests.support.device import Device
from tests.support.friends import friends
from tests.support.post_office import PostOffice


def memory(engine: Engine) -> tuple[Any, ...]:
    """Everything that the engine knows beside the binding."""
    records = {table: dict(held) for table, held in engine.state.tables.items()}
    joins = engine.completing
    return (
        records,
        dict(joins.claiming),
        dict(joins.claimed),
        set(joins.elsewhere),
        dict(joins.rejected),
        set(engine._blocked),
    )


class Stopped(BaseException):
    """As a panic in the binding: not an `Exception`."""


ACTS: dict[str, Callable[[Device, str], Any]] = {
    "send": lambda one, group_id: one.engine.send_text(group_id, "x", one.now),
    "name": lambda one, group_id: one.engine.set_name("Else", one.now),
    "create": lambda one, group_id: one.engine.create_group("Other", one.now),
    "invite": lambda one, group_id: one.engine.create_invite(group_id, 60, 1, "https://x.example", one.now),
    "leave": lambda one, group_id: one.engine.leave_group(group_id, one.now),
    "remove": lambda one, group_id: one.engine.remove_member(
        group_id, one.engine.open_group(group_id, [], newest=True)["members"][1]["identity"], one.now
    ),
    "mark read": lambda one, group_id: one.engine.mark_read(group_id, 3, one.now),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("error", [ValueError, Stopped])
def test_a_turn_that_fails_at_its_end_leaves_nothing(
    office: PostOffice, act: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.send(group_id, "unread")
    office.pump()
    before = memory(alice.engine)

    def finish(turn: Turn) -> Step:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Turn, "finish", finish)
        with pytest.raises(error):
            ACTS[act](alice, group_id)
    assert memory(alice.engine) == before
    assert alice.engine.backend
    assert alice.engine.backend.take_changes() == {}
    alice.send(group_id, "next")
    office.pump()
    assert bob.texts(group_id) == ["unread", "next"]
    assert office.calls("send_message")[-1]["counter"] == alice.record(group_id).counter


def test_a_turn_that_fails_in_the_middle_leaves_nothing(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    before = memory(alice.engine)

    def work(turn: Turn) -> None:
        group = lines.need(turn, group_id)
        outbox.send_control(turn, group, {"type": "leave"})
        alice.engine._blocked.add(b"x")
        alice.engine.completing.elsewhere.add("x")
        raise LocalError("no", "no")

    with pytest.raises(LocalError):
        alice.engine._turn(alice.now, work)
    assert memory(alice.engine) == before
    assert alice.engine.backend
    assert alice.engine.backend.take_changes() == {}


def test_the_engine_and_its_rows_agree_after_every_step(office: PostOffice) -> None:
    """Whatever a device knows, it finds again on its disk."""
    group_id, people = friends(office, "Alice", "Bob", "Carol")
    people[0].send(group_id, "hi")
    people[2].leave(group_id)
    office.pump()
    office.wait(5)
    for person in people:
        held = {table: dict(rows) for table, rows in person.engine.state.tables.items()}
        person.crash()
        assert person.engine.state.tables == held


# -- what is written --


def written(step: Step) -> int:
    return sum(len(key) + len(value or b"") for (_, key), value in step.changes.items())


def tables(step: Step) -> dict[str, int]:
    found: dict[str, int] = {}
    for table, _ in step.changes:
        found[table] = found.get(table, 0) + 1
    return found


def test_a_line_writes_the_rows_that_it_changes_and_no_others(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    for number in range(5):
        alice.send(group_id, f"{number}")
        assert tables(alice.writes[-1]) == {"mls": 1, "groups": 1, "outbox": 1}
        office.post(alice)
        assert tables(alice.writes[-1]) == {"messages": 1, "outbox": 1, "sent": 1}
        office.deliver(bob)
        assert tables(bob.writes[-1]) == {"mls": 1, "groups": 1, "messages": 1, "recent": 1}


def test_bytes_per_message_do_not_grow_with_groups_or_history(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")

    def cost() -> tuple[int, int]:
        alice.send(group_id, "x" * 200)
        sent = written(alice.writes[-1])
        office.post(alice)
        office.deliver(bob)
        received = written(bob.writes[-1])
        office.pump()
        return sent, received

    for _ in range(5):
        first = cost()
    for number in range(12):
        alice.create(f"Group {number}")
        bob.create(f"Group {number}")
    office.pump()
    for _ in range(2 * once.SIZE):  # a row of those has grown as far as it had
        later = cost()
    assert max(later) < 8_000
    assert later[0] <= first[0] + 100
    assert later[1] <= first[1] + 100


def test_nothing_is_written_for_what_changes_nothing(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "hi")
    office.pump()
    envelope = office.rooms[group_id].envelopes[-1]
    assert bob.engine.receive(envelope, office.now).changes == {}
    assert bob.engine.tick(office.now).changes == {}
    assert bob.engine.posted(group_key(group_id) + bytes(24), 200, {"seq": 1}, office.now).changes == {}
    assert bob.engine.posted(DEVICE_LANE + bytes(24), 400, {}, office.now).changes == {}


def test_a_record_that_was_not_taken_to_the_end_is_still_awaited(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what it says of keys that were used would be lost with the turn, and lines posted all the same."""
    group_id, (alice, _) = friends(office, "Alice", "Bob")
    alice.engine.await_record()
    alice.send(group_id, "waits")
    status, record = office.handle(alice, "groups_list", {})

    def release(*_: Any) -> None:
        raise Stopped

    monkeypatch.setattr(standing, "release", release)
    with pytest.raises(Stopped):
        alice.engine.answered("groups_list", {}, status, record, alice.now)
    assert alice.engine.next_post(group_key(group_id)) is None
