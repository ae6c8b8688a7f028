"""Two browsers and the real service on one machine: from the click to the group, from Enter to the other screen.

    python bench/chat/latency.py [joins] [lines]

Everything is persisted on both sides. Times are taken in the pages, which share the machine's clock.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles

from playwright.sync_api import Browser, expect, sync_playwright

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.e2e.conftest import FLAGS  # noqa: E402
from tests.e2e.people import SOON_MS, Person  # noqa: E402
from tests.support.server import start_service  # noqa: E402

CLOCK = "performance.timeOrigin + performance.now()"
WATCH_LINES = f"""() => {{
  window.shown = {{}};
  const look = () => {{
    for (const text of document.querySelectorAll("ol.lines .theirs .text")) window.shown[text.textContent] ??= {CLOCK};
  }};
  new MutationObserver(look).observe(document.body, {{ subtree: true, childList: true, characterData: true }});
}}"""
WATCH_KEYS = f"""() => {{
  window.pressed = {{}};
  document.addEventListener("keydown", (event) => {{
    if (event.key === "Enter") window.pressed[event.target.value] = {CLOCK};
  }}, true);
}}"""
WATCH_JOIN = f"""() => {{
  document.addEventListener("click", () => (window.clicked ??= {CLOCK}), true);
  new MutationObserver(() => {{
    if (document.querySelector(".composer")) window.inside ??= {CLOCK};
  }}).observe(document.body, {{ subtree: true, childList: true }});
}}"""


def joins(browser: Browser, origin: str, link: str, number: int) -> list[float]:
    """Milliseconds from the click on Join to the open group, each in a fresh profile."""
    times = []
    for _ in range(number):
        person = Person(browser, origin, "Joiner")
        person.page.goto(link)
        expect(person.page.get_by_role("heading", name="Join “")).to_be_visible(timeout=SOON_MS)
        person.page.get_by_label("Your name in the group").fill(person.name)
        person.page.evaluate(WATCH_JOIN)
        person.page.get_by_role("button", name="Join", exact=True).click()
        expect(person.composer).to_be_visible(timeout=SOON_MS)
        times.append(person.page.evaluate("window.inside - window.clicked"))
        person.close()
    return times


def lines(alice: Person, bob: Person, number: int) -> list[float]:
    """Milliseconds from Enter in one browser to the line on the other's page, one after the other."""
    alice.page.evaluate(WATCH_KEYS)
    bob.page.evaluate(WATCH_LINES)
    times = []
    for index in range(number):
        text = f"line {index}"
        alice.say(text)
        shown = bob.page.wait_for_function("text => window.shown[text]", arg=text, polling=5).json_value()
        times.append(shown - alice.page.evaluate("text => window.pressed[text]", text))
    return times


def main() -> None:
    wanted = [int(word) for word in sys.argv[1:]] + [7, 100][len(sys.argv) - 1 :]
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with (
        tempfile.TemporaryDirectory() as folder,
        start_service(Path(folder)) as service,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(executable_path=executable, args=FLAGS)
        alice, bob = Person(browser, service.url, "Alice"), Person(browser, service.url, "Bob")
        alice.start()
        alice.create("Bench")
        link = alice.invite()
        bob.join(link)
        sent = lines(alice, bob, wanted[1])
        joined = joins(browser, service.url, link, wanted[0])
        browser.close()
    print(f"Enter to shown in the other browser, {len(sent)} lines: p50 {median(sent):.0f} ms,", end=" ")
    print(f"p95 {quantiles(sent, n=20)[18]:.0f} ms (hold 60 and 150)")
    print(f"click on Join to in the group, {len(joined)} joins: median {median(joined):.0f} ms,", end=" ")
    print(f"{min(joined):.0f} to {max(joined):.0f} (hold 1,000)")


if __name__ == "__main__":
    main()
