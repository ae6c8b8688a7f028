"""What comes back from a backup: history, names and people beside what is here, and never anything that sends."""

from typing import Any

import pytest

from coterie.core.backup import HEADER_SIZE, MAGIC, Header
from coterie.core.records import Chat, Contact, Group, Line
from coterie.errors import LocalError, StateError, StorageError
from coterie.ports import Answer
from tests.support.exchange import Exchange, Person, settle
from tests.unit.backup.conftest import PASSPHRASE, Stretched, back_up, refusal, restore

FULL = StorageError("storage_full", "There is no room left on this device.")


async def talked(exchange: Exchange) -> tuple[str, Person, Person, bytes]:
    """Alice and Bob have said something; Alice has a backup of it."""
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    for person, text in ((alice, "one"), (bob, "two"), (alice, "three")):
        await person.client.send_text(group_id=group_id, text=text)
        await settle()
    return group_id, alice, bob, await back_up(alice)


async def fresh(exchange: Exchange) -> Person:
    """A browser whose storage is gone."""
    person = Person(exchange)
    exchange.people.append(person)
    await person.client.start()
    return person


def seen(person: Person, group_id: str) -> dict[str, Any]:
    groups = person.client._engine.snapshot("")["groups"]
    return dict(next(group for group in groups if group["group_id"] == group_id))


async def lines(person: Person, group_id: str) -> list[tuple[str, str | None, str, bool]]:
    opened = await person.client.open_group(group_id=group_id, limit=1000)
    return [(line["kind"], line["name"], line["text"], line["mine"]) for line in opened["lines"]]


async def test_history_names_and_settings_come_back_where_all_was_lost(exchange: Exchange) -> None:
    group_id, alice, _, file = await talked(exchange)
    again = await fresh(exchange)
    assert await restore(again, file) == {"groups": 1, "lines": 5}
    before, after = await lines(alice, group_id), await lines(again, group_id)
    assert after == before
    assert [text for kind, _, text, _ in after if kind == "text"] == ["one", "two", "three"]
    view = seen(again, group_id)
    assert (view["name"], view["state"], view["can_send"], view["can_forget"]) == (
        "Friends",
        "archive",
        False,
        True,
    )
    assert "backup" in view["why"]
    assert again.told("named") == [{"event": "named", "name": "Alice"}]
    assert [event["group"] for event in again.told("group")] == [view]
    with pytest.raises(StateError, match="no such group"):
        await again.client.send_text(group_id=group_id, text="never")
    await again.client.mark_read(group_id=group_id, seq=3)
    await again.again()
    assert await lines(again, group_id) == before


async def test_nothing_that_sends_is_in_the_file(exchange: Exchange) -> None:
    group_id, alice, _, _ = await talked(exchange)
    alice.wire.down = True
    await alice.client.send_text(group_id=group_id, text="waits in the outbox")
    again = await fresh(exchange)
    await restore(again, await back_up(alice))
    restored = again.store.rows()
    assert {table for table, _ in restored} == {"device", "chats", "profiles", "contacts", "messages"}
    assert [key for table, key in restored if table == "device"] == [b"me"]
    assert "waits in the outbox" not in str(await lines(again, group_id))
    everything = b"".join(restored.values())
    backend = alice.client._engine.backend
    assert backend
    secrets = [
        value for (table, _), value in alice.store.rows().items() if table in ("mls", "outbox", "packages")
    ]
    assert secrets
    assert not [secret for secret in secrets if secret in everything]
    session = alice.client._engine.session
    assert session
    assert session.refresh_token.encode() not in everything


async def test_a_restore_changes_nothing_at_the_service_and_makes_no_keys(exchange: Exchange) -> None:
    _, _, _, file = await talked(exchange)
    again = await fresh(exchange)
    await restore(again, file)
    assert again.wire.log == []
    assert again.client._engine.backend is None


async def test_twice_is_as_once(exchange: Exchange) -> None:
    group_id, alice, _, file = await talked(exchange)
    again = await fresh(exchange)
    await restore(again, file)
    rows = again.store.rows()
    assert await restore(again, file) == {"groups": 0, "lines": 0}
    assert again.store.rows() == rows
    own = alice.store.rows()
    assert await restore(alice, file) == {"groups": 0, "lines": 0}
    kept = {row: value for row, value in alice.store.rows().items() if row[0] != "contacts"}
    assert kept == {row: value for row, value in own.items() if row[0] != "contacts"}
    assert len(await alice.texts(group_id)) == 3


async def test_a_later_backup_adds_what_the_earlier_one_had_not(exchange: Exchange) -> None:
    group_id, alice, _, file = await talked(exchange)
    again = await fresh(exchange)
    await restore(again, file)
    await alice.client.send_text(group_id=group_id, text="four")
    await settle()
    assert await restore(again, await back_up(alice)) == {"groups": 1, "lines": 1}
    assert await again.texts(group_id) == ["one", "two", "three", "four"]


