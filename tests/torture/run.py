"""`make torture`: plays until POINTS native and BROWSER_POINTS browser kills are done; one line of figures at the end.

From the environment: POINTS, BROWSER_POINTS, SEED, SHARD (i/n: the plays i, i + n, …; i from 0), LANES, OUT (a file of
results; plays that stand there are not given again), MERGE (files with spaces: sum these up, give nothing), REPORT
(write docs/torture.md), REPLAY (a file that a failed run has written).
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_functions.postgres import EmbeddedPostgres
from tests.support.deployments import temporary_folder
from tests.torture import results
from tests.torture.theatre import Billing, House, house, worker

ROOT = Path(__file__).parents[2]
PER_PLAY = {"native": 100, "browser": 50}
"""Kill points."""


def main() -> int:
    """Say the seed first."""
    given = os.environ
    asked = {
        "native": int(given.get("POINTS") or 10_000),
        "browser": int(given.get("BROWSER_POINTS") or 2_000),
    }
    if given.get("MERGE"):
        files = [Path(one) for one in given["MERGE"].split()]
        if gone := [str(one) for one in files if not one.exists()]:
            sys.exit(f"torture: no such file: {', '.join(gone)}")
        return _sum_up(results.read(*files), asked)
    if given.get("REPLAY"):
        told = json.loads(Path(given["REPLAY"]).read_text())
        billings = {told["kind"]: [Billing(**told["billing"])]}
        asked = {}
        out = ROOT / "build/torture/replay.jsonl"
        out.unlink(missing_ok=True)
    else:
        seed = int(given.get("SEED") or secrets.randbits(32))
        shard, shards = (int(part) for part in (given.get("SHARD") or "0/1").split("/"))
        billings = {kind: _billings(kind, seed, points, shard, shards) for kind, points in asked.items()}
        asked = {kind: sum(one.points for one in some) for kind, some in billings.items()}
        out = Path(given.get("OUT") or ROOT / f"build/torture/{seed}-{shard}.jsonl")
        print(f"SEED={seed} SHARD={shard}/{shards} OUT={out}", flush=True)
    with theatre() as where:
        for kind, some in billings.items():
            _give(where, kind, some, out)
    return _sum_up(results.read(out), asked)


def _billings(kind: str, seed: int, points: int, shard: int, shards: int) -> list[Billing]:
    each = PER_PLAY[kind]
    plays = range(shard, -(-points // each), shards)
    return [
        Billing(kind=kind, seed=seed, number=number, points=min(each, points - number * each))
        for number in plays
    ]


@contextmanager
def theatre() -> Iterator[House]:
    """A service with a Postgres of its own."""
    with (
        temporary_folder() as folder,
        EmbeddedPostgres(folder / "postgres", durable=False) as postgres,
        house(folder, postgres.url) as where,
    ):
        yield where


def _give(where: House, kind: str, billings: list[Billing], out: Path) -> None:
    """All of them, in lanes; each that is done is a line of `out`."""
    done = {(one["kind"], one["seed"], one["number"]) for one in results.read(out)}
    waiting = [one for one in billings if (kind, one.seed, one.number) not in done]
    lock, revision = threading.Lock(), _revision()
    began = time.monotonic()

    def lane() -> None:
        with worker(where) as ask:
            while True:
                with lock:
                    if not waiting:
                        return
                    billing = waiting.pop(0)
                record = ask(billing) | {"revision": revision}
                with lock:
                    results.keep(out, record)
                    _say(out, billing, record, began)

    lanes = [
        threading.Thread(target=lane) for _ in range(min(int(os.environ.get("LANES") or 2), len(waiting)))
    ]
    for one in lanes:
        one.start()
    for one in lanes:
        one.join()


def _say(out: Path, billing: Billing, record: dict[str, Any], began: float) -> None:
    kills = sum(record["points"].values())
    print(
        f"{record['kind']} play {record['number']}: {kills} kills in {record['seconds']} s {record['points']},"
        f" {time.monotonic() - began:.0f} s in all {record['failed'][:400]}",
        flush=True,
    )
    if record["failed"]:
        file = out.parent / f"failed-{record['kind']}-{record['seed']}-{record['number']}.json"
        again = {
            "kind": record["kind"],
            "billing": asdict(billing) | {"told": record["schedule"]},
            "record": record,
        }
        file.write_text(json.dumps(again, indent=1))
        print(f"  again: make torture REPLAY={file}", flush=True)


def _revision() -> str:
    asked = ["git", "describe", "--always", "--dirty"]
    return (
        subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
        or "unknown"
    )


def _sum_up(records: list[dict[str, Any]], asked: dict[str, int]) -> int:
    sums = results.summed(records)
    missing = results.missing(sums, asked)
    if os.environ.get("REPORT"):
        (ROOT / "docs/torture.md").write_text(results.report(sums))
    print("; ".join([results.figures(sums), *missing]), flush=True)
    return int(any(one.failed for one in sums.values()) or bool(missing) or not records)


if __name__ == "__main__":
    sys.exit(main())
