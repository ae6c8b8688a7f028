"""Several tabs of one browser against the real service: a share of `make tabs`, and a tab that freezes."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.deployments import temporary_folder
from tests.tabs.browser import Tabs, all_lines
from tests.tabs.chromium import started
from tests.tabs.talk import KINDS, Talk

SEED = int(os.environ.get("SEED") or secrets.randbits(32))
FREEZE = """() => void setTimeout(() => {
  const request = new XMLHttpRequest();
  request.open("GET", "/frozen", false);
  request.send();
})"""
"""A request for which a worker stands still until it is answered."""

TAKE = """() => {
  const hear = (control) => self.dispatchEvent(new MessageEvent("message", { data: { control } }));
  const tell = self.postMessage;
  self.postMessage = (said) => {
    if (said.phase !== "prepared") return tell.call(self, said);
    hear("take");
    hear("take");
  };
  hear("prepare");
}"""
"""In a worker: what a page says twice that has heard of no owner for long."""
SAY = "([group_id, text]) => void ask('send_text', { group_id, text, line_id: crypto.randomUUID() })"
"""Without waiting for the answer."""


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[tuple[Browser, str, Path]]:
    """A browser, the service's address, a folder; each test has a profile of its own."""
    with temporary_folder() as folder:
        async with started(folder) as (browser, origin):
            yield browser, origin, folder


async def test_tabs_are_closed_and_killed_in_the_middle_of_sending(
    running: tuple[Browser, str, Path],
) -> None:
    print(f"SEED={SEED}")  # noqa: T201 - pytest shows it with a failure
    outcome = await Talk(3, 60, len(KINDS), SEED).run(*running)
    assert outcome.blows.total() == len(KINDS)
    assert outcome.takeovers


async def test_a_frozen_owner_is_given_up_and_writes_nothing_when_it_wakes(
    running: tuple[Browser, str, Path],
) -> None:
    tabs, wake = await Tabs.of(running[0], running[1]), asyncio.Event()
    await tabs.answer_when("/frozen", wake)
    first = await tabs.open()
    await tabs.name(first, "Ann")
    group_id = (await first.ask("create_group", name="Friends"))["group_id"]
    second = await tabs.open()
    assert await first.owns()
    await first.page.workers[0].evaluate(FREEZE)
    await first.page.evaluate(SAY, [group_id, "frozen"])
    await second.page.evaluate("void (globalThis.lookedAt = true)")
    said = ["one", "two", "three"]
    await asyncio.gather(*(second.ask("send_text", group_id=group_id, text=text) for text in said))
    assert await second.owns()
    async with first.page.expect_event("worker"):  # in the place of the one that was frozen
        wake.set()
    assert not await first.owns()
    await first.ask("send_text", group_id=group_id, text="four")
    for tab in (first, second):
        lines = await all_lines(tab.ask, group_id)
        assert sorted(lines) == sorted([*said, "four", "frozen"])
        assert lines[-1] == "four"
    await tabs.close()
    assert tabs.complaints == []


async def test_a_worker_that_is_told_twice_to_take_the_state_takes_it_once(
    running: tuple[Browser, str, Path],
) -> None:
    tabs = await Tabs.of(running[0], running[1])
    first = await tabs.open()
    await tabs.name(first, "Ann")
    second = await tabs.open()
    await second.followed()
    (worker,) = second.page.workers
    before = time.time() * 1000
    await worker.evaluate(TAKE)
    await second.started_after(before)
    assert await second.owns()
    await second.ask("create_group", name="Friends")
    assert await second.owns()
    assert second.page.workers == [worker], "it has taken the state from itself"
    await tabs.close()
    assert tabs.complaints == []