async def test_an_archive_is_the_earlier_history_of_the_group_that_one_joins_again(
    exchange: Exchange,
) -> None:
    group_id, _, bob, file = await talked(exchange)
    again = await fresh(exchange)
    await restore(again, file)
    link = (await bob.client.create_invite(group_id=group_id))["link"]
    await again.client.join(link=link, name="Alice")
    await settle()
    await bob.client.send_text(group_id=group_id, text="welcome back")
    await settle()
    assert await again.texts(group_id) == ["one", "two", "three", "welcome back"]
    assert [mine for kind, _, _, mine in await lines(again, group_id) if kind == "text"] == [
        True,
        False,
        True,
        False,
    ]
    assert seen(again, group_id)["state"] == "active"
    await again.client.send_text(group_id=group_id, text="here")
    await settle()
    assert await bob.texts(group_id) == ["one", "two", "three", "welcome back", "here"]


async def test_history_from_before_one_came_fills_the_place_above_it(exchange: Exchange) -> None:
    """The backup comes after one has joined again: the group goes on, with a line that says where the backup ends."""
    group_id, alice, bob, file = await talked(exchange)
    again = await fresh(exchange)
    link = (await bob.client.create_invite(group_id=group_id))["link"]
    await again.client.join(link=link, name="Alice")
    await settle()
    await bob.client.send_text(group_id=group_id, text="welcome back")
    await settle()
    assert (await refusal(again, file))[0] == "other_user"  # a guest who came again is a new user
    await restore(again, file, mine=True)
    assert again.told("history") == [{"event": "history", "group_id": group_id}]
    shown = await lines(again, group_id)
    texts = [text for _, _, text, _ in shown]
    assert [text for kind, _, text, _ in shown if kind == "text"] == ["one", "two", "three", "welcome back"]
    assert (
        texts.index("three")
        < texts.index("What stands above comes from a backup.")
        < texts.index("welcome back")
    )
    await restore(again, await back_up(alice), mine=True)
    assert [text for _, _, text, _ in await lines(again, group_id)] == texts, "a line stands twice"
    await again.client.send_text(group_id=group_id, text="here")
    await settle()
    assert (await bob.texts(group_id))[-1] == "here"


async def test_what_is_here_wins(exchange: Exchange) -> None:
    group_id, _, _, file = await talked(exchange)
    again = await fresh(exchange)
    await again.client.set_name(name="Alix")
    again.events.clear()
    await restore(again, file)
    assert again.client._engine.snapshot("")["name"] == "Alix"
    assert again.told("named") == []
    assert seen(again, group_id)["name"] == "Friends"


async def test_people_come_back_with_their_keys_but_not_as_heard(exchange: Exchange) -> None:
    _, alice, bob, file = await talked(exchange)
    again = await fresh(exchange)
    await restore(again, file)
    (contact,) = (Contact.decode(value) for value in again.rows("contacts").values())
    backend = bob.client._engine.backend
    assert backend
    assert contact.identity == f"{backend.user_id}#{backend.device_id}"
    assert (contact.signature_key, contact.identity_key) == (backend.signature_key, backend.identity_key)
    assert (contact.name, contact.heard) == ("Bob", False)
    assert [Contact.decode(value).heard for value in alice.rows("contacts").values()] == [True]


async def test_an_archive_can_be_deleted_and_restored_again(exchange: Exchange) -> None:
    group_id, _, _, file = await talked(exchange)
    again = await fresh(exchange)
    await restore(again, file)
    await again.client.forget_group(group_id=group_id)
    assert again.told("group_gone") == [{"event": "group_gone", "group_id": group_id}]
    assert (again.rows("messages"), again.rows("profiles")) == ({}, {})
    assert again.client._engine.snapshot("")["groups"] == []
    assert await restore(again, file) == {"groups": 1, "lines": 5}
    assert await again.texts(group_id) == ["one", "two", "three"]


async def test_an_archive_goes_into_the_next_backup(exchange: Exchange) -> None:
    group_id, alice, _, file = await talked(exchange)
    second, third = await fresh(exchange), await fresh(exchange)
    await restore(second, file)
    await restore(third, await back_up(second))
    assert await lines(third, group_id) == await lines(alice, group_id)


async def test_lines_that_were_deleted_or_not_sent_stay_behind(exchange: Exchange) -> None:
    group_id, alice, _, _ = await talked(exchange)
    alice.wire.answers["/functions/v1/send_message"] = Answer(413, {"code": "too_large", "message": "No."})
    await alice.client.send_text(group_id=group_id, text="refused")
    await settle()
    assert (await alice.states(group_id))[-1] == "failed"
    again = await fresh(exchange)
    await restore(again, await back_up(alice))
    assert await again.texts(group_id) == ["one", "two", "three"]


# -- refused --


async def test_a_storage_that_is_full_keeps_what_was_there(exchange: Exchange) -> None:
    _, _, _, file = await talked(exchange)
    again = await fresh(exchange)
    again.store.error = FULL
    assert (await refusal(again, file))[0] == "storage_full"
    again.store.error = None
    assert (await restore(again, file))["lines"] == 5


