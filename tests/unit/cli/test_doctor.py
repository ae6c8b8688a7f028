"""`coterie doctor` on a real profile and without a service: what it says, how it ends, and what it never tells."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from coterie import cli, native
from coterie.core.records import Group
from tests.support.exchange import Exchange, settle
from tests.support.terminal import Run

NOWHERE = "http://localhost:9"
WHERE = ("--server", NOWHERE, "--profile", "ann")


async def rows(*, broken: bool) -> dict[Any, bytes]:
    """What Alice's disk holds after she has talked with Bob, with a line that waits; `broken`: of a broken group."""
    exchange = Exchange()
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await bob.client.send_text(group_id=group_id, text="hello Alice")
    await settle()
    alice.wire.down = True
    await alice.client.send_text(group_id=group_id, text="hello Bob")
    kept = alice.store.rows()
    await exchange.close()
    for (table, key), value in kept.items():
        if table == "groups":
            group = Group.decode(value).with_(counts={"tampered": 3})
            kept[table, key] = (
                group.with_(state="broken", why="broken").encode() if broken else group.encode()
            )
    return kept


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`profile(broken=…)` fills Ann's profile; what lies in it."""
    monkeypatch.setenv("COTERIE_DATA", str(tmp_path))

    def fill(*, broken: bool) -> dict[Any, bytes]:
        async def work() -> dict[Any, bytes]:
            client = await native.open_client(NOWHERE, native.state_path(tmp_path, "ann"), lambda _: None)
            kept = await rows(broken=broken)
            await client._store.commit(kept)
            await client.close()
            return kept

        return asyncio.run(work())

    return fill


@pytest.mark.parametrize("broken", [False, True])
def test_it_says_how_each_group_stands_without_a_service(profile: Any, run: Run, broken: bool) -> None:  # noqa: FBT001
    profile(broken=broken)
    status, out, _ = run("doctor", "--json", *WHERE)
    found = json.loads(out)["findings"]
    told = {one["text"].partition(" ")[2].partition(":")[0]: one for one in found if one["what"] == "group"}
    assert list(told) == ["state", "epoch", "members", "outbox", "cursor", "causes"]
    assert told["state"]["good"] is not broken
    assert " members: 2; keys not renewed: leaf 0 (" in told["members"]["text"], (
        "the profile is of a while ago"
    )
    assert "waiting, the oldest for" in told["outbox"]["text"]
    assert "the service's is not known." in told["cursor"]["text"]
    assert told["causes"]["text"].endswith(" causes: tampered 3")
    assert [one["text"] for one in found if one["what"] == "causes"] == ["in all groups: tampered 3"]
    assert status == cli.FAILED, "the service does not answer"


def test_it_says_what_is_damaged(profile: Any, run: Run, tmp_path: Path) -> None:
    async def damage() -> None:
        client = await native.open_client(NOWHERE, native.state_path(tmp_path, "ann"), lambda _: None)
        (key,) = await client._store.load("groups")
        await client._store.commit({("groups", key): b"\x80"})
        await client.close()

    profile(broken=False)
    asyncio.run(damage())
    status, out, _ = run("doctor", "--json", *WHERE)
    (found,) = [one for one in json.loads(out)["findings"] if one["what"] == "storage"]
    assert (found["good"], "damaged and set aside" in found["text"]) == (False, True)
    assert status == cli.FAILED
    assert "Friends" not in out


def test_it_tells_no_name_no_key_no_token_and_nothing_of_what_was_written(profile: Any, run: Run) -> None:
    kept = profile(broken=False)
    shown = "".join(run("doctor", *more, *WHERE)[1] for more in ((), ("--json",)))
    assert "tampered 3" in shown
    for secret in ("Alice", "Bob", "Friends", "hello", "SECRET", "e30."):
        assert secret not in shown
    group = Group.decode(next(value for (table, _), value in kept.items() if table == "groups"))
    for key in (group.mls_id, group.tree_hash, group.epoch_authenticator):
        assert key.hex()[:12] not in shown
    assert group.group_id not in shown


def test_looking_changes_nothing_that_a_service_is_needed_for(profile: Any, run: Run, tmp_path: Path) -> None:
    """What waits still waits: a look sends no more than a start does."""
    profile(broken=False)
    for _ in range(2):
        run("doctor", *WHERE)

    async def waiting() -> int:
        client = await native.open_client(NOWHERE, native.state_path(tmp_path, "ann"), lambda _: None)
        try:
            return len(await client._store.load("outbox"))
        finally:
            await client.close()

    assert asyncio.run(waiting()) == 1


def test_a_path_does_not_name_who_is_signed_in(
    script: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COTERIE_DATA", str(Path.home() / "kept"))
    assert "data     ~/kept/client/ann/state.sqlite" in run("doctor", *WHERE)[1]
