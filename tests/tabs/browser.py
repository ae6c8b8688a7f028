"""One person's browser with several tabs: opened, asked, closed and killed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, CDPSession, ConsoleMessage, Page, Route, expect

from tests.e2e.people import NOT_OURS, SOON_MS

ASKER = Path(__file__).with_name("asker.js")
OWNS = """async () => {
  const name = `probe ${crypto.randomUUID()}`;
  return navigator.locks.request(name, async () => {
    const { held } = await navigator.locks.query();
    const mine = held.find((lock) => lock.name === name).clientId;
    return held.some((lock) => lock.name === "coterie-state" && lock.clientId === mine);
  });
}"""
"""Asked inside a worker: a lock of its own tells under which name it holds locks."""
NEXT = """async () => {
  for (;;) {
    const { held } = await navigator.locks.query();
    const who = (name) => held.find((lock) => lock.name === name)?.clientId;
    const [owner, next] = [who("coterie-state"), who("coterie-next")];
    if (owner && next && owner !== next) return;
    await new Promise((go) => setTimeout(go, 20));
  }
}"""
"""Asked in a page. Locks tell nobody when they change hands."""
SOON = SOON_MS / 1000


class Tab:
    """One tab, and what its asker told."""

    def __init__(self, page: Page, devtools: CDPSession, heard: Callable[["Tab", str, str], None]) -> None:
        self.page = page
        self._devtools = devtools
        self.open = True
        self.starts: list[float] = []
        """When an owner answered this tab: a first one, then each that took over; milliseconds since 1970."""
        self._heard = heard
        self._started = asyncio.Condition()

    async def told(self, what: str, value: str, at: float) -> None:
        """The asker says what happened."""
        if what == "start":
            async with self._started:
                self.starts.append(at)
                self._started.notify_all()
        else:
            self._heard(self, what, value)

    async def ask(self, op: str, **data: Any) -> Any:
        """An operation of docs/bridge.md."""
        return await self.page.evaluate("([op, data]) => ask(op, data)", [op, data])

    async def owns(self) -> bool:
        """Whether this tab's worker owns the state."""
        with contextlib.suppress(Exception):  # a tab that is being replaced has no worker for a moment
            return any([await worker.evaluate(OWNS) for worker in self.page.workers])
        return False

    async def started_after(self, at: float) -> float:
        """When an owner next answered this tab after a moment."""
        async with self._started:
            await asyncio.wait_for(self._started.wait_for(lambda: any(one > at for one in self.starts)), SOON)
        return next(one for one in self.starts if one > at)

    async def followed(self) -> None:
        """Until one worker owns the state and another one stands by: the owner has let go of that place."""
        await asyncio.wait_for(self.page.evaluate(NEXT), SOON)

    async def close(self) -> None:
        """As a user closes it."""
        self.open = False
        await self.page.close()

    async def kill(self) -> None:
        """End its renderer process, worker and all, at whatever it is doing."""
        self.open = False
        async with self.page.expect_event("crash"):
            killing = asyncio.ensure_future(self._devtools.send("Page.crash"))
        killing.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await killing
        await self.page.close()


class Tabs:
    """The tabs of one profile. At the end, none of their pages has complained."""

    def __init__(self, context: BrowserContext, origin: str, heard: Callable[[Tab, str, str], None]) -> None:
        self._context = context
        self._origin = origin
        self._heard = heard
        self.complaints: list[str] = []

    @classmethod
    async def of(
        cls, browser: Browser, origin: str, heard: Callable[[Tab, str, str], None] = lambda *_: None
    ) -> "Tabs":
        """A new profile."""
        context = await browser.new_context()
        await context.add_init_script(path=ASKER)
        return cls(context, origin, heard)

    async def answer_when(self, path: str, event: asyncio.Event) -> None:
        """Answer requests for this path when the event is set, and not before."""

        async def answer(route: Route) -> None:
            await event.wait()
            await route.fulfill(body="")

        await self._context.route(f"**{path}", answer)

    async def open(self) -> Tab:
        """A new tab, once it shows that it can be used."""
        page = await self._context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        page.on("console", self._console)
        tab = Tab(page, await self._context.new_cdp_session(page), self._heard)
        await page.expose_function("told", tab.told)
        await page.goto(self._origin)
        await page.wait_for_function("document.querySelector('form, nav') !== null")
        await tab.ask("people")
        return tab

    async def name(self, tab: Tab, name: str) -> None:
        """The first visit of this profile."""
        await tab.page.get_by_label("What should others call you?").fill(name)
        await tab.page.get_by_role("button", name="Start", exact=True).click()
        await expect(tab.page.get_by_role("button", name="New group")).to_be_enabled(timeout=SOON_MS)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not NOT_OURS.search(message.text):
            self.complaints.append(message.text)

    async def close(self) -> None:
        """The whole profile."""
        await self._context.close()


async def all_lines(ask: Callable[..., Awaitable[Any]], group_id: str) -> list[str]:
    """Every line of text of a conversation, as a tab is shown it."""
    texts: list[str] = []
    more: dict[str, Any] = {}
    while True:
        page = await ask("open_group", group_id=group_id, limit=200, **more)
        texts = [line["text"] for line in page["lines"] if line["kind"] == "text"] + texts
        if not page["more"]:
            return texts
        more = {"before": page["lines"][0]["key"]}