async def test_somebody_elses_backup_is_refused_before_any_work(exchange: Exchange) -> None:
    _, _, bob, file = await talked(exchange)
    stretch = Stretched()
    code, sentence = await refusal(bob, file, backups=bob.client.backups(stretch))
    assert (code, stretch.calls) == ("other_user", 0)
    assert "somebody else" in sentence


@pytest.mark.parametrize(
    ("memory", "passes", "lanes"), [(1 << 31, 3, 4), (65536, 255, 4), (65536, 3, 255), (8, 1, 1)]
)
async def test_absurd_costs_are_refused_before_any_work(
    exchange: Exchange, memory: int, passes: int, lanes: int
) -> None:
    _, _, _, file = await talked(exchange)
    at = len(MAGIC) + 2
    costs = memory.to_bytes(4) + bytes([passes, lanes])
    again, stretch = await fresh(exchange), Stretched()
    absurd = file[:at] + costs + file[at + len(costs) :]
    code, _ = await refusal(again, absurd, backups=again.client.backups(stretch))
    assert (code, stretch.calls) == ("kdf_refused", 0)


async def test_a_newer_backup_says_so_before_any_work(exchange: Exchange) -> None:
    _, _, _, file = await talked(exchange)
    again, stretch = await fresh(exchange), Stretched()
    newer = MAGIC + b"\x03" + file[len(MAGIC) + 1 :]
    code, sentence = await refusal(again, newer, backups=again.client.backups(stretch))
    assert (code, stretch.calls) == ("backup_newer", 0)
    assert "newer version" in sentence


@pytest.mark.parametrize("other", [b"", b"x", b"PK\x03\x04" + bytes(500), b"COTERIA" + bytes(100)])
async def test_what_is_no_backup_is_called_so(exchange: Exchange, other: bytes) -> None:
    again, stretch = await fresh(exchange), Stretched()
    assert (await refusal(again, other, backups=again.client.backups(stretch)))[0] == "not_a_backup"
    assert stretch.calls == 0


async def test_a_wrong_passphrase_is_said_as_one(exchange: Exchange) -> None:
    _, _, _, file = await talked(exchange)
    again = await fresh(exchange)
    assert (await refusal(again, file, "incorrect horse"))[0] == "wrong_passphrase"
    await restore(again, file)


@pytest.mark.parametrize("passphrase", ["", "short", "x" * 1025])
async def test_a_backup_wants_a_passphrase(exchange: Exchange, passphrase: str) -> None:
    alice = await exchange.person("Alice")
    with pytest.raises(LocalError) as caught:
        await alice.client.backups(Stretched()).backup_begin(passphrase=passphrase)
    assert caught.value.code == "bad_passphrase"


async def test_what_was_not_begun_or_was_interrupted_says_so(exchange: Exchange) -> None:
    _, _, _, file = await talked(exchange)
    again = await fresh(exchange)
    backups = again.client.backups(Stretched())
    for call in (
        backups.backup_read(backup_id=""),
        backups.restore_check(restore_id="", data=b"x"),
        backups.restore_write(restore_id="", data=b"x"),
        backups.restore_end(restore_id=""),
    ):
        with pytest.raises(StateError, match="interrupted"):
            await call
    begun = await backups.restore_begin(passphrase=PASSPHRASE)
    with pytest.raises(LocalError):
        await backups.restore_check(**begun, data=file[:HEADER_SIZE] + b"\2" * 400)
    with pytest.raises(StateError, match="interrupted"):  # a refused file takes nothing more
        await backups.restore_write(**begun, data=file)
    await restore(again, file, backups=backups)


async def test_a_group_that_lines_come_into_meanwhile_keeps_them(exchange: Exchange) -> None:
    """What arrives while a file is read stands above the places that the restore may fill."""
    group_id, alice, bob, _ = await talked(exchange)
    backups = alice.client.backups(Stretched())
    begun = await backups.restore_begin(passphrase=PASSPHRASE)
    later = await back_up(alice)
    for take in (backups.restore_check, backups.restore_write):
        await take(**begun, data=later)
    await bob.client.send_text(group_id=group_id, text="meanwhile")
    await settle()
    await backups.restore_end(**begun)
    assert await alice.texts(group_id) == ["one", "two", "three", "meanwhile"]
    group, *_ = (Group.decode(value) for value in alice.rows("groups").values())
    assert group.state == "active"


async def test_the_header_tells_nobody_whose_it_is(exchange: Exchange) -> None:
    _, alice, _, file = await talked(exchange)
    backend = alice.client._engine.backend
    assert backend
    assert backend.user_id.encode() not in file
    assert b"Friends" not in file
    assert Header.parse(file[:HEADER_SIZE]).of(backend.user_id)
    assert not Header.parse(file[:HEADER_SIZE]).of("somebody")
    other = await back_up(alice)
    assert other[:HEADER_SIZE] != file[:HEADER_SIZE], "two files of one user look alike"
    assert {Chat.decode(value).name for value in alice.rows("chats").values()} == {"Friends"}
    assert all(Line.decode(value).key == key for key, value in alice.rows("messages").items())
