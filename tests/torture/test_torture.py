"""A share of `make torture`, and the proof that the harness finds what it looks for."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import coterie_mls
from tests.support.server import ROOT
from tests.torture import results, witness
from tests.torture.stage import Fault
from tests.torture.theatre import Billing, House, house, worker

SEED = int(os.environ.get("TORTURE_SEED") or secrets.randbits(32))
FAULTS = {
    "act before saving": (
        ("turns.py", "await self._save(step)", "_one_turn", "go"),
        "state_behind|reused|forged_own",
    ),
    "lose the last save": (
        ("transport/http.py", "await self._http.request(", "request", "stop"),
        "state_behind|reused|lost|on the screen",
    ),
    "save the cursor apart": (
        ("turns.py", "await self._store.commit(step.changes)", "_save", "go"),
        "lines|lost|causes|stuck",
    ),
    "drop the outbox": (
        ("turns.py", "await self._store.commit(step.changes)", "_save", "go"),
        "lines|lost|forged_own",
    ),
}
"""What is wrong with the client, where it is killed, and how that shows.

It notices by itself a state older than the service's record.
"""


@pytest.fixture(scope="module")
def where(make_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service that records."""
    with house(tmp_path_factory.mktemp("torture"), make_database()) as one:
        yield one


def test_a_killed_client_loses_doubles_and_reuses_nothing(where: House) -> None:
    print(f"TORTURE_SEED={SEED}")  # noqa: T201 - pytest shows it with a failure
    with worker(where) as give:
        record = give(Billing(seed=SEED, number=0, points=40))
    assert not record["failed"], record
    assert sum(record["points"].values()) == 40
    assert record["points"]["await"]
    assert record["points"]["random"]
    assert record["opened"] >= record["lines"] > 0


def test_a_killed_browser_loses_doubles_and_reuses_nothing(where: House) -> None:
    print(f"TORTURE_SEED={SEED}")  # noqa: T201
    with worker(where) as give:
        record = give(Billing(kind="browser", seed=SEED, number=0, points=3, short=True))
    assert not record["failed"], record
    assert sum(record["points"].values()) == 3
    assert record["lines"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_client_that_breaks_the_order_is_found_out(where: House, fault: str) -> None:
    (file, code, function, phase), found = FAULTS[fault]
    lines = (ROOT / "coterie" / file).read_text().splitlines()
    number = next(number for number, line in enumerate(lines, 1) if code in line)
    there = {"place": f"{file}:{number} {function}", "phase": phase}
    told = [{"after": 0.05}] * 3 + [{**there, "hit": hit} for hit in range(1, 13)]
    with worker(where) as give:
        patience = 15.0 if "stuck" in found else 60.0
        options: dict[str, Any] = {"told": told, "fault": fault, "short": True, "patience": patience}
        record = give(Billing(seed=7, number=0, points=len(told), **options))
    assert re.search(found, record["failed"]), record["failed"]
    assert record["schedule"], "what would repeat it"


def test_results_are_summed_up_each_play_once(tmp_path: Path) -> None:
    counts = dict.fromkeys(results.COUNTS, 5) | {"seconds": 1.0, "acts": {"talk": 3}}
    counts["reached"] = ["a.py:1 f stop", "a.py:1 f go"]
    record = {"kind": "native", "seed": 1, "failed": "", "points": {"await": 2, "random": 1}, "revision": "r"}
    for number, file in enumerate(("0-2.jsonl", "1-2.jsonl")):
        for _ in range(2):  # a run that was resumed
            results.keep(
                tmp_path / file, {**record, **counts, "number": number, "places": [["a.py:1 f stop", 2]]}
            )
    sums = results.summed(results.read(*sorted(tmp_path.glob("*.jsonl"))))
    assert results.figures(sums).startswith("torture: 6 native kill points in 2 plays; 10 lines")
    report = results.report(sums)
    assert "| kill points | 6 |" in report
    assert "at 1 of 2 places" in report
    assert "never killed at: a.py:1 f go." in report
    assert results.missing(sums, {"native": 6}) == []
    assert results.missing(sums, {"native": 7}) == ["1 of 7 native kill points are missing"]
    assert results.missing(sums, {"browser": 3}) == ["3 of 3 browser kill points are missing"]
    results.keep(
        tmp_path / "0-2.jsonl", {**record, **counts, "number": 2, "places": [], "failed": "lost: a line"}
    )
    sums = results.summed(results.read(*sorted(tmp_path.glob("*.jsonl"))))
    assert "1 plays failed" in results.figures(sums)
    assert "lost: a line" in results.report(sums)


def test_what_was_not_played_is_no_success(tmp_path: Path) -> None:
    for given in ({"POINTS": "0", "BROWSER_POINTS": "0"}, {"MERGE": str(tmp_path / "none.jsonl")}):
        asked = [sys.executable, "-m", "tests.torture.run"]
        ran = subprocess.run(
            asked, cwd=ROOT, env={**os.environ, **given}, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 1, ran.stdout
    assert "no such file" in ran.stderr


def test_the_witness_sees_a_message_key_that_served_twice() -> None:
    alice, bob = coterie_mls.Backend.create("alice"), coterie_mls.Backend.create("bob")
    alice.bind_device("phone")
    bob.bind_device("laptop")
    group = alice.create_group(b"")
    added = alice.commit(group, add=[bob.create_key_package().bytes])
    alice.merge_pending(group)
    bob.join(added.welcome or b"")
    rows = {key: value for key, value in bob.take_changes().items() if value is not None}
    saved = {key: value for key, value in alice.take_changes().items() if value is not None}
    restored = coterie_mls.Backend.load(saved)
    first, second, same = (
        alice.encrypt(group, b"1"),
        alice.encrypt(group, b"2"),
        restored.encrypt(group, b"3"),
    )
    lost, won = alice.commit(group), restored.commit(group)

    seen = witness.testify(rows, set(), {1: dict.fromkeys([first, second, won.commit])}, [won.commit])
    assert (seen.ciphertexts, seen.opened, seen.commits) == (3, 2, 1)
    with pytest.raises(Fault, match="content type 1, leaf 0, generation 0"):
        witness.testify(rows, set(), {1: dict.fromkeys([first, second, same])}, [])
    with pytest.raises(Fault, match="content type 3, leaf 0, generation 0"):
        witness.testify(rows, set(), {1: dict.fromkeys([lost.commit, won.commit])}, [won.commit])
    with pytest.raises(Fault, match="Stale"):
        witness._open(_opened(rows, group, first), group, same)


def _opened(rows: dict[bytes, bytes], group: bytes, message: bytes) -> coterie_mls.Backend:
    backend = coterie_mls.Backend.load(rows)
    backend.process(group, message)
    return backend
