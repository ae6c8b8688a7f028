"""One contract, every storage that runs on CPython; IndexedDB joins in tests/pyodide/storage."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2 as sqlite3

from coterie import files
from coterie.errors import StorageError, StorageLost
from coterie.ports import Store
from coterie.storage.memory import MemoryStore
from coterie.storage.sqlite import SqliteStore, file
from tests.contract import storage_contract as contract

refused = contract.refused


class FixedKey:
    def __init__(self, key: bytes | None = None) -> None:
        self._key = key

    async def key(self) -> bytes | None:
        return self._key


KEY = bytes(range(32))


def open_sqlite(path: Path) -> Awaitable[SqliteStore]:
    return SqliteStore.open(path, FixedKey())


def open_sqlcipher(path: Path) -> Awaitable[SqliteStore]:
    return SqliteStore.open(path, FixedKey(KEY))


async def open_memory(_: Path) -> MemoryStore:
    return MemoryStore()


PROVIDERS: dict[str, Callable[[Path], Awaitable[Store]]] = {
    "memory": open_memory,
    "sqlcipher": open_sqlcipher,
    "sqlite": open_sqlite,
}


@pytest.fixture(params=sorted(PROVIDERS))
async def opened(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Callable[[], Awaitable[Store]]]:
    """Opens the same place again at each call, and closes what was left open."""
    stores: list[Store] = []

    async def again() -> Store:
        stores.append(await PROVIDERS[request.param](tmp_path / "state.sqlite"))
        return stores[-1]

    yield again
    for store in stores:
        await store.close()


@pytest.mark.parametrize("name", sorted(contract.CASES))
async def test_contract(name: str, opened: Callable[[], Awaitable[Store]]) -> None:
    await contract.CASES[name](opened)


@pytest.mark.parametrize("opened", ["sqlcipher", "sqlite"], indirect=True)
@pytest.mark.parametrize("name", sorted(contract.LASTING))
async def test_lasting(name: str, opened: Callable[[], Awaitable[Store]]) -> None:
    await contract.LASTING[name](opened)


async def test_memory_goes_on_from_its_rows() -> None:
    first = MemoryStore()
    await first.commit({("mls", b"a"): b"1"})
    second = MemoryStore(first.rows())
    await first.commit({("mls", b"a"): b"2"})
    assert await second.load("mls") == {b"a": b"1"}


# ------------------------------------------------------------------------------------------ one writer


async def test_a_second_opening_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    first = await open_sqlite(path)
    with pytest.raises(StorageError, match="Another Coterie is using this data") as caught:
        await open_sqlite(path)
    assert caught.value.code == "storage_in_use"
    await first.commit({("mls", b"a"): b"1"})
    await first.close()
    second = await open_sqlite(path)
    assert await second.load("mls") == {b"a": b"1"}
    await second.close()


OPEN_ELSEWHERE = """
import asyncio, sys
from pathlib import Path
from coterie.storage.sqlite import SqliteStore, file
from tests.contract import storage_contract as contract

