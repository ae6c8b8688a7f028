"""`make chaos`: blows for SECONDS (120) by SEED; one line of figures, and non-zero when anything is missing."""

import asyncio
import os
import secrets
import sys

from tests.chaos.chaos import run_chaos
from tests.support.deployments import temporary_folder


def main() -> int:
    """Say the seed first: a run that fails can be repeated."""
    seed = int(os.environ.get("SEED") or secrets.randbits(32))
    seconds = float(os.environ.get("SECONDS") or 120)
    print(f"SEED={seed} SECONDS={seconds:.0f}", flush=True)
    with temporary_folder() as folder:
        try:
            outcome = asyncio.run(run_chaos(folder, seed=seed, seconds=seconds, pace=200))
        except BaseException:
            print((folder / "service.log").read_text()[-5000:])
            print(f"chaos: FAILED with SEED={seed}")
            raise
    print(outcome.line())
    return 0


if __name__ == "__main__":
    sys.exit(main())
