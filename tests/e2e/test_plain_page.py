"""The client in anybody's Pyodide page: installed by micropip from our own origin, and from nowhere else."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Route

from tests.e2e.conftest import Meet
from tests.e2e.people import SOON_MS
from tests.support.server import ROOT, Service

PLAIN = Path(__file__).parent / "plain"
PYODIDE = ROOT / "node_modules" / "pyodide"


def _file(folder: Path) -> object:
    """Answers with the file of that name, as the page's own host would."""

    def answer(route: Route) -> None:
        name = urlsplit(route.request.url).path.rpartition("/")[2] or "index.html"
        kind = {".mjs": "text/javascript", ".wasm": "application/wasm"}.get(Path(name).suffix)
        route.fulfill(path=folder / name, content_type=kind or mimetypes.guess_type(name)[0] or "text/plain")

    return answer


def test_a_conversation_with_the_client_installed_by_micropip(
    browser: Browser, service: Service, meet: Meet
) -> None:
    alice = meet("Alice")
    alice.start()
    alice.create("Friends")
    link = alice.invite()
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route(f"{service.url}/pyodide/*", _file(PYODIDE))  # type: ignore[arg-type]
    page.route(f"{service.url}/plain/*", _file(PLAIN))  # type: ignore[arg-type]
    page.goto(f"{service.url}/plain/")
    page.wait_for_function("globalThis.person", timeout=SOON_MS)
    page.evaluate("link => person.join(link, 'Paula')", link)
    alice.sees_notice("joined")
    alice.say("hello page")
    page.evaluate("person.hears('hello page')")
    page.evaluate("person.say('hello Alice')")
    alice.sees("hello page", "hello Alice")
    page.context.close()
    own = {url for url in asked if url.startswith((service.url, "ws", "blob:", "data:"))}
    assert set(asked) == own, "something was fetched from elsewhere"
