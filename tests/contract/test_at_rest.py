"""The search of a terminal's profile: it finds what was planted, and then nothing. `make at-rest` is this at length."""

from __future__ import annotations

from pathlib import Path

import pytest

from coterie.keeping import Way
from tests.at_rest.native import NAMES, Run, converse, search, write

SEED = 7
LINES = 30


@pytest.fixture(scope="module")
def run_of() -> dict[str, Run]:
    return {}


async def conversation(kept: dict[str, Run]) -> Run:
    """One for all tests."""
    if "run" not in kept:
        kept["run"] = await converse(LINES)
    return kept["run"]


@pytest.mark.parametrize("way", ["passphrase", "environment"])
async def test_nothing_is_found(way: Way, run_of: dict[str, Run], tmp_path: Path) -> None:
    run = await conversation(run_of)
    found = search(run, await write(run, tmp_path / "profile", way=way), SEED)
    assert found.total == 0, f"\n{found}"


async def test_a_key_beside_the_data_is_all_that_the_way_file_leaves(
    run_of: dict[str, Run], tmp_path: Path
) -> None:
    run = await conversation(run_of)
    found = search(run, await write(run, tmp_path / "profile", way="file"), SEED)
    assert set(found.counts) == {("key", "state.key")}, f"\n{found}"


async def test_with_encryption_switched_off_everything_is_found(
    run_of: dict[str, Run], tmp_path: Path
) -> None:
    run = await conversation(run_of)
    profile = await write(run, tmp_path / "profile", encrypted=False)
    found = search(run, profile, SEED, encrypted=False)
    assert found.counts["plaintext", "state.sqlite"] > LINES + len(NAMES), f"\n{found}"
    assert found.counts["present secret", "state.sqlite"] > 100, f"\n{found}"


async def test_a_consumed_key_kept_on_purpose_is_found(run_of: dict[str, Run], tmp_path: Path) -> None:
    run = await conversation(run_of)
    used = next(value for value in run.history() if value not in run.secrets() and len(value) > 1000)
    found = search(run, await write(run, tmp_path / "profile", planted=used), SEED)
    assert set(found.counts) == {("consumed secret", "what the present key opens")}, f"\n{found}"
