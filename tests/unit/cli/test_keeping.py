"""Where a native profile's key is kept: every way, its change, and what is said when the key is not there."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from prompt_toolkit import PromptSession

import coterie_mls
from coterie import keeping, native
from coterie.core import keys
from coterie.errors import LocalError, StorageError
from coterie.keeping import WAYS, Way
from coterie.storage.sqlite import SqliteStore
from tests.support.keeping import (
    ANSWERS,
    ENVIRONMENT,
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


async def opened(
    path: Path, *answers: str, environment: Mapping[str, str] | None = None
) -> dict[bytes, bytes]:
    """What lies in the data file, when it is opened as a start does it; one row is added."""
    store = await SqliteStore.open(path, profile(path, *answers, environment=environment))
    try:
        rows = await store.load("mls")
        await store.commit({("mls", b"%d" % len(rows)): b"a row"})
        return rows
    finally:
        await store.close()


async def keep(path: Path, way: Way, *answers: str, environment: Mapping[str, str] | None = None) -> None:
    await profile(path, *answers, environment=environment).keep(way)


@pytest.mark.parametrize("later", WAYS)
@pytest.mark.parametrize("way", WAYS)
async def test_every_way_opens_and_leads_to_every_other(
    way: Way, later: Way, system: Keyring, tmp_path: Path
) -> None:
    path = tmp_path / "state.sqlite"
    await opened(path)
    await keep(path, way, *NEW.get(way, ()), environment=ENVIRONMENT)
    assert len(await opened(path, *ANSWERS.get(way, ()), environment=ENVIRONMENT)) == 1
    before = path.read_bytes()
    await keep(path, later, *ANSWERS.get(way, ()), *NEW.get(later, ()), environment=ENVIRONMENT)
    assert path.read_bytes() == before, "the data itself is not encrypted anew"
    assert len(await opened(path, *ANSWERS.get(later, ()), environment=ENVIRONMENT)) == 2
    assert record(path)["way"] == later
    assert len(system.entries) == (later == "keyring"), "an entry that is not used any more is deleted"


async def test_a_new_profile_uses_what_the_environment_gives_then_the_keyring_then_a_file(
    system: Keyring, tmp_path: Path
) -> None:
    found = []
    for number, environment in enumerate((ENVIRONMENT, {}, {})):
        system.__class__.priority = 0.0 if number == 2 else 1.0
        path = tmp_path / str(number) / "state.sqlite"
        await opened(path, environment=environment)
        found.append(record(path)["way"])
    system.__class__.priority = 1.0
    assert found == ["environment", "keyring", "file"]


async def test_only_the_way_file_leaves_the_master_key_in_the_profile(
    system: Keyring, tmp_path: Path
) -> None:
    path = tmp_path / "state.sqlite"
    await opened(path)
    master = await profile(path).master()
    key = keys.derive(coterie_mls, master, keys.AT_REST)
    earlier: Way = "keyring"
    for way in WAYS:
        await keep(path, way, *ANSWERS.get(earlier, ()), *NEW.get(way, ()), environment=ENVIRONMENT)
        earlier = way
        left = b"".join(entry.read_bytes() for entry in tmp_path.iterdir())  # noqa: ASYNC240
        forms = [form for secret in (master, key) for form in (secret, secret.hex().encode())]
        assert any(form in left for form in forms) == (way == "file"), way


async def test_the_record_is_its_owners_and_what_it_was_is_overwritten(
    system: Keyring, tmp_path: Path
) -> None:
    path = tmp_path / "state.sqlite"
    await opened(path)
    await keep(path, "file")
    assert stat.S_IMODE(keeping.record_path(path).stat().st_mode) == 0o600
    with keeping.record_path(path).open("rb") as earlier:
        await keep(path, "passphrase", *NEW["passphrase"])
        assert set(earlier.read()) == {0}


async def test_a_key_that_is_not_there_is_said_and_nothing_is_touched(
    system: Keyring, tmp_path: Path
) -> None:
    path = tmp_path / "state.sqlite"
    await opened(path)
    await keep(path, "environment", environment=ENVIRONMENT)
    before = everything(tmp_path)
    await fails(opened(path), "key_missing")
    await fails(opened(path, environment={"COTERIE_KEY": "ab"}), "key_missing")
    await fails(opened(path, environment={"COTERIE_KEY": "cd" * 32}), "wrong_key")
    await fails(opened(path, environment={"COTERIE_KEY_FILE": str(tmp_path / "none")}), "key_missing")
    await fails(opened(path, environment={"COTERIE_KEY_COMMAND": "exit 3"}), "key_missing")
    await fails(opened(path, environment={"COTERIE_KEY_COMMAND": "echo no key"}), "key_missing")
    assert everything(tmp_path) == before
    (tmp_path / "given").write_text(GIVEN + "\n")
    await opened(path, environment={"COTERIE_KEY_FILE": str(tmp_path / "given")})
    await opened(path, environment={"COTERIE_KEY_COMMAND": f"printf %s {GIVEN}"})


async def test_a_record_that_is_lost_or_damaged_is_said_and_no_new_key_is_made(
    system: Keyring, tmp_path: Path
) -> None:
    path = tmp_path / "state.sqlite"
    await opened(path)
    place = keeping.record_path(path)
    kept = place.read_bytes()
    for damaged in (b"", b"{}", kept[:-5], kept.replace(b'"v": 1', b'"v": 2')):
        place.write_bytes(damaged)
        await fails(opened(path), "key_damaged")
        assert place.read_bytes() == damaged
    place.unlink()
    before = everything(tmp_path)
    await fails(opened(path), "key_lost")
    assert everything(tmp_path) == before
    place.write_bytes(kept)
    assert len(await opened(path)) == 1


async def test_a_keyring_that_is_locked_or_lost_its_entry(system: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    await opened(path)
    system.locked = True
    await fails(opened(path), "keyring_failed")
    system.locked = False
    kept = dict(system.entries)
    system.entries.clear()
    await fails(opened(path), "key_missing")
    system.entries.update(kept)
    await opened(path)


async def test_a_wrong_passphrase_and_one_that_is_not_repeated(system: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    await opened(path)
    await fails(keep(path, "passphrase", PASSPHRASE, PASSPHRASE + "!"), "passphrases_differ")
    await fails(keep(path, "passphrase", "short", "short"), "bad_passphrase")
    assert record(path)["way"] == "keyring"
    await keep(path, "passphrase", *NEW["passphrase"])
    error = await fails(opened(path, "wrong horse"), "wrong_passphrase")
    assert isinstance(error, LocalError)
    assert len(await opened(path, PASSPHRASE)) == 1


async def test_a_profile_from_before_there_were_keys_is_encrypted_when_it_is_opened(
    system: Keyring, tmp_path: Path
) -> None:
    path = tmp_path / "state.sqlite"

    class NoKey:
        async def key(self) -> bytes | None:
            return None

    store = await SqliteStore.open(path, NoKey())
    await store.commit({("mls", b"a"): b"from before"})
    await store.close()
    assert await opened(path) == {b"a": b"from before"}
    assert b"from before" not in path.read_bytes()
    assert len(await opened(path)) == 2


def test_the_secret_is_in_no_repr(tmp_path: Path) -> None:
    found = profile(tmp_path / "state.sqlite")
    found._master = b"a master key that nobody may see"
    shown = repr(found) + repr(keeping.Record("file", b"a master key"))
    assert "a master key" not in shown


# ------------------------------------------------------------------------------------------ the terminal


def test_the_command_says_and_changes_it(
    run: Run, system: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COTERIE_DATA", str(tmp_path))
    assert run("key")[0] == 1  # there is no profile
    path = native.state_path(tmp_path, "localhost_8080")
    import asyncio  # noqa: PLC0415

    asyncio.run(opened(path))
    status, shown, _ = run("key", "--json")
    assert (status, json.loads(shown)) == (0, {"event": "key", "way": "keyring"})
    status, shown, _ = run("key", "file")
    assert (status, shown[:33]) == (0, "The key lies in state.key beside ")
    status, _, errors = run("key", "passphrase")
    assert (status, errors) == (1, "This profile is locked with a passphrase: open it in a terminal.\n")
    assert record(path)["way"] == "file"


async def test_a_terminal_asks_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from coterie.cli.screen import Screen  # noqa: PLC0415

    asked: list[tuple[str, bool]] = []

    async def prompt(self: PromptSession[str], question: str, *, is_password: bool = False) -> str:
        asked.append((question, is_password))
        return PASSPHRASE

    monkeypatch.setattr(PromptSession, "prompt_async", prompt)
    screen = Screen(as_json=False)
    screen.interactive = True
    assert await screen.ask_secret("Passphrase: ") == PASSPHRASE
    assert asked == [("Passphrase: ", True)]


async def test_a_client_opens_a_locked_profile_only_with_the_passphrase(
    system: Keyring, tmp_path: Path
) -> None:
    path = tmp_path / "state.sqlite"
    await (await native.open_client("http://localhost:1", path, lambda _: None)).close()
    assert await native.keep_key(path, "passphrase", Person(PASSPHRASE, PASSPHRASE)) == "passphrase"
    await fails(native.open_client("http://localhost:1", path, lambda _: None), "passphrase_needed")
    client = await native.open_client("http://localhost:1", path, lambda _: None, Person(PASSPHRASE))
    with pytest.raises(StorageError, match="Another Coterie"):
        await native.keep_key(path, None, Person())
    await client.close()
