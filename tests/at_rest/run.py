"""`make at-rest`: two clients talk, natively and in Chromium, and all that their profiles hold is searched.

    python tests/at_rest/run.py        SEED and LINES by the environment

Each storage is searched with secrets planted first: a search that does not find those shows nothing.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.at_rest import chromium, native
from tests.e2e.conftest import FLAGS
from tests.e2e.people import Person
from tests.support.search import Found
from tests.support.server import start_service


def report(what: str, found: Found) -> Found:
    """Print what was found."""
    print(f"{what}:\n{found}", flush=True)
    return found


async def natively(folder: Path, seed: int, lines: int) -> tuple[int, bool]:
    """What is found natively, and whether the planted secrets were."""
    run = await native.converse(lines)
    used = next(value for value in run.history() if value not in run.secrets() and len(value) > 1000)
    plain = await native.write(run, folder / "plain", encrypted=False)
    off = report("native, encryption off", native.search(run, plain, seed, encrypted=False))
    kept = await native.write(run, folder / "kept", planted=used)
    planted = report("native, a consumed key kept", native.search(run, kept, seed))
    works = off.counts["plaintext", "state.sqlite"] > lines and planted.total > 0
    total = 0
    for way in ("passphrase", "environment"):
        profile = await native.write(run, folder / way, way=way)
        total += report(f"native, {way}", native.search(run, profile, seed)).total
    return total, works


def in_chromium(folder: Path, seed: int, lines: int) -> tuple[int, int, bool]:
    """Used keys that can be opened until the keys are renewed, all else that is found, and whether the planted was."""
    place = folder / "profile"
    (folder / "service").mkdir()
    with start_service(folder / "service") as service, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium.executable(), args=FLAGS)
        with chromium.profile(play.chromium, place, service.url) as ann:
            watched = chromium.converse(ann, Person(browser, service.url, native.NAMES[1]), lines)
        before = report("Chromium, unlocked", chromium.search(place, watched, seed))
        with chromium.profile(play.chromium, place, service.url) as ann:
            chromium.lock(ann, watched)
        after = report("Chromium, after its keys were renewed", chromium.search(place, watched, seed))
        with chromium.profile(play.chromium, place, service.url) as ann:
            chromium.plant(ann, watched)
        with chromium.profile(play.chromium, place, service.url) as ann:
            chromium.compact(ann)
        planted = report("Chromium, secrets planted", chromium.search(place, watched, seed))
        browser.close()
    works = set(planted.counts) >= chromium.PLANTED
    used = before.counts.pop((chromium.CONSUMED, chromium.OPENED), 0)
    return used, beyond_the_seed(before) + beyond_the_seed(after), works


def beyond_the_seed(found: Found) -> int:
    """How much was found that is not the present seed, once in its place."""
    return found.total - min(found.counts[chromium.SEED_FILE], 1)


def main() -> int:
    """Both, and one line of figures; 1 when something is found that should not be, or the planted is not."""
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))  # noqa: S311  which bytes are looked for
    lines = int(os.environ.get("LINES") or 200)
    print(f"SEED={seed} LINES={lines}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        found, works = asyncio.run(natively(Path(scratch), seed, lines))
        used, more, works_too = in_chromium(Path(scratch), seed, min(lines, 40))
    print(
        f"at rest: native {found} found, Chromium {more} (and {used} pieces of used keys until they are renewed); "
        f"planted secrets {'found' if works and works_too else 'NOT FOUND'}; SEED={seed}"
    )
    return int(bool(found or more or not (works and works_too)))


if __name__ == "__main__":
    sys.exit(main())
