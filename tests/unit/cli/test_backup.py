"""`coterie backup` and `coterie restore`: real state files, real Argon2id, no service."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coterie import native
from tests.support.exchange import Exchange, settle
from tests.support.terminal import Run

NOWHERE = "http://localhost:9"
PASSPHRASE = "correct horse battery\n"
Coterie = Callable[..., tuple[int, str, str]]


async def talked() -> dict[Any, bytes]:
    """What Alice's disk holds after she has talked with Bob."""
    exchange = Exchange()
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    await alice.client.send_text(group_id=group_id, text="hello Bob")
    await bob.client.send_text(group_id=group_id, text="hello Alice")
    await settle()
    rows = alice.store.rows()
    await exchange.close()
    return rows


async def fill(path: Path) -> None:
    """A profile of the terminal with that on its disk."""
    client = await native.open_client(NOWHERE, path, lambda _: None)
    await client._store.commit(await talked())
    await client.close()


async def look(path: Path) -> tuple[dict[str, Any], list[str]]:
    """What a profile shows: the snapshot, and the text of its one group."""
    client = await native.open_client(NOWHERE, path, lambda _: None)
    try:
        snapshot = await client.start()
        shown = await client.open_group(group_id=snapshot["groups"][0]["group_id"])
        return snapshot, [line["text"] for line in shown["lines"] if line["kind"] == "text"]
    finally:
        await client.close()


@pytest.fixture
def coterie(run: Run, tmp_path: Path) -> Coterie:
    """`coterie("ann", "backup", file)`: the command on a profile."""

    def call(profile: str, *argv: str, typed: str = PASSPHRASE) -> tuple[int, str, str]:
        where = ("--server", NOWHERE, "--data", str(tmp_path), "--profile", profile)
        status, out, err = run(*argv, *where, typed=typed)
        return status, out, err

    return call


@pytest.fixture
def file(coterie: Coterie, tmp_path: Path) -> Path:
    """Ann's backup."""
    asyncio.run(fill(native.state_path(tmp_path, "ann")))
    made = tmp_path / "ann.coterie"
    status, out, err = coterie("ann", "backup", str(made))
    assert (status, err) == (0, "")
    assert "Backed up" in out
    return made


def test_a_profile_that_is_gone_comes_back_as_history(coterie: Coterie, file: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"hello" not in file.read_bytes()
    status, out, _ = coterie("new", "restore", str(file))
    assert status == 0
    assert "4 lines in 1 group." in out
    snapshot, texts = asyncio.run(look(native.state_path(tmp_path, "new")))
    assert texts == ["hello Bob", "hello Alice"]
    assert (snapshot["name"], snapshot["device_id"]) == ("Alice", None)
    assert [group["state"] for group in snapshot["groups"]] == ["archive"]
    status, out, _ = coterie("new", "chat", typed="")
    assert status == 0
    assert "hello Alice" in out
    assert coterie("new", "chat", typed="/again\n")[::2] == (1, "This device is not registered yet.\n")


def test_a_passphrase_that_is_wrong_and_a_file_that_is_cut_change_nothing(
    coterie: Coterie, file: Path, tmp_path: Path
) -> None:
    status, out, err = coterie("new", "restore", str(file), typed="another horse\n")
    assert (status, out) == (1, "")
    assert "not the passphrase" in err
    cut = tmp_path / "cut"
    cut.write_bytes(file.read_bytes()[:-1])
    status, _, err = coterie("new", "restore", str(cut))
    assert status == 1
    assert "its end is missing" in err
    status, _, err = coterie("new", "restore", str(file), "--json", typed=PASSPHRASE)
    assert (status, err) == (0, "")


def test_the_backup_of_somebody_else_is_taken_when_one_says_that_it_is_ones_own(
    coterie: Coterie, file: Path, tmp_path: Path
) -> None:
    asyncio.run(fill(native.state_path(tmp_path, "eve")))
    status, _, err = coterie("eve", "restore", str(file))
    assert status == 1
    assert "--mine" in err
    status, out, _ = coterie("eve", "restore", str(file), "--mine", "--json")
    assert status == 0
    assert json.loads(out) == {"event": "restore", "groups": 1, "lines": 4}


def test_a_file_that_is_there_is_never_replaced(coterie: Coterie, file: Path) -> None:
    before = file.read_bytes()
    status, _, err = coterie("ann", "backup", str(file))
    assert status == 1
    assert "is there already" in err
    assert file.read_bytes() == before


@pytest.mark.parametrize("typed", ["", "short\n"])
def test_without_a_good_passphrase_no_file_is_begun(coterie: Coterie, file: Path, typed: str) -> None:
    other = file.with_name("other")
    status, _, err = coterie("ann", "backup", str(other), typed=typed)
    assert status == 1
    assert "passphrase" in err.lower()
    assert not list(file.parent.glob("other*"))


def test_a_place_that_cannot_be_written_is_named(coterie: Coterie, file: Path) -> None:
    status, _, err = coterie("ann", "backup", str(file / "below"))
    assert status == 1
    assert str(file) in err
    status, _, err = coterie("ann", "restore", "/dev/null", typed="")
    assert status == 1
    assert "has to be a file, which is read twice" in err
    status, _, err = coterie("ann", "restore", str(file.with_name("missing")), typed="")
    assert status == 1
    assert os.strerror(2) in err


def test_there_must_be_a_profile_to_back_up(coterie: Coterie, tmp_path: Path) -> None:
    status, _, err = coterie("nobody", "backup", str(tmp_path / "x"))
    assert status == 1
    assert "no profile" in err
    assert not native.state_path(tmp_path, "nobody").exists()
