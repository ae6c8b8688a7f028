"""Several tabs of one browser against the real service: a share of `make tabs`, and a tab that freezes."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.support.deployments import temporary_folder
from tests.tabs.browser import Tabs, all_lines
from tests.tabs.chromium import started
from tests.tabs.talk import KINDS, Talk

SEED = int(os.environ.get("SEED") or secrets.randbits(32))
FROZEN_MS = 12_000
"""Longer than another tab waits for a sign of life."""
FREEZE = "(ms) => { setTimeout((end) => { while (Date.now() < end); }, 0, Date.now() + ms); }"


@pytest.fixture
async def running() -> AsyncIterator[tuple[Browser, str, Path]]:
    """A browser, the service's address, a folder."""
    with temporary_folder() as folder:
        async with started(folder) as (browser, origin):
            yield browser, origin, folder


async def test_tabs_are_closed_and_killed_in_the_middle_of_sending(
    running: tuple[Browser, str, Path],
) -> None:
    print(f"SEED={SEED}")  # noqa: T201 - pytest shows it with a failure
    outcome = await Talk(3, 100, len(KINDS), SEED).run(*running)
    assert outcome.blows.total() == len(KINDS)
    assert outcome.takeovers


async def test_a_frozen_owner_is_given_up_and_writes_nothing_when_it_wakes(
    running: tuple[Browser, str, Path],
) -> None:
    tabs = await Tabs.of(running[0], running[1])
    first = await tabs.open()
    await tabs.name(first, "Ann")
    group_id = (await first.ask("create_group", name="Friends"))["group_id"]
    second = await tabs.open()
    assert await first.owns()
    frozen, other = first.page.workers[0], first.page
    await frozen.evaluate(FREEZE, FROZEN_MS)
    waking = asyncio.ensure_future(other.wait_for_event("worker"))  # in the place of the one that was frozen
    sent = [second.ask("send_text", group_id=group_id, text=text) for text in ("one", "two", "three")]
    lines = [line["text"] for line in await asyncio.gather(*sent)]
    assert await second.owns()
    await waking
    assert not await first.owns()
    assert await first.ask("send_text", group_id=group_id, text="four")
    for tab in (first, second):
        assert await all_lines(tab.ask, group_id) == [*lines, "four"] == ["one", "two", "three", "four"]
    await tabs.close()
    assert tabs.complaints == []
