"""Takes the README's pictures: two browsers in one conversation. `make pictures`; look at them before committing.

Starts a service of its own; needs what `make test` sets up.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.e2e.conftest import FLAGS  # noqa: E402
from tests.e2e.people import Person  # noqa: E402
from tests.support.server import start_service  # noqa: E402

IMAGES = ROOT / "docs" / "images"
TALK = (
    ("Ann", "Hi Ben! This came by a link, no account needed?"),
    ("Ben", "No account. I opened it and was in."),
    ("Ann", "And the server?"),
    ("Ben", "It orders the messages and passes them on. It can't read a word of this."),
    ("Ann", "Good. Saturday at eight, then?"),
    ("Ben", "See you there 🙂"),
)


def talk(ann: Person, ben: Person) -> None:
    """A conversation, each line after the one before it has come through."""
    people = {"Ann": ann, "Ben": ben}
    for number, (name, text) in enumerate(TALK):
        people[name].say(text)
        for person in people.values():
            person.sees(*(said for _, said in TALK[: number + 1]))
    for person in people.values():
        person.all_sent()


def side_by_side(page: Page, shots: list[bytes], path: Path) -> None:
    """One picture of several."""
    images = "".join(f'<img src="data:image/png;base64,{base64.b64encode(shot).decode()}">' for shot in shots)
    style = "body{margin:0;padding:24px;display:flex;gap:24px;background:#8a94a6}img{border-radius:10px}"
    page.set_viewport_size({"width": 24 * 3 + 2 * 620, "height": 24 * 2 + 640})
    page.set_content(f"<style>{style}</style>{images}")
    page.screenshot(path=path)


def person(browser: Browser, origin: str, name: str, scheme: str) -> Person:
    """A person whose browser has a window of its own, light or dark."""
    context = browser.new_context(viewport={"width": 620, "height": 640}, color_scheme=scheme)  # type: ignore[arg-type]
    return Person(browser, origin, name, context=context)


def main() -> None:
    """Take them."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with (
        tempfile.TemporaryDirectory() as folder,
        start_service(Path(folder)) as service,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(executable_path=executable, args=FLAGS)
        ann = person(browser, service.url, "Ann", "light")
        ben = person(browser, service.url, "Ben", "dark")
        ann.start()
        ann.create("Saturday")
        ben.join(ann.invite())
        talk(ann, ben)
        shots = [ann.page.screenshot(), ben.page.screenshot()]
        side_by_side(browser.new_page(), shots, IMAGES / "two-browsers.png")
        browser.close()


if __name__ == "__main__":
    main()
