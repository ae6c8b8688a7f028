"""Where plays take place: a service that records, on a database; and one play, with what came of it as a record."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support.server import ROOT, Service
from tests.support.unlimited import UNLIMITED
from tests.torture.acts import perform, perform_in_browser
from tests.torture.browser import watched_site
from tests.torture.lives import SPEED, Trap
from tests.torture.play import IN_BROWSER, MOMENTS, Plan, Play
from tests.torture.stage import PATIENCE, Fault, Stage

SETTINGS = {
    **UNLIMITED,
    "COTERIE_CLAIM_SECONDS": "0.3",
    "COTERIE_CLAIM_LOCKOUT_SECONDS": "0.1",
    "COTERIE_LOG_LEVEL": "warning",
}
"""A claim whose holder was killed lapses as fast as clocks run here."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a kill, unlike a power cut, takes nothing from the system's cache


@dataclass(frozen=True, slots=True)
class House:
    """Where plays take place."""

    url: str
    database: str
    record: str
    """The file of all ciphertexts."""


@contextmanager
def house(folder: Path, database: str) -> Iterator[House]:
    """A recording service on this database, with a page that is watched."""
    record = folder / "ciphertexts.jsonl"
    record.touch()
    program = ("-m", "tests.torture.recorder", str(record))
    settings = {"DATABASE_URL": database, "COTERIE_SITE": str(watched_site(folder)), **SETTINGS}
    service = Service(folder, settings, program=program)
    try:
        service.start()
        yield House(service.url, database, str(record))
    finally:
        service.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """Which play is given; `told` is the schedule of one that is repeated."""

    seed: int
    number: int
    points: int
    kind: str = "native"
    """Or `browser`: who is killed is in Chromium."""
    fault: str = ""
    short: bool = False
    patience: float = PATIENCE
    told: list[dict[str, Any]] | None = None


@contextmanager
def worker(where: House) -> Iterator[Callable[[Billing], dict[str, Any]]]:
    """A process that gives plays, one after the other; call what you get with each."""
    command = [sys.executable, "-m", "tests.torture.worker", where.url, where.database, where.record]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        asked, answers = process.stdin, process.stdout
        assert asked is not None
        assert answers is not None

        def ask(billing: Billing) -> dict[str, Any]:
            asked.write(json.dumps(asdict(billing)) + "\n")
            asked.flush()
            record: dict[str, Any] = json.loads(answers.readline())
            return record

        yield ask
        asked.close()


def dice(billing: Billing, what: str) -> random.Random:
    """The same throws for the same play."""
    return random.Random(f"{billing.seed}/{billing.number}/{what}")  # noqa: S311 - chance, not secrets


def give(where: House, billing: Billing, census: dict[str, list[int]]) -> dict[str, Any]:
    """One play. The record says `failed` and why, or counts; `schedule` repeats it."""
    began = time.monotonic()
    browser = billing.kind == "browser"
    told = None if billing.told is None else [Trap(**one) for one in billing.told]
    plan = Plan(dice(billing, "plan"), census, told, IN_BROWSER if browser else MOMENTS)
    folder = Path(tempfile.mkdtemp(prefix="coterie-play-", dir=MEMORY if MEMORY.is_dir() else None))
    speed = 1.0 if browser else SPEED
    stage = Stage(where.url, folder, victim="Vera", patience=billing.patience, speed=speed)
    play = Play(
        stage,
        plan,
        dice(billing, "play"),
        record=Path(where.record),
        database=where.database,
        browser=browser,
    )
    record: dict[str, Any] = {
        "kind": billing.kind,
        "seed": billing.seed,
        "number": billing.number,
        "failed": "",
    }
    try:
        if browser:
            perform_in_browser(play, billing.points, short=billing.short)
        else:
            perform(play, billing.points, fault=billing.fault, short=billing.short)
    except Exception as fault:  # noqa: BLE001 - a play that ends by its own defect has shown nothing either
        what = str(fault) if isinstance(fault, Fault) else repr(fault)
        record["failed"] = what + play.suspicion()
        record["at"] = traceback.format_exc(limit=-6)
        record["inside"] = stage.inside()
        record["schedule"] = [asdict(trap) for trap in plan.schedule]
    finally:
        stage.close()
        shutil.rmtree(folder, ignore_errors=browser)  # a browser that was killed may still be writing
    counts = {
        "places": sorted(map(list, play.places.items())),
        "reached": sorted(play.reached),
        "seconds": round(time.monotonic() - began, 1),
    }
    return record | asdict(play.outcome) | counts