class NoKey:
    async def key(self): return None

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]), NoKey())
    await store.commit({("mls", b"from"): b"the other"})
    print("open", flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


async def test_the_lock_holds_between_processes_and_ends_with_them(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    command = [sys.executable, "-c", OPEN_ELSEWHERE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:  # noqa: ASYNC220
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        await refused(open_sqlite(path), "storage_in_use")
        other.kill()
    store = await open_sqlite(path)
    assert await store.load("mls") == {b"from": b"the other"}
    await store.close()


async def test_a_stranger_who_writes_past_the_lock_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    store = await open_sqlite(path)
    await store.commit({("mls", b"a"): b"mine"})
    with sqlite3.connect(path) as stranger:
        stranger.execute("update writer set version = version + 1")
        stranger.execute("update rows set value = ?", (b"theirs",))
    stranger.close()
    with pytest.raises(StorageLost):
        await store.commit({("mls", b"a"): b"mine again"})
    with pytest.raises(StorageLost):
        await store.clear()
    assert await store.load("mls") == {b"a": b"theirs"}
    await store.close()


async def test_an_older_copy_put_back_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    store = await open_sqlite(path)
    await store.commit({("mls", b"a"): b"1"})
    older = path.read_bytes()
    await store.commit({("mls", b"a"): b"2"})
    (tmp_path / "copy").write_bytes(older)
    (tmp_path / "copy").replace(path)
    with pytest.raises(StorageLost) as caught:
        await store.commit({("mls", b"a"): b"3"})
    assert caught.value.code == "storage_gone"
    await store.close()


async def test_a_removed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    store = await open_sqlite(path)
    path.unlink()
    with pytest.raises(StorageLost) as caught:
        await store.commit({("mls", b"a"): b"1"})
    assert caught.value.code == "storage_gone"
    await store.close()


# --------------------------------------------------------------------------------- failures in the middle


async def test_a_full_disk_in_the_middle_writes_nothing(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / "state.sqlite")
    await store.commit({("mls", b"a"): b"old"})
    limit = "pragma max_page_count = 20"
    await store._run(lambda db: db.execute(limit).fetchall())
    changes = {("mls", b"a"): b"new", ("mls", b"b"): b"x" * 1_000_000, ("mls", b"c"): b"new"}
    await refused(store.commit(changes), "storage_full")
    assert await store.load("mls") == {b"a": b"old"}
    await store.commit({("mls", b"a"): b"newer"})
    assert await store.load("mls") == {b"a": b"newer"}
    await store.close()


async def test_a_row_that_the_database_refuses_undoes_those_before_it(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / "state.sqlite")
    await store.commit({("mls", b"a"): b"old"})
    trigger = (
        "create trigger t before insert on rows when new.key = x'62' begin select raise(abort, 'no'); end"
    )
    await store._run(lambda db: db.execute(trigger))
    await refused(store.commit({("mls", b"a"): b"new", ("mls", b"b"): b"new"}), "storage_failed")
    assert await store.load("mls") == {b"a": b"old"}
    await store.close()


DIE_IN_THE_MIDDLE = """
import asyncio, os, sys
from pathlib import Path
from coterie.storage import sqlite

class Key:
    async def key(self): return bytes.fromhex(sys.argv[2]) or None

def apply_half_and_die(db, rows, put=sqlite._apply):
    db.execute("pragma cache_size = 5")     # so that pages reach the file before the end
    put(db, rows)
    os._exit(9)

async def main():
    store = await sqlite.SqliteStore.open(Path(sys.argv[1]), Key())
    await store.commit({("mls", n.to_bytes(2)): b"old" for n in range(500)})
    sqlite._apply = apply_half_and_die
    await store.commit({("mls", n.to_bytes(2)): b"new" * 300 for n in range(500)})

asyncio.run(main())
"""


async def test_a_process_that_dies_inside_a_commit_leaves_the_state_before_it(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    command = [sys.executable, "-c", DIE_IN_THE_MIDDLE, str(path), ""]
    assert subprocess.run(command, check=False).returncode == 9  # noqa: ASYNC221
    assert (tmp_path / "state.sqlite-journal").exists(), "nothing was half written: this shows nothing"
    store = await open_sqlite(path)
    assert await store.load("mls") == {n.to_bytes(2): b"old" for n in range(500)}
    await store.commit({("mls", b"\x00\x00"): b"goes on"})
    await store.close()


# ------------------------------------------------------------------------------------------ the file itself


async def test_rubbish_is_not_opened_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"this is not a database" * 100)
    await refused(open_sqlite(path), "storage_corrupt")
    assert path.read_bytes() == b"this is not a database" * 100


async def test_a_damaged_page_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    store = await open_sqlite(path)
    await store.commit({("mls", n.to_bytes(2)): b"x" * 500 for n in range(200)})
    await store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    await refused(_open_and_load(path), "storage_corrupt")


async def _open_and_load(path: Path) -> None:
    store = await open_sqlite(path)
    try:
        await store.load("mls")
    finally:
        await store.close()


async def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("create table contacts (name)")
    other.close()
    before = path.read_bytes()
    await refused(open_sqlite(path), "storage_corrupt")
    assert path.read_bytes() == before


async def test_a_folder_in_the_way_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").mkdir()
    await refused(open_sqlite(tmp_path / "state.sqlite"), "storage_denied")


# ------------------------------------------------------------------------------------------ encryption


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


async def test_nothing_of_it_can_be_read_without_the_key(tmp_path: Path) -> None:
    store = await open_sqlcipher(tmp_path / "state.sqlite")
    await store.commit({("mls", b"a name of a row"): b"what it holds"})
    await store.close()
    left = everything_in(tmp_path)
    assert [word for word in (b"SQLite", b"a name of", b"what it", b"create table") if word in left] == []


async def test_half_a_commit_in_the_journal_can_not_be_read_either(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DIE_IN_THE_MIDDLE, str(tmp_path / "state.sqlite"), KEY.hex()]
    assert subprocess.run(command, check=False).returncode == 9  # noqa: ASYNC221
    assert (tmp_path / "state.sqlite-journal").stat().st_size > 0
    assert b"newnew" not in everything_in(tmp_path)
    assert b"create table" not in everything_in(tmp_path)
    store = await open_sqlcipher(tmp_path / "state.sqlite")
    assert await store.load("mls") == {n.to_bytes(2): b"old" for n in range(500)}
    await store.close()


@pytest.mark.parametrize("key", [None, bytes(32)])
async def test_without_its_key_it_is_not_opened_and_not_touched(key: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    store = await open_sqlcipher(path)
    await store.commit({("mls", b"a"): b"1"})
    await store.close()
    before = path.read_bytes()
    await refused(SqliteStore.open(path, FixedKey(key)), "storage_corrupt")
    assert path.read_bytes() == before


async def test_a_page_that_was_altered_is_found(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    store = await open_sqlcipher(path)
    await store.commit({("mls", n.to_bytes(2)): b"x" * 500 for n in range(200)})
    await store.close()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    store = await open_sqlcipher(path)
    await refused(store.load("mls"), "storage_corrupt")
    await store.close()


async def test_a_file_from_before_there_were_keys_is_encrypted_once(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    store = await open_sqlite(path)
    await store.commit({("mls", b"a"): b"from before", ("groups", b"g"): b"a" * 50_000})
    await store.close()
    with path.open("rb") as earlier:
        store = await open_sqlcipher(path)
        assert set(earlier.read()) == {0}, "what was there before is overwritten"
    assert await store.load("mls") == {b"a": b"from before"}
    assert await store.load("groups") == {b"g": b"a" * 50_000}
    await store.commit({("mls", b"a"): b"and since"})
    await store.close()
    assert b"from before" not in everything_in(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["state.sqlite", "state.sqlite.lock"]  # noqa: ASYNC240
    store = await open_sqlcipher(path)
    assert await store.load("mls") == {b"a": b"and since"}
    await store.close()


ENCRYPTING = ("_flush", "put_in_place")
"""What encrypting a file calls; it dies at each."""


@pytest.mark.parametrize("at", ENCRYPTING)
async def test_encrypting_that_breaks_off_is_begun_again(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.sqlite"
    store = await open_sqlite(path)
    await store.commit({("mls", b"a"): b"from before"})
    await store.close()

    def dies(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(files if at == "_flush" else file, at, dies)
        await refused(open_sqlcipher(path), "storage_denied")
    assert file.is_plain(path)
    store = await open_sqlcipher(path)
    assert await store.load("mls") == {b"a": b"from before"}
    await store.close()
    assert not file.is_plain(path)


async def test_a_plain_database_of_another_program_is_not_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("create table contacts (name)")
    other.close()
    before = path.read_bytes()
    await refused(open_sqlcipher(path), "storage_corrupt")
    assert path.read_bytes() == before


async def test_who_holds_the_data_is_asked_before_the_key_is(tmp_path: Path) -> None:
    """So that of two that find no key, only one makes one."""
    path = tmp_path / "state.sqlite"
    first = await open_sqlcipher(path)

    class Never:
        async def key(self) -> bytes | None:
            raise AssertionError

    await refused(SqliteStore.open(path, Never()), "storage_in_use")
    await first.close()


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
async def test_others_on_the_machine_can_not_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "state.sqlite"
    store = await open_sqlite(path)
    await store.commit({("mls", b"a"): b"1"})
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in (path.parent, *path.parent.iterdir())}
    assert modes == {"new folder": 0o700, "state.sqlite": 0o600, "state.sqlite.lock": 0o600}
    await store.close()


async def test_deleted_rows_leave_no_trace_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    store = await open_sqlite(path)
    await store.commit({("mls", b"a"): b"an old ratchet secret", ("mls", b"b"): b"another secret" * 1000})
    assert b"an old ratchet secret" in path.read_bytes()
    await store.commit({("mls", b"a"): None, ("mls", b"b"): b"short"})
    left = b"".join(entry.read_bytes() for entry in tmp_path.iterdir())  # noqa: ASYNC240  three small files
    assert b"ratchet" not in left
    assert b"another secret" not in left
    await store.close()


async def test_every_commit_is_flushed_with_its_folder(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / "state.sqlite")
    names = ("synchronous", "secure_delete", "journal_mode")
    found = [await store._run(lambda db, n=name: db.execute(f"pragma {n}").fetchone()[0]) for name in names]
    assert found == [3, 1, "delete"]  # 3 is "extra"
    await store.close()


# ------------------------------------------------------------------------------------------ migrations

NEXT_LAYOUT = ("create table extra (k)", "insert into extra select key from rows")


async def at_version(path: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the file as a Coterie that knew `version` layouts would have left it."""
    if version == 0:
        path.touch()  # noqa: ASYNC240
        return
    with monkeypatch.context() as patch:
        patch.setattr(file, "MIGRATIONS", file.MIGRATIONS[:version])
        store = await open_sqlite(path)
        await store.commit({("mls", b"a"): b"from before"})
        await store.close()


@pytest.mark.parametrize("version", range(len(file.MIGRATIONS) + 1))
async def test_every_earlier_layout_is_brought_up(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.sqlite"
    await at_version(path, version, monkeypatch)
    monkeypatch.setattr(file, "MIGRATIONS", (*file.MIGRATIONS, NEXT_LAYOUT))
    store = await open_sqlite(path)
    kept = {b"a": b"from before"} if version else {}
    assert await store.load("mls") == kept
    assert await store._run(lambda db: db.execute("select k from extra").fetchall()) == [
        (key,) for key in kept
    ]
    assert await store._run(lambda db: file.pragma(db, "user_version")) == len(file.MIGRATIONS)
    await store.close()


@pytest.mark.parametrize("version", range(len(file.MIGRATIONS) + 1))
async def test_a_migration_that_breaks_off_leaves_the_earlier_layout(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.sqlite"
    await at_version(path, version, monkeypatch)
    layouts = (*file.MIGRATIONS, NEXT_LAYOUT)
    broken = (*layouts[:version], (*layouts[version], "insert into no_such_table values (1)"))
    with monkeypatch.context() as patch:
        patch.setattr(file, "MIGRATIONS", broken)
        await refused(open_sqlite(path), "storage_failed")
    with sqlite3.connect(path) as db:
        tables = [name for (name,) in db.execute("select name from sqlite_schema where type = 'table'")]
        assert file.pragma(db, "user_version") == version
    db.close()
    assert tables == (["rows", "writer"] if version else [])
    monkeypatch.setattr(file, "MIGRATIONS", layouts)
    store = await open_sqlite(path)
    assert await store.load("mls") == ({b"a": b"from before"} if version else {})
    await store.close()


async def test_data_of_a_newer_version_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.sqlite"
    with monkeypatch.context() as patch:
        patch.setattr(file, "MIGRATIONS", (*file.MIGRATIONS, NEXT_LAYOUT))
        await (await open_sqlite(path)).close()
    before = path.read_bytes()
    await refused(open_sqlite(path), "storage_newer")
    assert path.read_bytes() == before
