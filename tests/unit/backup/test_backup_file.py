"""The file: what is cut, moved, flipped or put together is refused, and it is written and read piece by piece."""

import hashlib
import random
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest

import coterie_mls
from coterie.core import backup, keys
from coterie.core.archive import Restored
from coterie.core.backup import CHUNK, DIGEST_SIZE, HEADER_SIZE, MAX_CHUNK, Header, Reader, Writer
from coterie.core.records import Chat, Line, Me
from coterie.errors import BackupError, CoterieError, LocalError
from tests.support.exchange import Exchange, settle
from tests.unit.backup.conftest import PASSPHRASE, Stretched, back_up, refusal, restore

KEY = bytes(range(32))
USER = "11111111-1111-4111-8111-111111111111"
FLIPS = 300
SEED = 5


def written(records: list[list[Any]], header: Header | None = None) -> tuple[Header, list[bytes]]:
    """The chunks of a file of these records."""
    header = header or Header.new(coterie_mls, USER)
    writer = Writer(coterie_mls, header, KEY)
    chunks = [chunk for record in records if (chunk := writer.take(record))]
    return header, [*chunks, writer.end()]


def read(header: Header, data: bytes, step: int = 1 << 20) -> Iterator[list[Any]]:
    reader = Reader(coterie_mls, header, KEY)
    for at in range(0, len(data), step):
        yield from reader.feed(data[at : at + step])
    reader.end()


def refused(header: Header, data: bytes) -> str:
    with pytest.raises(BackupError) as caught:
        list(read(header, data))
    return caught.value.code


RECORDS = [["messages", bytes([n]) * 100_000] for n in range(9)]


@pytest.mark.parametrize("step", [1 << 20, 65_537, 97])
def test_records_come_back_in_order_in_whatever_pieces(step: int) -> None:
    header, chunks = written(RECORDS)
    assert len(chunks) == 4
    assert list(read(header, b"".join(chunks), step)) == RECORDS


def test_a_file_without_records_is_one_chunk() -> None:
    header, chunks = written([])
    assert len(chunks) == 1
    assert list(read(header, chunks[0])) == []


def test_chunks_that_are_missing_moved_or_doubled_are_refused() -> None:
    header, (one, two, three, last) = written(RECORDS)
    assert refused(header, one + two + three) == "backup_cut"
    assert refused(header, b"") == "backup_cut"
    assert refused(header, one + three + last) == "backup_damaged"
    assert refused(header, one + three + two + last) == "backup_damaged"
    assert refused(header, one + one + two + three + last) == "backup_damaged"
    assert refused(header, one + two + three + last + last) == "backup_damaged"
    assert refused(header, one + two + three + last + b"\0") == "backup_damaged"
    assert refused(header, two + one + three + last) == "wrong_passphrase"


def test_a_chunk_cannot_be_made_the_last_one_nor_the_last_one_another() -> None:
    header, (one, two, three, last) = written(RECORDS)
    assert refused(header, one + two + b"\1" + three[1:]) == "backup_damaged"
    assert refused(header, one + two + three + b"\0" + last[1:]) == "backup_damaged"
    assert refused(header, one + b"\2" + two[1:]) == "backup_damaged"


def test_chunks_of_another_file_under_the_same_key_are_refused() -> None:
    header, (one, two, three, last) = written(RECORDS)
    _, (_, other, *_) = written(RECORDS)
    assert refused(header, one + other + three + last) == "backup_damaged"
    assert list(read(header, one + two + three + last)) == RECORDS


def test_a_length_beyond_any_chunk_is_refused_before_so_much_is_collected() -> None:
    header, (one, *_) = written(RECORDS)
    absurd = b"\0" + (MAX_CHUNK + 1).to_bytes(4)
    assert refused(header, one + absurd) == "backup_damaged"


