"""`make conformance`: the whole suite at full size on every kind of deployment; one line of figures at the end."""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from coterie_conformance import CHECKS, Result, Sizes, Verdict, open_world, run
from coterie_conformance.runner import summary
from tests.support.deployments import behind_nginx, on_debian_postgres, on_embedded_postgres

DEPLOYMENTS: dict[str, Callable[..., AbstractContextManager[str]]] = {
    "embedded": on_embedded_postgres,
    "postgresql-15": on_debian_postgres,
    "nginx": behind_nginx,
}
SIZES = Sizes(
    rounds=int(os.environ.get("ROUNDS") or 100), committers=int(os.environ.get("COMMITTERS") or 1000)
)


async def _ask(url: str) -> list[Result]:
    async with open_world(url, SIZES) as world:
        return await run(world, CHECKS.values(), lambda result: print(result.line(), flush=True))


def main(names: list[str]) -> int:
    """Run on the deployments named, or on all. A promise that was not asked falls short as one that is broken."""
    figures, whole = [], True
    for name in names or DEPLOYMENTS:
        print(f"\n=== {name}", flush=True)
        with DEPLOYMENTS[name]() as url:
            results = asyncio.run(_ask(url))
        print(summary(results), flush=True)
        held = sum(one.verdict is Verdict.HELD for one in results)
        whole = whole and held == len(CHECKS)
        figures.append(f"{name} {held} of {len(CHECKS)} promises held")
    races = f"{SIZES.rounds} rounds of {SIZES.committers} committers and races of {SIZES.racers} each"
    print(f"\nconformance: {'; '.join(figures)}; {races}")
    return int(not whole)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
