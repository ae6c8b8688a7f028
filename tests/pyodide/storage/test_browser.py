"""IndexedDB storage and fetch transport, in Pyodide in a worker in Chromium and Firefox, under the page's CSP.

What asks for `tab` or `new_tab` runs in both; the rest needs Chromium's DevTools.
"""

from __future__ import annotations

import io
import os
import shutil
import socket as sockets
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Error, Page, Playwright, sync_playwright
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from coterie.ports import TABLES
from tests.contract import storage_contract, transport_contract
from tests.contract.odd_service import make_app
from tests.support import firefox

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "connect-src 'self' http://localhost:* ws://localhost:*; base-uri 'none'; form-action 'none'"
)
SOURCES = (
    *sorted((ROOT / "coterie" / "storage").glob("*.py")),
    *sorted((ROOT / "coterie" / "transport").glob("*.py")),
    ROOT / "coterie" / "errors.py",
    ROOT / "coterie" / "ports.py",
)
"""What is under test, without the package's own `__init__`, which would bring in the whole client."""


def sources() -> bytes:
    """The Python sources as a zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in SOURCES:
            archive.write(path, path.relative_to(ROOT))
        for path in (*(ROOT / "tests" / "contract").glob("*_contract.py"), HERE / "harness.py"):
            archive.write(path, path.name)
    return packed.getvalue()


def files() -> list[Route]:
    """Pyodide, the helper, the harness."""

    def serve(folder: Path) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            path = folder / request.path_params["name"]
            return FileResponse(path, headers={"content-security-policy": CSP})

        return answer

    def zipped(_: Request) -> Response:
        return Response(sources(), media_type="application/zip")

    return [
        Route("/sources.zip", zipped),
        Route("/pyodide/{name}", serve(ROOT / "node_modules" / "pyodide")),
        Route("/harness/{name}", serve(HERE)),
        Route("/vendor/{name}", serve(ROOT / "web" / "vendor")),
        Route("/{name}", serve(ROOT / "web")),
    ]


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """The odd service of the transports' contract, with the harness's files beside it."""
    config = uvicorn.Config(make_app(files()), log_level="error", ws="websockets-sansio", lifespan="off")
    server = uvicorn.Server(config)
    with sockets.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://localhost:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def driver() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


def chromium() -> str:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "no Chromium: set CHROMIUM, or install the Debian package chromium"
    return found


@pytest.fixture(scope="module")
def browser(driver: Playwright) -> Iterator[Browser]:
    running = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
    yield running
    running.close()


class Tab(Protocol):
    """What the tests need of a page, in either browser."""

    def evaluate(self, expression: str, arg: Any = None, /) -> Any: ...


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def new_tab(
    request: pytest.FixtureRequest, origin: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Tab]]:
    """Opens a page in the browser whose turn it is; all of its pages share one storage."""
    if request.param == "chromium":
        context = request.getfixturevalue("browser").new_context()
        yield lambda: open_page(context, origin)
        return
    program = firefox.executable()
    if not program:
        pytest.skip("no Firefox: install the Debian package firefox-esr, or set FIREFOX to its path")
    with firefox.running(program, tmp_path_factory.mktemp("firefox")) as running:

        def opened() -> Tab:
            empty = running.new_tab()
            empty.goto(f"{origin}/harness/harness.html")
            return empty

        yield opened


@pytest.fixture(scope="module")
def tab(new_tab: Callable[[], Tab]) -> Tab:
    """A page with Pyodide in its worker; one for all cases, each in a database of its own."""
    return new_tab()


def open_page(context: BrowserContext, origin: str) -> Page:
    opened = context.new_page()
    opened.goto(f"{origin}/harness/harness.html")
    return opened


def call(tab: Tab, name: str, *args: Any) -> Any:
    """A function of harness.py; its exceptions come back with their traceback."""
    return tab.evaluate("([name, ...args]) => globalThis.call(name, ...args)", [name, *args])


def upgrades(tab: Tab, name: str, *args: Any) -> Any:
    """A function of upgrades.js."""
    return tab.evaluate("([name, ...args]) => globalThis.upgrades[name](...args)", [name, *args])


# ------------------------------------------------------------------------------------------ the contracts


@pytest.mark.parametrize("name", sorted(storage_contract.CASES | storage_contract.LASTING))
def test_storage_contract(name: str, tab: Tab) -> None:
    call(tab, "storage", name, f"contract-{name}")


@pytest.mark.parametrize("name", sorted(transport_contract.CASES))
def test_transport_contract(name: str, tab: Tab, origin: str) -> None:
    call(tab, "transport", name, origin)


def test_a_case_that_fails_is_seen(tab: Tab) -> None:
    with pytest.raises((Error, firefox.ScriptFailed), match="expected StorageError"):
        call(tab, "expects", "fine", "storage_denied")


# ------------------------------------------------------------------------------------------ storage


def test_the_newest_layout_has_every_table(tab: Tab) -> None:
    assert sorted(upgrades(tab, "layout", "layout")) == sorted([*TABLES, "keys", "writer"])


def test_every_earlier_layout_is_brought_up(tab: Tab) -> None:
    for version in range(tab.evaluate("() => globalThis.upgrades.versions") + 1):
        upgrades(tab, "brings_up", version)


def test_an_upgrade_that_breaks_off_leaves_the_earlier_layout(tab: Tab) -> None:
    for version in range(tab.evaluate("() => globalThis.upgrades.versions") + 1):
        upgrades(tab, "half_done", version)


@pytest.mark.parametrize("case", ["newer", "makes_room", "blocked"])
def test_other_versions_in_other_tabs(case: str, tab: Tab) -> None:
    upgrades(tab, case)


@pytest.mark.parametrize(
    "case",
    [
        "rows_are_bound",
        "plain_is_encrypted",
        "renewed_keys_end_the_old",
        "renewed_by_the_clock",
        "renewed_with_a_file_that_was_there",
        "keys_of_before",
        "locked_without_files",
        "a_lock_with_a_seed_left",
        "a_seed_left_is_ended_while_locked",
        "woken_in_its_start",
        "changed_twice_at_once",
        "opened_on_a_full_disk",
        "locked",
        "lost_key",
        "cleared",
    ],
)
def test_encryption_at_rest(case: str, tab: Tab) -> None:
    call(tab, case)


def test_a_second_writer_is_noticed_before_it_does_harm(tab: Tab) -> None:
    call(tab, "two_writers", "two-writers")


@pytest.mark.parametrize("number", range(5))
def test_two_writers_never_both_write(number: int, tab: Tab) -> None:
    call(tab, "racing_writers", f"racing-{number}")


def test_a_row_that_indexeddb_refuses_undoes_those_before_it(tab: Tab) -> None:
    call(tab, "broken_in_the_middle", "broken")


def test_a_deleted_database_is_noticed(tab: Tab) -> None:
    call(tab, "keep", "deleted")
    tab.evaluate(
        """() => new Promise((resolve, reject) => {
             const request = indexedDB.deleteDatabase("deleted");
             request.onsuccess = resolve;
             request.onerror = reject;
           })"""
    )
    call(tab, "find_lost", "deleted", "storage_gone")


def test_cleared_site_data_is_noticed(browser: Browser, origin: str) -> None:
    context = browser.new_context()
    page = open_page(context, origin)
    call(page, "keep", "cleared")
    devtools = context.new_cdp_session(page)
    devtools.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "indexeddb"})
    call(page, "find_lost", "cleared", "storage_gone")
    context.close()


def test_no_space_left(browser: Browser, origin: str) -> None:
    context = browser.new_context()
    page = open_page(context, origin)
    devtools = context.new_cdp_session(page)
    devtools.send("Storage.overrideQuotaForOrigin", {"origin": origin, "quotaSize": 12 << 20})
    assert call(page, "fill_up", "full") > 0
    # More room from outside: at its limit Chromium may refuse even the transaction that deletes.
    devtools.send("Storage.overrideQuotaForOrigin", {"origin": origin, "quotaSize": 64 << 20})
    call(page, "write", "full", "a", "room again")
    assert "a=room again" in call(page, "read", "full")
    context.close()


def test_two_tabs_of_one_browser(new_tab: Callable[[], Tab]) -> None:
    first, second = new_tab(), new_tab()
    call(first, "keep", "tabs")
    call(second, "write", "tabs", "a", "from the second tab")
    call(first, "find_lost_writer", "tabs")
    assert call(second, "read", "tabs") == "a=from the second tab"


def test_a_browser_that_dies_in_an_upgrade_and_in_a_commit(
    driver: Playwright, origin: str, tmp_path: Path
) -> None:
    """The whole browser process is crashed; the same profile is opened again."""
    profile = tmp_path / "profile"
    first = driver.chromium.launch_persistent_context(
        profile, executable_path=chromium(), args=["--no-sandbox"]
    )
    page = open_page(first, origin)
    call(page, "write", "survives", "a", "committed")
    upgrades(page, "never_ends")
    with pytest.raises(Error):
        first.new_cdp_session(page).send("Browser.crash")
    again = driver.chromium.launch_persistent_context(
        profile, executable_path=chromium(), args=["--no-sandbox"]
    )
    page = open_page(again, origin)
    assert call(page, "read", "survives") == "a=committed"
    upgrades(page, "after_the_kill")
    again.close()


# ------------------------------------------------------------------------------------------ transport


def test_wrong_addresses_are_refused(tab: Tab) -> None:
    call(tab, "wrong_addresses")


def test_a_service_that_is_down(tab: Tab) -> None:
    with sockets.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    call(tab, "down", f"http://localhost:{port}")