def test_a_backup_that_would_be_too_large_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "MAX_FILE", 3 * CHUNK)
    with pytest.raises(BackupError) as caught:
        written(RECORDS)
    assert caught.value.code == "backup_too_large"


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x00", b"\xa0", b"\x81\x01", b"\xc1\x00", b"\x9f\xff", b"\x81" * 40]
)
def test_a_chunk_that_is_no_array_of_records_is_refused(content: bytes) -> None:
    """Whoever tells a passphrase along with a file can seal whatever they like."""
    header = Header.new(coterie_mls, USER)
    sealed = coterie_mls.seal(KEY, content, header.encode() + bytes(8) + b"\1")
    assert refused(header, b"\1" + len(sealed).to_bytes(4) + sealed) == "wrong_passphrase"


def test_the_header_is_as_documented() -> None:
    header = Header.new(coterie_mls, USER)
    encoded = header.encode()
    assert len(encoded) == HEADER_SIZE == 48
    assert encoded[:9] == b"COTERIEB\x02"
    assert Header.parse(encoded) == header
    assert encoded[9:32] == header.costs.encode()
    assert (header.costs.memory_kib, header.costs.passes, header.costs.lanes) == (65_536, 3, 4)
    assert Header.new(coterie_mls, "").of("anybody")


@pytest.mark.parametrize("size", range(1, HEADER_SIZE))
def test_a_header_that_is_cut_is_an_incomplete_backup(size: int) -> None:
    with pytest.raises(BackupError) as caught:
        Header.parse(Header.new(coterie_mls, USER).encode()[:size])
    assert caught.value.code == "backup_cut"


# -- what the records say --

GROUP = "2b2b2b2b-2222-4222-8222-222222222222"
ID = "33333333-3333-4333-8333-333333333333"
CHAT = Chat(id=GROUP, rev=1, modified_at=1, name="Friends")
LINE = Line(id=ID, rev=1, modified_at=1, group_id=GROUP, seq=1, index=0, sender="a#b", at=1, notice="left")
BEYOND = 1 << 53


def taken(*records: list[Any]) -> Restored:
    restored = Restored()
    first: list[list[Any]] = [["backup", {"identity": "a#b", "at": 1}], ["chats", CHAT.encode()]]
    for record in [*first, *records]:
        restored.take(record)
    return restored


@pytest.mark.parametrize(
    "record",
    [
        [],
        ["messages"],
        ["messages", b""],
        ["messages", b"\xff"],
        ["messages", b"\x81" * 60],
        ["messages", CHAT.encode()],
        ["messages", LINE.encode() + b"\0"],
        ["messages", LINE.with_(seq=-1).encode()],
        ["messages", LINE.with_(seq=BEYOND).encode()],
        ["messages", LINE.with_(index=1 << 16).encode()],
        ["messages", LINE.with_(at=BEYOND).encode()],
        ["messages", LINE.with_(about=[1]).encode()],
        ["messages", LINE.with_(deleted=True).encode()],
        ["messages", LINE.with_(group_id=ID).encode()],
        ["messages", LINE.with_(group_id=GROUP.upper()).encode()],
        ["messages", LINE.with_(group_id="x").encode()],
        ["messages", LINE.with_(id="x").encode()],
        ["chats", CHAT.with_(former=[b""]).encode()],
        ["chats", CHAT.with_(read_seq=-1).encode()],
        ["mls", b"\x80"],
        ["groups", b"\x80"],
        ["outbox", b"\x80"],
        ["backup", {"identity": "a#b", "at": 1}],
        [1, b""],
    ],
)
def test_a_record_that_does_not_belong_is_refused(record: list[Any]) -> None:
    with pytest.raises(BackupError) as caught:
        taken(record)
    assert caught.value.code == "backup_damaged"


def test_nothing_comes_before_the_manifest() -> None:
    with pytest.raises(BackupError):
        Restored().take(["chats", CHAT.encode()])


def test_names_are_cleaned_as_names_that_somebody_sent() -> None:
    """A name of a later Unicode, or with controls in it, costs the name and not the history."""
    bad = CHAT.with_(name="Fr\u202eiends")
    restored = taken(
        ["chats", bad.encode()], ["device", Me(id=ID, rev=1, modified_at=1, name="\x07").encode()]
    )
    assert [chat.name for chat in restored.chats.values()] == [""]
    assert restored.others == []


