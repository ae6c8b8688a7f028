"""`make tabs`: TABS (8) tabs say MESSAGES (1000) lines each while BLOWS (40) fall by SEED.

Ends with one line of figures, and non-zero when one falls short.
"""

import asyncio
import os
import secrets
import sys

from tests.support.deployments import temporary_folder
from tests.tabs.chromium import started
from tests.tabs.talk import HOLD_MS, Outcome, Talk


async def main() -> int:
    """Say the seed first: a run that fails can be repeated."""
    seed = int(os.environ.get("SEED") or secrets.randbits(32))
    tabs, messages, blows = (
        int(os.environ.get(name) or default)
        for name, default in (("TABS", 8), ("MESSAGES", 1000), ("BLOWS", 40))
    )
    again = f"make tabs SEED={seed} TABS={tabs} MESSAGES={messages} BLOWS={blows}"
    print(again, flush=True)
    try:
        with temporary_folder() as folder:
            async with started(folder) as (browser, origin):
                outcome: Outcome = await Talk(tabs, messages, blows, seed).run(browser, origin, folder)
    except BaseException:
        print(f"tabs: FAILED; once more: {again}")
        raise
    print(outcome.line())
    return int(outcome.p95 > HOLD_MS)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
