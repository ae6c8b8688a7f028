"""What every storage owes to `coterie.ports.Store`, as functions that need nothing but a way to open one.

`tests/contract/test_storage.py` runs them on CPython, `tests/pyodide/storage` in Chromium and Firefox: the same file.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from coterie.errors import StorageError
from coterie.ports import TABLES, Row, Store

Open = Callable[[], Awaitable[Store]]
Case = Callable[[Open], Awaitable[None]]

GROUP, OTHER = bytes(range(16)), bytes(range(1, 17))
MIB = 1 << 20


def line_key(group: bytes, seq: int, index: int = 0) -> bytes:
    """As `ports.TABLES` says: group UUID ‖ seq (u64) ‖ index (u16)."""
    return group + seq.to_bytes(8) + index.to_bytes(2)


async def refused(call: Awaitable[object], code: str) -> None:
    """The call raises `StorageError` with this code and a sentence."""
    raised: StorageError | None = None
    try:
        await call
    except StorageError as error:
        raised = error
    assert raised is not None, f"expected StorageError {code}, but it went through"
    assert raised.code == code, (raised.code, code)
    assert raised.sentence.endswith("."), raised.sentence


async def case_starts_empty(opened: Open) -> None:
    store = await opened()
    assert [await store.load(table) for table in TABLES] == [{}] * len(TABLES)
    assert await store.page("messages", GROUP, before=None, limit=10) == []


async def case_rows_come_back_sorted_by_key(opened: Open) -> None:
    store = await opened()
    keys = [
        b"",
        b"\x00",
        b"\x00\x00",
        b"\x00\xff",
        b"\x01",
        b"a",
        b"a\x00",
        b"ab",
        b"b",
        b"\x7f",
        b"\x80",
        b"\xff",
    ]
    shuffled = random.Random(7).sample(keys, len(keys))  # noqa: S311  only an order
    await store.commit({("mls", key): b"value of " + key for key in shuffled})
    loaded = await store.load("mls")
    assert list(loaded) == sorted(keys)
    assert loaded == {key: b"value of " + key for key in keys}
    assert all(type(key) is bytes and type(value) is bytes for key, value in loaded.items())


async def case_tables_are_separate(opened: Open) -> None:
    store = await opened()
    await store.commit({(table, b"k"): table.encode() for table in TABLES})
    await store.commit({("outbox", b"k"): None})
    left = {table: await store.load(table) for table in TABLES}
    assert left == {table: {} if table == "outbox" else {b"k": table.encode()} for table in TABLES}


async def case_one_commit_puts_replaces_and_deletes(opened: Open) -> None:
    store = await opened()
    await store.commit({("mls", b"a"): b"1", ("mls", b"b"): b"1", ("groups", b"g"): b"1"})
    await store.commit(
        {("mls", b"a"): None, ("mls", b"b"): b"2", ("mls", b"c"): b"2", ("groups", b"g"): None}
    )
    assert await store.load("mls") == {b"b": b"2", b"c": b"2"}
    assert await store.load("groups") == {}
    await store.commit({("mls", b"never there"): None})
    await store.commit({})
    assert await store.load("mls") == {b"b": b"2", b"c": b"2"}


async def case_a_wrong_row_in_the_middle_writes_nothing(opened: Open) -> None:
    store = await opened()
    await store.commit({("mls", b"kept"): b"old", ("mls", b"gone"): b"old"})
    before: dict[Row, bytes | None] = {("mls", b"kept"): b"new", ("mls", b"gone"): None}
    wrong: list[tuple[object, object]] = [
        (("no table", b"k"), b"v"),
        (("mls", "a string"), b"v"),
        (("mls", b"k"), "a string"),
        (("mls", b"k"), 7),
    ]
    for row, value in wrong:
        changes = {**before, row: value, ("mls", b"later"): b"new"}
        await refused(store.commit(changes), "bad_row")
        assert await store.load("mls") == {b"gone": b"old", b"kept": b"old"}
    await store.commit(before)
    assert await store.load("mls") == {b"kept": b"new"}


async def case_unknown_tables_are_refused(opened: Open) -> None:
    store = await opened()
    await refused(store.load("writer"), "bad_row")
    await refused(store.page("sqlite_schema", b"", before=None, limit=1), "bad_row")


async def case_pages_go_backwards(opened: Open) -> None:
    store = await opened()
    await store.commit({("messages", line_key(GROUP, seq)): str(seq).encode() for seq in range(1, 26)})
    pages: list[list[int]] = []
    before: bytes | None = None
    while page := await store.page("messages", GROUP, before=before, limit=10):
        pages.append([int(value) for _, value in page])
        assert all(key == line_key(GROUP, int(value)) for key, value in page)
        before = page[0][0]
    assert pages == [list(range(16, 26)), list(range(6, 16)), list(range(1, 6))]


async def case_pages_stay_within_their_prefix(opened: Open) -> None:
    store = await opened()
    groups = [b"\x00" * 16, GROUP, OTHER, b"\xff" * 16]
    rows = {line_key(group, seq): group + bytes([seq]) for group in groups for seq in range(1, 4)}
    await store.commit({("messages", key): value for key, value in rows.items()})
    await store.commit({("seen", line_key(GROUP, 9)): b"another table"})
    for group in groups:
        page = await store.page("messages", group, before=None, limit=100)
        assert page == [(line_key(group, seq), rows[line_key(group, seq)]) for seq in range(1, 4)]
    assert await store.page("messages", b"", before=None, limit=2) == sorted(rows.items())[-2:]
    assert await store.page("messages", b"", before=line_key(OTHER, 1), limit=4) == sorted(rows.items())[2:6]


async def case_before_may_lie_anywhere(opened: Open) -> None:
    store = await opened()
    await store.commit({("messages", line_key(GROUP, seq)): b"" for seq in (2, 4)})
    two, four = line_key(GROUP, 2), line_key(GROUP, 4)

    async def keys(before: bytes, limit: int = 10) -> list[bytes]:
        return [key for key, _ in await store.page("messages", GROUP, before=before, limit=limit)]

    assert await keys(four) == [two]
    assert await keys(line_key(GROUP, 3)) == [two]
    assert await keys(two) == []
    assert await keys(GROUP) == []
    assert await keys(b"") == []
    assert await keys(OTHER) == [two, four]
    assert await keys(b"\xff" * 40) == [two, four]
    assert await keys(b"\xff" * 40, limit=0) == []


async def case_big_values_and_many_rows(opened: Open) -> None:
    store = await opened()
    big = random.Random(1).randbytes(MIB)  # noqa: S311  only bytes that do not compress
    many = {("mls", n.to_bytes(4)): bytes([n % 256]) * 40 for n in range(2000)}
    await store.commit({("groups", b"big"): big, ("groups", b"empty"): b"", **many})
    assert await store.load("groups") == {b"big": big, b"empty": b""}
    assert await store.load("mls") == {key: value for (_, key), value in many.items()}


async def case_what_was_read_is_a_copy(opened: Open) -> None:
    store = await opened()
    await store.commit({("mls", b"a"): b"1"})
    (await store.load("mls")).clear()
    assert await store.load("mls") == {b"a": b"1"}


async def case_agrees_with_a_dictionary(opened: Open) -> None:
    """400 random changes in 80 commits, compared with plain dictionaries after each."""
    store, dice = await opened(), random.Random(42)  # noqa: S311  a repeatable walk
    model: dict[str, dict[bytes, bytes]] = {"mls": {}, "messages": {}}
    for _ in range(80):
        changes: dict[Row, bytes | None] = {}
        for _ in range(5):
            row = (dice.choice(("mls", "messages")), dice.randbytes(dice.randint(0, 2)))
            changes[row] = dice.choice((None, dice.randbytes(3), dice.randbytes(3)))
        await store.commit(changes)
        for (table, key), value in changes.items():
            model[table].pop(key, None)
            if value is not None:
                model[table][key] = value
        prefix, before = dice.randbytes(dice.randint(0, 1)), dice.choice((None, dice.randbytes(1)))
        expected = sorted(
            (key, value)
            for key, value in model["messages"].items()
            if key.startswith(prefix) and (before is None or key < before)
        )[-3:]
        assert await store.page("messages", prefix, before=before, limit=3) == expected
    assert {table: await store.load(table) for table in model} == model


async def case_clear_deletes_everything(opened: Open) -> None:
    store = await opened()
    await store.commit({(table, b"k"): b"v" for table in TABLES})
    await store.clear()
    assert [await store.load(table) for table in TABLES] == [{}] * len(TABLES)
    await store.commit({("mls", b"k"): b"new life"})
    assert await store.load("mls") == {b"k": b"new life"}


async def case_a_closed_store_says_so(opened: Open) -> None:
    store = await opened()
    await store.close()
    await store.close()
    await refused(store.load("mls"), "storage_closed")
    await refused(store.page("mls", b"", before=None, limit=1), "storage_closed")
    await refused(store.commit({("mls", b"k"): b"v"}), "storage_closed")
    await refused(store.clear(), "storage_closed")


async def kept_after_closing(opened: Open) -> None:
    """For storages that last: everything committed is there again, and nothing that was deleted."""
    store = await opened()
    await store.commit({("mls", b"a"): b"1", ("mls", b"b"): b"1", ("messages", line_key(GROUP, 1)): b"hello"})
    await store.commit({("mls", b"a"): b"2", ("mls", b"b"): None})
    await store.close()
    again = await opened()
    assert await again.load("mls") == {b"a": b"2"}
    assert await again.page("messages", GROUP, before=None, limit=5) == [(line_key(GROUP, 1), b"hello")]
    await again.commit({("mls", b"a"): b"3"})
    await again.close()
    third = await opened()
    assert await third.load("mls") == {b"a": b"3"}


async def kept_in_order_of_commits(opened: Open) -> None:
    """Commits asked for one after the other, without waiting, are written in that order."""
    store = await opened()
    async with asyncio.TaskGroup() as group:
        for n in range(50):
            group.create_task(store.commit({("mls", b"last"): str(n).encode(), ("mls", bytes([n])): b""}))
    rows = await store.load("mls")
    assert rows.pop(b"last") == b"49"
    assert len(rows) == 50


CASES: dict[str, Case] = {
    name.removeprefix("case_"): case for name, case in globals().items() if name[:5] == "case_"
}
LASTING: dict[str, Case] = {
    "kept_after_closing": kept_after_closing,
    "kept_in_order_of_commits": kept_in_order_of_commits,
}
