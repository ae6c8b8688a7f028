"""A share of `make chaos`: every kind of blow once, and nothing is missing."""

import os
import secrets

from tests.chaos.chaos import run_chaos
from tests.support.deployments import temporary_folder

SEED = int(os.environ.get("CHAOS_SEED") or secrets.randbits(32))


async def test_nothing_is_missing_after_every_kind_of_blow() -> None:
    print(f"CHAOS_SEED={SEED}")  # noqa: T201 - pytest shows it with a failure
    with temporary_folder() as folder:
        outcome = await run_chaos(folder, seed=SEED, seconds=0, pace=10)
    assert len(outcome.blows) == 5
    assert outcome.messages
    assert outcome.lines
