"""A person at a browser: what they do and what they see, by the names on the page."""

from __future__ import annotations

import json
import re
import time

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Route, expect

from coterie.core.packages import FULL
from coterie.core.records import Group
from tests.support import at_rest

SOON_MS = 60_000
"""How long anything is waited for: most of it takes well under a second on an idle machine, a leaf's renewal twenty."""
expect.set_options(timeout=SOON_MS)
RENEWED = 2
"""The epoch in which the leaf of the first who joined is renewed."""
NOT_OURS = re.compile(r"Failed to load resource|ERR_|WebSocket connection to|net::")
"""What Chromium itself writes to the console when the service is away."""


POSTED = """async (packages) => {
  const opened = indexedDB.open("coterie");
  const db = await new Promise((done) => (opened.onsuccess = () => done(opened.result)));
  const count = (table) => {
    const counted = db.transaction(table).objectStore(table).count();
    return new Promise((done) => (counted.onsuccess = () => done(counted.result)));
  };
  while ((await count("packages")) < packages || (await count("outbox")) > 0) {
    await new Promise((done) => setTimeout(done, 100));
  }
  db.close();
}"""


class Person:
    """One profile of a browser, with one page."""

    def __init__(
        self, browser: Browser, origin: str, name: str, *, context: BrowserContext | None = None
    ) -> None:
        self.name = name
        self.origin = origin
        self.context = context or browser.new_context(viewport={"width": 1100, "height": 760})
        self.context.set_default_timeout(SOON_MS)
        self.complaints: list[str] = []
        self.page = self.new_page()

    def new_page(self) -> Page:
        """Another tab of the same profile."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        page.on("console", self._console)
        return page

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not NOT_OURS.search(message.text):
            self.complaints.append(message.text)

    def close(self) -> None:
        self.context.close()

    # -- doing --

    def start(self) -> None:
        """First visit: choose a name."""
        self.page.goto(self.origin)
        self.page.get_by_label("What should others call you?").fill(self.name)
        self.page.get_by_role("button", name="Start", exact=True).click()
        expect(self.page.get_by_role("button", name="New group")).to_be_enabled()

    def create(self, group: str) -> None:
        """A group, opened."""
        self.page.get_by_role("button", name="New group").click()
        self.page.get_by_label("Name of the group").fill(group)
        self.page.get_by_role("button", name="Create", exact=True).click()
        self._is_open(group)

    def invite(self) -> str:
        """Make an invite link for the open group."""
        self.page.get_by_role("button", name="Invite", exact=True).first.click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_role("button", name=re.compile("^Make a")).click()
        field = dialog.get_by_role("textbox", name="Invite link").first
        expect(field).to_have_value(re.compile(r"/\?join=.{22}#1\..{22}$"))
        link = field.input_value()
        self.page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        return link

    def ask(self, link: str) -> None:
        """Open a link and ask to join."""
        self.page.goto(link)
        expect(self.page.get_by_role("heading", name=re.compile("^Join “"))).to_be_visible()
        self.page.get_by_label("Your name in the group").fill(self.name)
        self.page.get_by_role("button", name="Join", exact=True).click()

    def asked(self) -> None:
        """The request is saved: until then a reload shows the link again."""
        expect(self.page.get_by_role("heading", name=re.compile("^Join “"))).to_be_hidden()

    def join(self, link: str) -> None:
        """Open a link, ask, and be let in."""
        self.ask(link)
        expect(self.composer).to_be_visible()

    def can_be_added(self) -> None:
        """Key packages are published a little after one came online, so that nothing waits for them."""
        self.page.evaluate(POSTED, FULL + 1)

    def posted(self) -> None:
        """The service has all that this device had to tell it."""
        self.page.evaluate(POSTED, 0)

    def comes_to_rest(self) -> None:
        """Wait until nothing changes by itself any more in the only group, of two: the newcomer's device renews its
        leaf within seconds, and one's own publishes key packages.
        """
        end = time.monotonic() + SOON_MS / 1000
        while Group.decode(*self.stored("groups")).epoch < RENEWED:
            assert time.monotonic() < end, "the newcomer's leaf was not renewed"
            self.page.wait_for_timeout(50)
        self.can_be_added()

    def say(self, text: str) -> None:
        """Write a line and press Enter."""
        self.composer.fill(text)
        self.composer.press("Enter")

    def open(self, group: str) -> None:
        """Choose a group in the list."""
        self.page.get_by_role("navigation").get_by_role("button", name=group).click()
        self._is_open(group)

    def _is_open(self, group: str) -> None:
        """One can write in it: the composer of another group may have been there before."""
        composer = self.page.get_by_role("textbox", name=f"Message to {group}", exact=True)
        expect(composer).to_be_visible()

    def reload(self) -> None:
        """Reload the page, and be where one was."""
        self.page.reload()
        expect(self.page.locator("ol.lines")).to_be_visible()

    def remove(self, name: str) -> None:
        """Remove a member of the open group."""
        self.page.get_by_role("button", name="Members and more").click()
        self.page.get_by_role("button", name=f"Remove {name}").click()
        self.page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
        expect(self.page.get_by_role("dialog")).to_be_hidden()

    # -- seeing --

    @property
    def composer(self) -> Locator:
        return self.page.get_by_role("textbox", name=re.compile("^Message to "))

    @property
    def lines(self) -> Locator:
        return self.page.locator("ol.lines")

    def texts(self) -> list[str]:
        """The lines of text in the open group, in order."""
        return self.page.locator("ol.lines .line .text").all_inner_texts()

    def codes(self) -> list[str]:
        """The codes of the notices in the open group, in order."""
        notices = self.page.locator("ol.lines .notice").all()
        return [notice.get_attribute("data-code") or "" for notice in notices]

    def sees(self, *texts: str) -> None:
        """These are the lines of text, all of them, in this order."""
        expect(self.page.locator("ol.lines .line .text")).to_have_text(list(texts))

    def sees_notice(self, code: str) -> None:
        expect(self.page.locator(f"ol.lines .notice[data-code={code}]").first).to_be_visible()

    def all_sent(self) -> None:
        """Nothing waits in the outbox."""
        expect(self.page.locator("ol.lines .mark-pending")).to_have_count(0)

    def connected(self, state: str) -> None:
        expect(self.page.locator(".connection")).to_have_attribute("data-state", state)

    def stored(self, table: str) -> list[bytes]:
        """The values of a table, as they lie in this profile's IndexedDB, decrypted."""
        return list(at_rest.rows(self.page, table).values())


def answer(page: Page, function: str, status: int, code: str) -> None:
    """The service gives this answer to a function, until `page.context.unroute_all`."""
    body = json.dumps({"code": code, "message": "The service says no.", "error": "The service says no."})

    def refuse(route: Route) -> None:
        route.fulfill(status=status, body=body, content_type="application/json")

    page.context.route(f"**/functions/v1/{function}", refuse)
