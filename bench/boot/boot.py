"""From navigation start to the first MLS operation: a line encrypted and saved, in a profile with one group.

    python bench/boot/boot.py [runs]

First visit: a profile with the state of one group and empty caches. Later: the same profile, caches filled (the heap
snapshot among them), a new browser process. Over loopback, in headless Chromium; what counts is an idle machine.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, Playwright, expect, sync_playwright

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.server import Service, start_service  # noqa: E402

HOOK = Path(__file__).with_name("hook.js")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
CACHES = (
    "Default/Cache",
    "Default/Code Cache",
    "Default/GPUCache",
    "Default/Service Worker",  # Cache Storage lies there
    "Default/WebStorage",
    "GrShaderCache",
    "ShaderCache",
)
HOLD = {"first visit": 1200, "later": 700}
"""Milliseconds."""
HOLD_BYTES = 7_500_000
HOLD_GAP = 50
"""Milliseconds."""
PATIENCE_MS = 60_000
KEPT = """async () => {
  const kept = async () => (await (await caches.open("coterie-boot")).keys()).length > 0;
  while (!(await kept())) await new Promise((resolve) => setTimeout(resolve, 100));
}"""


@contextmanager
def profile(playwright: Playwright, folder: Path) -> Iterator[BrowserContext]:
    """A browser process on a profile."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    context = playwright.chromium.launch_persistent_context(str(folder), executable_path=path, args=FLAGS)
    try:
        yield context
    finally:
        context.close()


def make_profile(playwright: Playwright, folder: Path, origin: str) -> None:
    """A profile that has a name and one group."""
    with profile(playwright, folder) as context:
        page = context.pages[0]
        page.goto(origin)
        page.get_by_label("What should others call you?").fill("Bench")
        page.get_by_role("button", name="Start", exact=True).click()
        page.get_by_role("button", name="New group").click(timeout=PATIENCE_MS)
        page.get_by_label("Name of the group").fill("Bench")
        page.get_by_role("button", name="Create", exact=True).click()
        composer = page.get_by_label("Message to")
        expect(composer).to_be_visible(timeout=PATIENCE_MS)
        composer.fill("first")
        composer.press("Enter")
        expect(page.locator(".mark-sent")).to_have_count(1, timeout=PATIENCE_MS)


def visit(playwright: Playwright, folder: Path, origin: str) -> dict[str, Any]:
    """One visit in a new browser process."""
    with profile(playwright, folder) as context:
        page = context.pages[0]
        page.goto("about:blank")
        page.add_init_script(path=HOOK)
        page.goto(origin, wait_until="commit")
        told: dict[str, Any] = page.evaluate("globalThis.benchDone")
        settle(page)
    if not isinstance(told["operation"], int | float):
        raise SystemExit(f"The operation failed: {told['operation']}")
    return told


def settle(page: Page) -> None:
    """The line was sent, so that the next visit finds nothing to do."""
    page.get_by_role("navigation").get_by_role("button", name="Bench").click(timeout=PATIENCE_MS)
    expect(page.locator(".mark-sent").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".mark-pending")).to_have_count(0, timeout=PATIENCE_MS)


def fill_caches(playwright: Playwright, folder: Path, origin: str) -> None:
    """A visit that stays until the page has kept what makes the next one fast (web/snapshot.js)."""
    with profile(playwright, folder) as context:
        page = context.pages[0]
        page.goto(origin)
        page.evaluate(KEPT)


def empty_caches(folder: Path) -> None:
    """What a first visit does not have."""
    for name in CACHES:
        shutil.rmtree(folder / name, ignore_errors=True)


class Counter:
    """A relay before the service that counts what it sends to the browser."""

    def __init__(self, origin: str) -> None:
        self._host, self._port = urlsplit(origin).hostname, urlsplit(origin).port
        self.bytes = 0
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._relay, "localhost", 0), loop)
        self.origin = f"http://localhost:{listening.result().sockets[0].getsockname()[1]}"

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        await asyncio.gather(
            self._copy(reader, up_writer, counted=False), self._copy(up_reader, writer, counted=True)
        )

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        try:
            while data := await reader.read(65536):
                self.bytes += len(data) if counted else 0
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # the browser was closed
        writer.close()


def count_bytes(playwright: Playwright, folder: Path, origin: str) -> int:
    """Bytes from the service to a browser that was never here, until the page can be used."""
    counter = Counter(origin)
    with profile(playwright, folder) as context:
        page = context.pages[0]
        page.goto(counter.origin)
        page.get_by_label("What should others call you?").fill("Bytes")
        page.get_by_role("button", name="Start", exact=True).click()
        expect(page.get_by_role("button", name="New group")).to_be_enabled(timeout=PATIENCE_MS)
    return counter.bytes


def measure(
    playwright: Playwright, service: Service, folder: Path, runs: int
) -> dict[str, list[dict[str, Any]]]:
    """`runs` first visits, each followed by one that only fills the caches, and a later one."""
    base = folder / "profile"
    make_profile(playwright, base, service.url)
    found: dict[str, list[dict[str, Any]]] = {"first visit": [], "later": []}
    for _ in range(runs):
        empty_caches(base)
        found["first visit"].append(visit(playwright, base, service.url))
        fill_caches(playwright, base, service.url)
        found["later"].append(visit(playwright, base, service.url))
    return found


def table(found: dict[str, list[dict[str, Any]]], size: int) -> str:
    """The figures as a Markdown table; times in milliseconds, medians with the range."""
    lines = [
        "| | hold | first paint | client started | first MLS operation | longest main-thread gap |",
        "|---|---|---|---|---|---|",
    ]
    for name, visits in found.items():
        cells = [
            spread(visits, "first_line"),
            spread(visits, "started"),
            spread(visits, "operation"),
            spread(visits, "gap"),
        ]
        lines.append(f"| {name} | ≤ {HOLD[name]} ms, gap ≤ {HOLD_GAP} ms | {' | '.join(cells)} |")
    return "\n".join(
        [*lines, "", f"Over the wire on a first visit: {size / 1e6:.2f} MB (hold ≤ {HOLD_BYTES / 1e6} MB)"]
    )


def spread(visits: list[dict[str, Any]], name: str) -> str:
    """Median and range."""
    values = [visit[name] for visit in visits if visit[name] is not None]
    return f"{median(values):.0f} ({min(values):.0f} to {max(values):.0f})" if values else "-"


def run(runs: int = 5) -> str:
    """The table."""
    with tempfile.TemporaryDirectory(prefix="coterie-bench-") as name, sync_playwright() as playwright:
        folder = Path(name)
        (folder / "service").mkdir()
        with start_service(folder / "service") as service:
            found = measure(playwright, service, folder, runs)
            return table(found, count_bytes(playwright, folder / "bytes", service.url))


if __name__ == "__main__":
    print(run(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
