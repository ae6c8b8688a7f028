"""A native profile whose data is gone while its key is there: said everywhere, and nothing is made in its place."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from coterie import keeping, native
from coterie.errors import StorageError
from coterie.keeping import WAYS, Way
from tests.support.keeping import (
    ANSWERS,
    GIVEN,
    NEW,
    PASSPHRASE,
    Keyring,
    Person,
    everything,
    fails,
    profile,
    record,
)
from tests.support.terminal import Run

NOWHERE = "http://localhost:1"


async def started(path: Path, *answers: str) -> str | None:
    """The device that a client finds there."""
    client = await native.open_client(NOWHERE, path, lambda _: None, Person(*answers))
    try:
        device_id: str | None = (await client.start())["device_id"]
        return device_id
    finally:
        await client.close()


@pytest.mark.parametrize("way", WAYS)
async def test_data_that_is_gone_while_its_key_is_there_is_said_and_no_new_device_is_made(
    way: Way, system: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COTERIE_KEY", GIVEN)
    path, away = tmp_path / "profile" / "state.sqlite", tmp_path / "away"
    await started(path)
    await native.keep_key(path, way, Person(*NEW.get(way, ())))
    path.rename(away)
    before = everything(path.parent)
    for lost in (lambda: None, path.touch, path.unlink, lambda: path.symlink_to(tmp_path / "unmounted")):
        lost()
        error = await fails(native.open_client(NOWHERE, path, lambda _: None), "data_lost")
        assert isinstance(error, StorageError)
        await fails(native.keep_key(path, "file", Person()), "data_lost")
        assert not path.exists() or path.read_bytes() == b""
    path.unlink()
    assert everything(path.parent) == before, "something was made or deleted"
    away.rename(path)
    await started(path, *ANSWERS.get(way, ()))


async def test_who_moves_the_key_away_too_begins_anew(system: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    await started(path)
    path.unlink()
    await fails(native.open_client(NOWHERE, path, lambda _: None), "data_lost")
    keeping.record_path(path).rename(tmp_path / "away")
    await started(path)
    assert record(path)["secret"] != json.loads((tmp_path / "away").read_bytes())["secret"]


async def test_a_first_start_that_broke_off_before_there_was_data_goes_on(
    system: Keyring, tmp_path: Path
) -> None:
    path = tmp_path / "state.sqlite"
    master = await profile(path).master()
    assert not path.exists()
    assert not native.has_profile(path)
    path.touch()  # or with a file that has nothing in it yet
    await started(path)
    assert await profile(path).master() == master
    path.unlink()
    await fails(native.open_client(NOWHERE, path, lambda _: None), "data_lost")


async def test_a_key_of_an_earlier_version_is_missed_without_its_data_too(
    system: Keyring, tmp_path: Path
) -> None:
    path = tmp_path / "state.sqlite"
    await profile(path).master()
    found = record(path)
    del found["fresh"]
    keeping.record_path(path).write_text(json.dumps(found))
    await fails(native.open_client(NOWHERE, path, lambda _: None), "data_lost")


def test_every_command_says_that_the_data_is_gone(
    run: Run, system: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COTERIE_DATA", str(tmp_path))
    path = native.state_path(tmp_path, "ann")
    where = ("--profile", "ann", "--server", NOWHERE)

    asyncio.run(started(path))
    (tmp_path / "backup").write_bytes(b"a file")
    path.unlink()
    before = everything(path.parent)
    for command in (
        ("chat", "--new", "Tea", "--name", "Ann"),
        ("key",),
        ("key", "file"),
        ("backup", str(tmp_path / "new")),
        ("restore", str(tmp_path / "backup")),
    ):
        status, shown, errors = run(*command, *where, typed=f"{PASSPHRASE}\n")
        assert (status, shown) == (4, ""), command
        assert errors.startswith("This device's data is gone: the file state.sqlite is missing or empty"), (
            command
        )
    status, shown, _ = run("doctor", *where)
    assert status == 1
    assert "BAD  device   This device's data is gone" in shown
    assert everything(path.parent) == before
