"""Known answers for keys at rest (docs/protocol.md, "Keys at rest"); tests/web/keys_at_rest.test.mjs reads them too."""

import json
from pathlib import Path
from typing import Any

import pytest

import coterie_mls
from coterie.core import keys
from coterie.errors import LocalError
from coterie.stretching import stretch

VECTORS = json.loads((Path(__file__).parent / "kdf.json").read_text(encoding="utf-8"))

Vector = dict[str, Any]


@pytest.fixture(params=VECTORS, ids=range(len(VECTORS)))
def vector(request: pytest.FixtureRequest) -> Vector:
    found: Vector = request.param
    return found


def raw(vector: Vector, name: str) -> bytes:
    return bytes.fromhex(vector[name])


def test_the_master_key_s_keys(vector: Vector) -> None:
    for label, expected in vector["derived"].items():
        assert keys.derive(coterie_mls, raw(vector, "master"), label.encode()).hex() == expected
    assert sorted(vector["derived"]) == sorted(
        label.decode() for label in (keys.AT_REST, keys.SYNC, keys.EXPORT)
    )


async def test_the_key_of_a_passphrase(vector: Vector) -> None:
    parameters = keys.Argon2id.parse(raw(vector, "header"))
    assert (parameters.memory_kib, parameters.passes, parameters.lanes, parameters.salt) == (
        vector["memory_kib"],
        vector["passes"],
        vector["lanes"],
        raw(vector, "salt"),
    )
    assert parameters.encode() == raw(vector, "header")
    assert (await keys.key_of(stretch, vector["passphrase"], parameters)).hex() == vector["key"]


async def test_a_wrapped_master_key_opens_under_its_passphrase_alone(vector: Vector) -> None:
    wrapped, purpose = raw(vector, "wrapped"), vector["purpose"].encode()
    opened = await keys.unwrap(coterie_mls, stretch, vector["passphrase"], wrapped, purpose)
    assert opened == raw(vector, "master")
    for passphrase, meant in ((vector["passphrase"] + " ", purpose), (vector["passphrase"], b"else")):
        with pytest.raises(LocalError) as caught:
            await keys.unwrap(coterie_mls, stretch, passphrase, wrapped, meant)
        assert caught.value.code == "wrong_passphrase"


async def test_what_was_wrapped_here_opens_here_with_the_costs_of_today() -> None:
    wrapped = await keys.wrap(coterie_mls, stretch, "a passphrase", b"secret", b"test")
    parameters = keys.Argon2id.parse(wrapped[: keys.HEADER_SIZE])
    assert (parameters.memory_kib, parameters.passes, parameters.lanes) == (65536, 3, 4)
    assert await keys.unwrap(coterie_mls, stretch, "a passphrase", wrapped, b"test") == b"secret"


@pytest.mark.parametrize("at", [1, 5, 6, 7, 22, 23, 40, -1])
async def test_an_altered_byte_does_not_open(at: int) -> None:
    """Parameters, salt, nonce, ciphertext, tag: all of it is authenticated, or refused as out of bounds."""
    vector = VECTORS[0]
    wrapped = bytearray.fromhex(vector["wrapped"])
    wrapped[at] ^= 1
    with pytest.raises(LocalError) as caught:
        await keys.unwrap(
            coterie_mls, stretch, vector["passphrase"], bytes(wrapped), vector["purpose"].encode()
        )
    assert caught.value.code in ("wrong_passphrase", "kdf_refused")


@pytest.mark.parametrize(
    ("memory", "passes", "lanes", "allowed"),
    [
        (65536, 3, 4, True),
        (65535, 3, 4, False),
        (1048576, 10, 16, True),
        (1048577, 3, 4, False),
        (2**32 - 1, 3, 4, False),
        (65536, 2, 4, False),
        (65536, 11, 4, False),
        (65536, 3, 3, False),
        (65536, 3, 17, False),
    ],
)
async def test_absurd_costs_are_refused_before_any_work(
    memory: int,
    passes: int,
    lanes: int,
    allowed: bool,  # noqa: FBT001  a row of the table
) -> None:
    asked: list[tuple[int, int, int]] = []

    async def noted(secret: bytes, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
        asked.append((memory_kib, passes, lanes))
        return bytes(32)

    header = b"\x01" + memory.to_bytes(4) + bytes([passes, lanes]) + bytes(16)
    with pytest.raises(LocalError) as caught:
        await keys.unwrap(coterie_mls, noted, "a passphrase", header + bytes(60), b"test")
    assert caught.value.code == ("wrong_passphrase" if allowed else "kdf_refused")
    assert asked == ([(memory, passes, lanes)] if allowed else [])


@pytest.mark.parametrize("wrapped", [b"", b"\x01" * 50, b"\x02" + bytes(90)])
async def test_rubbish_is_refused_before_any_work(wrapped: bytes) -> None:
    async def never(secret: bytes, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
        raise AssertionError

    with pytest.raises(LocalError) as caught:
        await keys.unwrap(coterie_mls, never, "a passphrase", wrapped, b"test")
    assert caught.value.code == "bad_wrapping"


@pytest.mark.parametrize("passphrase", ["", "short 7", "x" * 1025])
def test_a_passphrase_that_is_too_short_or_too_long_is_not_set(passphrase: str) -> None:
    with pytest.raises(LocalError) as caught:
        keys.check_passphrase(passphrase)
    assert caught.value.code == "bad_passphrase"
