"""Clients on the real service whose state, or the service's, is not what it was: they come back, and go on."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.clients import Person
from tests.support.server import Service, execute, with_database

PACE = {"COTERIE_COMMIT_GROUP_SECONDS": "0.1", "COTERIE_COMMIT_DEVICE_SECONDS": "0.2"}


@pytest.fixture(scope="module")
def quick(make_service: Callable[..., Service]) -> Service:
    """A service that takes commits which change no member sooner than it would."""
    return make_service(**PACE)


@contextlib.asynccontextmanager
async def together(url: str, folder: Path, *names: str) -> AsyncIterator[tuple[str, list[Person]]]:
    """A group of the first, joined by the others through a link; all know each other's names."""
    people = [Person(url, folder / name / "state.sqlite", name) for name in names]
    try:
        for person in people:
            await person.start()
        group_id = (await people[0].client.create_group(name="Friends"))["group_id"]
        link = (await people[0].client.create_invite(group_id=group_id))["link"]
        for count, person in enumerate(people[1:], 2):
            await person.client.join(link=link, name=person.name)
            await person.until(lambda person=person, count=count: joined(person, group_id, count))
        for person in people:
            await person.until(lambda person=person: joined(person, group_id, len(people)))
        yield group_id, people
    finally:
        for person in people:
            await person.client.close()


async def joined(person: Person, group_id: str, count: int) -> bool:
    """Whether this person is in the group, with so many members, and knows some names."""
    groups = [one["group_id"] for one in person.client._engine.snapshot("")["groups"]]
    if group_id not in groups:
        return False
    members = (await person.client.open_group(group_id=group_id))["members"]
    return len(members) == count and sum(bool(member["name"]) for member in members) > 1


async def may_send(person: Person, group_id: str) -> bool:
    return bool((await person.client.open_group(group_id=group_id))["group"]["can_send"])


async def has_sent(person: Person, group_id: str) -> bool:
    """Whether no line of theirs waits."""
    shown = (await person.client.open_group(group_id=group_id))["lines"]
    return all(line["state"] != "pending" for line in shown)


async def renewed(person: Person, group_id: str) -> bool:
    """Whether the second of two members has renewed the leaf that lay in a key package (here within six seconds)."""
    return int((await person.client.health(group_id=group_id))["epoch"]) == 2


async def meet(group_id: str, people: list[Person], *before: str) -> None:
    """Each says a line that all others read, once."""
    said = list(before)
    for person in people:
        await person.client.send_text(group_id=group_id, text=f"{person.name} is here")
        said.append(f"{person.name} is here")
    for person in people:
        await person.until(lambda person=person: has_sent(person, group_id))
    await people[0].sees(group_id, *said)
    engines = [person.client._engine for person in people]

    async def agree() -> bool:
        states = {engine.backend.epoch_authenticator(engine.backend.groups()[0]) for engine in engines}
        return len(states) == 1

    await people[0].until(agree)


async def test_a_profile_whose_file_was_copied_back(quick: Service, tmp_path: Path) -> None:
    async with together(quick.url, tmp_path, "Alice", "Bob") as (group_id, (alice, bob)):
        # a commit among what is lost breaks the group for the copy
        await bob.until(lambda: renewed(bob, group_id))
        await bob.client.send_text(group_id=group_id, text="one")
        await alice.sees(group_id, "one")
        await bob.client.close()
        shutil.copytree(bob.path.parent, tmp_path / "copy")
        await bob.start()
        for text in ("two", "three"):
            await bob.client.send_text(group_id=group_id, text=text)
        await alice.sees(group_id, "one", "two", "three")
        await bob.client.close()
        shutil.rmtree(bob.path.parent)
        shutil.copytree(tmp_path / "copy", bob.path.parent)
        await bob.start()
        await bob.client.send_text(group_id=group_id, text="four")
        await alice.sees(group_id, "one", "two", "three", "four")
        await bob.says(group_id, "back_in")
        await alice.says(group_id, "rejoined")
        await meet(group_id, [alice, bob], "one", "two", "three", "four")


async def test_a_device_that_was_away_until_the_log_had_run_out(quick: Service, tmp_path: Path) -> None:
    async with together(quick.url, tmp_path, "Alice", "Bob", "Carol") as (group_id, (alice, bob, carol)):
        await bob.client.close()
        snapshot = carol.client._engine.snapshot("")
        identity = f"{snapshot['user_id']}#{snapshot['device_id']}"
        await alice.client.remove_member(group_id=group_id, identity=identity)
        await carol.says(group_id, "removed_self")
        await alice.client.send_text(group_id=group_id, text="lost")
        await alice.until(lambda: has_sent(alice, group_id))
        execute(quick.database, f"update coterie.messages set body = null where group_id = '{group_id}'")
        await bob.start()
        await bob.says(group_id, "went_meanwhile")
        codes = await bob.codes(group_id)
        assert codes[codes.index("missed_commit") :] == [
            "missed_commit",
            "back_in",
            "missed",
            "went_meanwhile",
        ]
        await meet(group_id, [alice, bob], "lost")
        await bob.sees(group_id, "Alice is here", "Bob is here")
        texts = await bob.texts(group_id)
        assert (await alice.texts(group_id))[-2:] == texts


async def test_a_service_that_was_put_back_from_a_backup(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = make_service(**PACE)
    server, name = with_database(service.database, "postgres"), urlsplit(service.database).path[1:]
    async with together(service.url, tmp_path, "Alice", "Bob") as (group_id, (alice, bob)):
        for person in (alice, bob):  # a commit that is lost is another case: nobody comes back from its epoch
            await person.until(lambda person=person: renewed(person, group_id))
        await alice.client.send_text(group_id=group_id, text="kept")
        await bob.sees(group_id, "kept")
        await asyncio.to_thread(service.stop)
        execute(server, f"create database {name}_backup template {name}")
        await asyncio.to_thread(service.start)
        await bob.client.send_text(group_id=group_id, text="lost")
        await alice.sees(group_id, "kept", "lost")
        await asyncio.to_thread(service.stop)
        execute(server, f"drop database {name} with (force)")
        execute(server, f"create database {name} template {name}_backup")
        await asyncio.to_thread(service.start)
        for person in (alice, bob):
            await person.says(group_id, "service_behind")
            await person.until(lambda person=person: may_send(person, group_id))
        await meet(group_id, [alice, bob], "kept", "lost")
        await meet(group_id, [bob, alice], "kept", "lost", "Alice is here", "Bob is here")
