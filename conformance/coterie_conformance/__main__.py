"""`coterie-conformance URL`: asks a deployment to keep its promises."""

import argparse
import asyncio
import fnmatch
import sys

from coterie_conformance import CHECKS, Check, Result, Sizes, Verdict, open_world, run
from coterie_conformance.runner import summary


def main() -> int:
    """Read the command line; 0: what was asked held; 1: something was broken, or nothing held; 2: nothing to do."""
    arguments = _parser().parse_args()
    checks = [one for one in CHECKS.values() if _wanted(one, arguments.only)]
    if arguments.list:
        for one in checks:
            print(f"{one.name}\n    {one.promise}\n    {one.reference}")
        return 0
    if not arguments.url or not checks:
        print("Give the address of a deployment, and names that --list knows.", file=sys.stderr)
        return 2
    results = asyncio.run(_run(arguments, checks))
    print(summary(results))
    verdicts = {one.verdict for one in results}
    return int(Verdict.BROKEN in verdicts or Verdict.HELD not in verdicts)


async def _run(arguments: argparse.Namespace, checks: list[Check]) -> list[Result]:
    sizes = Sizes(
        rounds=arguments.rounds,
        committers=arguments.committers,
        racers=arguments.racers,
        messages=arguments.messages,
        patience=arguments.patience,
        seed=arguments.seed,
    )
    place = {"auth_url": arguments.auth_url, "apikey": arguments.apikey}
    async with open_world(arguments.url, sizes, **place) as world:
        return await run(world, checks, lambda result: print(result.line(), flush=True))


def _wanted(check: Check, patterns: list[str]) -> bool:
    return not patterns or any(fnmatch.fnmatch(check.name, one) for one in patterns)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="coterie-conformance", description=__doc__)
    parser.add_argument("url", nargs="?", help="origin of the deployment, for example https://chat.example")
    parser.add_argument("--auth-url", help="where sign-in is, if not at URL/auth/v1")
    parser.add_argument("--apikey", help="sent as `apikey`, where a gateway asks for one")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a check's name, * allowed"
    )
    parser.add_argument("--list", action="store_true", help="say what is promised, ask nobody")
    sizes = Sizes()
    parser.add_argument("--rounds", type=int, default=10, help="rounds of the commit race (10)")
    parser.add_argument("--committers", type=int, default=100, help="committers in each (100)")
    parser.add_argument("--racers", type=int, default=sizes.racers, help=f"other races ({sizes.racers})")
    parser.add_argument("--messages", type=int, default=sizes.messages, help=f"order ({sizes.messages})")
    parser.add_argument(
        "--patience", type=float, default=sizes.patience, help="seconds to wait for a lapse (15)"
    )
    parser.add_argument("--seed", type=int, default=sizes.seed, help="of schedules (1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
