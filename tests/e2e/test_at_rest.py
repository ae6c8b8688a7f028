"""The search of a browser's whole profile: what it finds, for how long, and that it finds what was planted."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import BrowserType

from tests.at_rest.chromium import (
    CONSUMED,
    OPENED,
    PLANTED,
    SEED_FILE,
    compact,
    converse,
    lock,
    plant,
    profile,
    search,
)
from tests.e2e.conftest import Meet
from tests.support.server import Service

SEED = 7
LINES = 6


def test_what_a_profile_shows_before_and_after_its_keys_were_renewed(
    browser_type: BrowserType, service: Service, meet: Meet, tmp_path: Path
) -> None:
    folder = tmp_path / "profile"
    with profile(browser_type, folder, service.url) as ann:
        watched = converse(ann, meet("Bartholomew Zwischen"), LINES)
    before = search(folder, watched, SEED)
    assert set(before.counts) == {SEED_FILE, (CONSUMED, OPENED)}, f"\n{before}"

    with profile(browser_type, folder, service.url) as ann:
        lock(ann, watched)
    after = search(folder, watched, SEED)
    assert after.counts == {SEED_FILE: 1}, f"\n{after}"

    with profile(browser_type, folder, service.url) as ann:
        plant(ann, watched)
    with profile(browser_type, folder, service.url) as ann:
        compact(ann)
    planted = search(folder, watched, SEED)
    assert set(planted.counts) >= PLANTED, f"\n{planted}"
