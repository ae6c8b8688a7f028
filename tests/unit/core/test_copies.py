"""A state in another place: it reads, it has the same keys, and it never sends."""

from typing import Any

import cbor2
import pytest

import coterie_mls
from coterie.core.engine import Engine
from coterie.core.records import Group, group_key
from coterie.errors import LocalError, StateError
from coterie.ports import TABLES
from tests.support.device import Device
from tests.support.friends import friends
from tests.support.post_office import PostOffice


def imported(office: PostOffice, data: bytes) -> Device:
    """A fresh profile with that state."""
    copy = Device(office, "copy")
    del office.devices[copy.device_id]
    copy.rows = {table: {} for table in TABLES}
    for (table, key), value in Engine.import_(coterie_mls, data).items():
        if value is not None:
            copy.rows[table][key] = value
    copy.crash()
    return copy


def test_a_copy_has_the_same_keys_and_history_and_refuses_to_send(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    alice.send(group_id, "one")
    office.pump()
    bob.send(group_id, "two")
    office.pump()
    copy = imported(office, alice.engine.export(alice.rows))
    original, there = alice.engine.backend, copy.engine.backend
    assert original
    assert there
    mls_id = alice.record(group_id).mls_id
    assert there.epoch_authenticator(mls_id) == original.epoch_authenticator(mls_id)
    assert copy.record(group_id).epoch_authenticator == alice.record(group_id).epoch_authenticator
    assert copy.texts(group_id) == ["one", "two"]
    assert copy.names(group_id) == ["Alice", "Bob"]
    snapshot = copy.engine.snapshot("offline")
    assert (snapshot["read_only"], snapshot["user_id"], snapshot["name"]) == (True, alice.user_id, "Alice")
    sentence = "This is a copy of another device's state. It can read, but it never sends."
    assert (copy.group(group_id)["can_send"], copy.group(group_id)["why"]) == (False, sentence)
    with pytest.raises(StateError) as caught:
        copy.send(group_id, "never")
    assert (caught.value.code, caught.value.sentence) == ("read_only", sentence)


def test_a_copy_refuses_all_that_would_use_a_key(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    link = bob.invite(group_id)
    other, (carol,) = friends(office, "Carol")
    foreign = carol.invite(other)
    office.pump()
    copy = imported(office, alice.engine.export(alice.rows))
    rows = {table: dict(held) for table, held in copy.rows.items()}
    for call in (
        lambda: copy.create("New"),
        lambda: copy.send(group_id, "x"),
        lambda: copy.invite(group_id),
        lambda: copy.remove(group_id, bob),
        lambda: copy.leave(group_id),
        lambda: copy.ask(foreign, "Alice"),
    ):
        with pytest.raises(StateError) as caught:
            call()
        assert caught.value.code == "read_only"
    copy.tick()
    copy.run(copy.engine.joins_waiting([], office.now))
    assert copy.engine.next_post(group_key(group_id)) is None
    assert copy.rows == rows
    assert link


def test_a_copy_keeps_no_session_outbox_or_invites(office: PostOffice) -> None:
    group_id, (alice, _) = friends(office, "Alice", "Bob")
    link = alice.invite(group_id)
    alice.send(group_id, "waits")
    data = alice.engine.export(alice.rows)
    copy = imported(office, data)
    for table in ("outbox", "sent", "invites", "joins"):
        assert copy.rows[table] == {}
    assert copy.engine.session is None
    assert link.partition("#1.")[2].encode() not in data


def test_a_copy_of_a_copy_still_never_sends(office: PostOffice) -> None:
    group_id, (alice, _) = friends(office, "Alice", "Bob")
    copy = imported(office, alice.engine.export(alice.rows))
    again = imported(office, copy.engine.export(copy.rows))
    with pytest.raises(StateError):
        again.send(group_id, "x")


def changed(data: bytes, change: Any) -> bytes:
    value = cbor2.loads(data)
    change(value)
    return cbor2.dumps(value)


def _row(table: str, value: bytes) -> Any:
    def change(state: Any) -> None:
        key = next(iter(state["tables"][table]))
        state["tables"][table][key] = value

    return change


def _other_group(state: Any) -> None:
    key, value = next(iter(state["tables"]["groups"].items()))
    state["tables"]["groups"][key] = Group.decode(value).with_(mls_id=bytes(16)).encode()


def _misplaced(state: Any) -> None:
    key, value = state["tables"]["messages"].popitem()
    state["tables"]["messages"][key[:-1] + b"\xff"] = value


CORRUPT: dict[str, Any] = {
    "keys cut": lambda state: state.update(mls=state["mls"][:-1]),
    "no keys": lambda state: state.update(mls=b""),
    "keys of another type": lambda state: state.update(mls="x"),
    "no tables": lambda state: state.pop("tables"),
    "tables of another type": lambda state: state.update(tables=[]),
    "rows of another type": lambda state: state["tables"].update(groups={b"x": 7}),
    "newer": lambda state: state.update(coterie=2),
    "group row": _row("groups", b"junk"),
    "line row": _row("messages", b"junk"),
    "name row": _row("profiles", b"\x80"),
    "me row": lambda state: state.update(me=b"junk"),
    "a group without keys": _other_group,
    "a row under another key": _misplaced,
}


@pytest.mark.parametrize("name", CORRUPT)
def test_a_corrupt_export_is_refused(office: PostOffice, name: str) -> None:
    group_id, (alice, _) = friends(office, "Alice", "Bob")
    alice.send(group_id, "hi")
    office.pump()
    data = changed(alice.engine.export(alice.rows), CORRUPT[name])
    with pytest.raises(LocalError) as caught:
        Engine.import_(coterie_mls, data)
    assert caught.value.code == "bad_export"


@pytest.mark.parametrize("data", [b"", b"junk", b"\xa0", b"\x81" * 5000, bytes.fromhex("bb7fffffffffffffff")])
def test_what_is_no_export_is_refused(data: bytes) -> None:
    with pytest.raises(LocalError) as caught:
        Engine.import_(coterie_mls, data)
    assert caught.value.code == "bad_export"


def test_nothing_is_exported_before_there_is_a_device() -> None:
    with pytest.raises(StateError):
        Engine.load(coterie_mls, {}).export({})


def test_a_state_that_was_exported_before_what_came_last_had_rows_is_taken(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    bob.send(group_id, "hi")
    office.pump()
    state = cbor2.loads(alice.engine.export(alice.rows))
    assert state["tables"].pop("recent")
    assert imported(office, cbor2.dumps(state)).texts(group_id) == ["hi"]