# -- flips and cuts --


async def test_every_cut_and_every_flip_is_refused_and_changes_nothing(exchange: Exchange) -> None:
    """A seeded share of all places; the whole header is among them. No key is computed for any of them."""
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    for number in range(4):
        await alice.client.send_text(group_id=group_id, text=f"line {number}")
        await settle()
    file = await back_up(alice)
    dice = random.Random(SEED)  # noqa: S311  no secret
    stretch = Stretched()
    options: Any = {"backups": alice.client.backups(stretch)}
    places = [*range(HEADER_SIZE + 5), *dice.sample(range(HEADER_SIZE + 5, len(file)), FLIPS)]
    for place in places:
        flipped = bytearray(file)
        flipped[place] ^= 1 << dice.randrange(8)
        code, sentence = await refusal(alice, bytes(flipped), **options)
        assert code in EXPECTED, (SEED, place, code)
        assert sentence.endswith(".")
    for size in {0, HEADER_SIZE, len(file) - 1, *dice.sample(range(len(file)), FLIPS)}:
        code, _ = await refusal(alice, file[:size], **options)
        assert code in ("backup_cut", "not_a_backup"), (SEED, size, code)
    for more in (b"\0", file):
        assert (await refusal(alice, file + more, **options))[0] == "backup_damaged"
    assert stretch.calls == 0
    assert (await restore(alice, file))["lines"] == 0


async def test_what_was_altered_on_purpose_is_refused_by_its_key(exchange: Exchange) -> None:
    """Whoever alters a file can write its digest anew."""
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    await alice.client.send_text(group_id=group_id, text="a line")
    await settle()
    file = await back_up(alice)
    dice = random.Random(SEED)  # noqa: S311  no secret
    for place in dice.sample(range(HEADER_SIZE, len(file) - DIGEST_SIZE), 50):
        altered = bytearray(file[:-DIGEST_SIZE])
        altered[place] ^= 1 << dice.randrange(8)
        code, _ = await refusal(alice, bytes(altered) + hashlib.sha256(altered).digest())
        assert code in ("wrong_passphrase", "backup_damaged", "backup_cut"), (SEED, place, code)


async def test_what_was_not_looked_at_is_not_restored(exchange: Exchange) -> None:
    alice = await exchange.person("Alice")
    file, stretch = await back_up(alice), Stretched()
    backups = alice.client.backups(stretch)
    for checked in (b"", file[:-1]):
        begun = await backups.restore_begin(passphrase=PASSPHRASE)
        await backups.restore_check(**begun, data=checked)
        with pytest.raises(BackupError):
            await backups.restore_write(**begun, data=file)
    assert stretch.calls == 0


EXPECTED = {
    "not_a_backup",
    "backup_newer",
    "backup_cut",
    "backup_damaged",
    "wrong_passphrase",
    "other_user",
    "kdf_refused",
    "bad_wrapping",
}


async def test_a_random_file_behind_a_good_header_is_refused(exchange: Exchange) -> None:
    alice = await exchange.person("Alice")
    dice = random.Random(SEED)  # noqa: S311  no secret
    head = Header.new(coterie_mls, "").encode()
    for _ in range(FLIPS):
        assert (await refusal(alice, head + dice.randbytes(dice.randrange(200))))[0] in EXPECTED


def test_costs_that_are_allowed_are_those_of_the_key_module() -> None:
    header = Header(
        costs=keys.Argon2id(salt=bytes(16), memory_kib=1 << 20, passes=10, lanes=16), owner=bytes(16)
    )
    assert Header.parse(header.encode()) == header
    with pytest.raises(LocalError):
        keys.Argon2id(salt=bytes(16), memory_kib=(1 << 20) + 1)


def test_every_refusal_is_one_sentence_or_two() -> None:
    for code in backup.SENTENCES:
        error: CoterieError = backup.refused(code)
        assert error.sentence.endswith(".")
        assert len(error.sentence) < 120
    assert cbor2.dumps([]) == b"\x80"
