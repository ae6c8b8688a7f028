"""A member whose client breaks the rules, on the real service: named, undone or mended; a broken group goes on anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from coterie.core.group import commits, lines
from coterie_wire import CommitData
from tests.support import mallory
from tests.support.clients import Person, stocked
from tests.support.server import Service

Group = tuple[str, Person, Person, Person]


def identity(person: Person) -> str:
    """`user#device` of a client."""
    backend = person.client._engine.backend
    assert backend
    return f"{backend.user_id}#{backend.device_id}"


async def commit(liar: Person, group_id: str, *, spoilt: bool = False, **wanted: Any) -> None:
    """Have the service take a commit that a client would not make; `spoilt`: one that nobody can open. A newcomer's
    renewal may come before it.
    """

    async def free() -> bool:
        look = liar.client._engine._look
        return look(lambda turn: commits.pending_row(turn, lines.need(turn, group_id))) is None

    async def taken() -> bool:
        await liar.until(free)
        body = mallory.request(liar.client._engine, group_id, **wanted)
        if spoilt:
            body["commit"] = body["commit"][:-2] + f"{int(body['commit'][-2:], 16) ^ 1:02x}"
        answer = await liar.client.call("send_commit", body)
        assert answer.status == 200 or answer.body["code"] == "stale_epoch", answer.body
        return answer.status == 200

    await liar.until(taken)


async def codes(person: Person, group_id: str) -> list[str]:
    """The causes of the notices that a client shows."""
    shown = await person.client.open_group(group_id=group_id)
    return [line["code"] for line in shown["lines"] if line["kind"] == "notice"]


async def names(person: Person, group_id: str) -> list[str]:
    shown = await person.client.open_group(group_id=group_id)
    return sorted(member["name"] or "?" for member in shown["members"])


async def state(person: Person, group_id: str) -> str:
    shown = await person.client.open_group(group_id=group_id)
    return str(shown["group"]["state"])


def authenticator(person: Person, group_id: str) -> bytes:
    return person.client._engine._look(lambda turn: lines.need(turn, group_id)).epoch_authenticator


@pytest.fixture(scope="module")
def quick(make_service: Callable[..., Service]) -> Service:
    """A service that takes a commit however soon it follows on another."""
    return make_service(COTERIE_COMMIT_GROUP_SECONDS="0", COTERIE_COMMIT_DEVICE_SECONDS="0")


@pytest.fixture
async def group(quick: Service, tmp_path: Path) -> AsyncIterator[Group]:
    """Alice's group, with Bob and Mallory in it, all known by name to each other."""
    people = [Person(quick.url, tmp_path / name, name) for name in ("Alice", "Bob", "Mallory")]
    for person in people:
        await person.start()
    alice, bob, liar = people
    group_id = (await alice.client.create_group(name="Friends"))["group_id"]
    link = (await alice.client.create_invite(group_id=group_id))["link"]
    for person in (bob, liar):
        await person.client.join(link=link, name=person.name)
    for person in people:

        async def all_in(person: Person = person) -> bool:
            inside = any(one["group_id"] == group_id for one in person.client._engine.snapshot("")["groups"])
            return inside and await names(person, group_id) == ["Alice", "Bob", "Mallory"]

        await person.until(all_in)
    await stocked(bob)
    yield group_id, *people
    for person in people:
        await person.client.close()


async def test_who_was_cut_off_at_the_service_gets_what_they_missed(group: Group) -> None:
    group_id, alice, bob, liar = group
    cut = CommitData(removed=(identity(bob).partition("#")[2],))
    await commit(liar, group_id, data=cut)
    await alice.client.send_text(group_id=group_id, text="is Bob there?")
    await bob.sees(group_id, "is Bob there?")
    await bob.client.send_text(group_id=group_id, text="I am")
    await alice.sees(group_id, "is Bob there?", "I am")
    assert (await codes(alice, group_id)).count("wrong_roster") == 1

    async def one_state() -> bool:
        return authenticator(alice, group_id) == authenticator(bob, group_id)

    await alice.until(one_state)


async def test_who_was_thrown_out_is_asked_back_and_the_offender_is_out(group: Group) -> None:
    group_id, alice, bob, liar = group
    await commit(liar, group_id, remove=[identity(bob)])
    invitation = await bob.invitation()
    assert (invitation["group_id"], invitation["sender"]["name"]) == (group_id, "Alice")
    assert (await bob.client.accept_invitation(group_id=group_id))["group"]["group_id"] == group_id
    await bob.client.send_text(group_id=group_id, text="back")
    await alice.sees(group_id, "back")
    assert await names(alice, group_id) == ["Alice", "Bob"]
    assert {"role_breach", "removed", "added"} <= set(await codes(alice, group_id))
    refused = await liar.client.call("group_info_get", {"group_id": group_id})
    assert (refused.status, refused.body["code"]) == (403, "not_a_member")


async def test_a_group_that_somebody_broke_goes_on_without_them(group: Group) -> None:
    group_id, alice, bob, liar = group
    await alice.client.send_text(group_id=group_id, text="before")
    await bob.sees(group_id, "before")
    await commit(liar, group_id, spoilt=True)
    for person in (alice, bob):

        async def broken(person: Person = person) -> bool:
            return await state(person, group_id) == "broken"

        await person.until(broken)
        shown = (await person.client.open_group(group_id=group_id))["group"]
        assert shown["again"] == {"without": ["Mallory"], "people": 1}
    new = await alice.client.start_again(group_id=group_id)
    invitation = await bob.invitation()
    assert (invitation["group_id"], invitation["sender"]["name"]) == (new["group_id"], "Alice")
    await bob.client.accept_invitation(group_id=new["group_id"])
    await alice.client.send_text(group_id=new["group_id"], text="after")
    await bob.sees(new["group_id"], "after")
    assert await names(bob, new["group_id"]) == ["Alice", "Bob"]
    assert await bob.texts(group_id) == ["before"]
    assert await liar.client.invitations() == []

    async def linked() -> bool:
        return bool((await bob.client.open_group(group_id=group_id))["group"]["goes_on_in"])

    await bob.until(linked)


async def test_who_was_cut_off_by_the_breaking_commit_too_is_named(group: Group) -> None:
    """The service hands out no key package of somebody with whom no group is shared there any more: a link helps."""
    group_id, alice, bob, liar = group
    cut = CommitData(removed=(identity(bob).partition("#")[2],))
    await commit(liar, group_id, data=cut, spoilt=True)

    async def broken() -> bool:
        return await state(alice, group_id) == "broken"

    await alice.until(broken)
    new = (await alice.client.start_again(group_id=group_id))["group_id"]

    async def named() -> bool:
        return "not_reached" in await codes(alice, new)

    await alice.until(named)
    link = (await alice.client.create_invite(group_id=new))["link"]
    await bob.client.join(link=link, name="Bob")
    await alice.client.send_text(group_id=new, text="hello again")

    async def in_it() -> bool:
        return any(one["group_id"] == new for one in bob.client._engine.snapshot("")["groups"])

    await bob.until(in_it)

    async def both_in() -> bool:
        return await names(alice, new) == ["Alice", "Bob"]

    await alice.until(both_in)
