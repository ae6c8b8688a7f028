"""The composition root of CPython: where state lies, and what is opened."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from coterie import native
from coterie.errors import LocalError, StorageError
from coterie.transport.http import HttpTransport


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COTERIE_DATA", str(tmp_path))
    assert native.data_root() == tmp_path


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_DATA_HOME", "given/coterie"),
        ("linux", None, "home/.local/share/coterie"),
        ("darwin", None, "home/Library/Application Support/coterie"),
        ("win32", "LOCALAPPDATA", "given/coterie"),
        ("win32", None, "home/AppData/Local/coterie"),
    ],
)
def test_each_system_keeps_it_where_it_keeps_such_things(
    platform: str, variable: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COTERIE_DATA", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "given")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("home"))
    assert native.data_root() == Path(expected)


def test_every_service_has_a_folder_of_its_own() -> None:
    addresses = {
        "https://chat.example": "chat.example",
        "https://Chat.Example:8443/": "chat.example_8443",
        "http://user:secret@host/": "host",
        "http://[::1]:80": "___1__80",
    }
    assert {address: native.profile_of(address) for address in addresses} == addresses
    path = native.state_path(Path("root"), "chat.example")
    assert path == Path("root/client/chat.example/state.sqlite")


async def test_a_client_on_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.sqlite"
    client = await native.open_client("http://localhost:1", path, lambda _: None)
    snapshot = await client.start()
    assert (snapshot["device_id"], snapshot["groups"]) == (None, [])
    with pytest.raises(StorageError, match="Another Coterie"):
        await native.open_client("http://localhost:1", path, lambda _: None)
    await client.close()
    again = await native.open_client("http://localhost:1", path, lambda _: None)
    await again.close()


async def test_a_wrong_address_opens_nothing(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="https://host"):
        await native.open_client("chat.example", tmp_path / "state.sqlite", lambda _: None)
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


async def test_a_store_that_can_not_be_opened_leaves_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[HttpTransport] = []

    def make(url: str) -> HttpTransport:
        made.append(HttpTransport(url))
        return made[-1]

    monkeypatch.setattr(native, "make_transport", make)
    (tmp_path / "state.sqlite").mkdir()
    with pytest.raises(StorageError):
        await native.open_client("http://localhost:1", tmp_path / "state.sqlite", lambda _: None)
    assert [transport._http.is_closed for transport in made] == [True]


async def test_the_clock_counts_milliseconds() -> None:
    clock = native.SystemClock()
    before = clock.now()
    await clock.sleep(0)
    assert 0 <= clock.now() - before < 60_000
    assert before > 1_700_000_000_000
