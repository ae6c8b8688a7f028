"""The service and a Chromium for one run, in the loop of its test."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from tests.e2e.conftest import FLAGS
from tests.support.deployments import UNLIMITED
from tests.support.server import start_service


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[tuple[Browser, str]]:
    """A browser, and the address of the service."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "No Chromium was found: `make setup` installs one, or set CHROMIUM to its path."
    with start_service(folder, **UNLIMITED) as service:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
            yield browser, service.url
            await browser.close()
