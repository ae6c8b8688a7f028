"""Firefox over WebDriver BiDi (w3c.github.io/webdriver-bidi): Playwright drives only a Firefox of its own making."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

ANSWER_SECONDS = 90
"""How long one command may take: longer than the page itself waits for a case."""
LISTENING = "WebDriver BiDi listening on "
"""What Firefox prints, with the address, once it can be driven."""
SETTINGS = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
}
"""Everybody but localhost is behind a proxy that is not there: Firefox's own services are not asked for anything."""


class ScriptFailed(Exception):
    """An exception of the page, with its message."""


def executable() -> str | None:
    """Path of the Firefox to drive: FIREFOX, or the first that is found."""
    return os.environ.get("FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")


class FirefoxTab:
    """A tab, with as much of Playwright's `Page` as the tests use."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self._firefox = firefox
        self._context = context

    def goto(self, url: str) -> None:
        """Load it with all that it asks for."""
        self._firefox.command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, function: str, argument: object = None) -> Any:
        """What a JavaScript function makes of a JSON value, awaited. Raises `ScriptFailed`."""
        answer = self._firefox.command(
            "script.callFunction",
            functionDeclaration=f"async (text) => JSON.stringify((await ({function})(JSON.parse(text))) ?? null)",
            arguments=[{"type": "string", "value": json.dumps(argument)}],
            target={"context": self._context},
            awaitPromise=True,
        )
        if answer["type"] == "exception":
            raise ScriptFailed(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])


class Firefox:
    """A running Firefox with one WebDriver session."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last = 0
        self.command("session.new", capabilities={})

    def command(self, method: str, **parameters: object) -> Any:
        """Call a method and wait for its result. No events come in between: none were asked for."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        answer: dict[str, Any] = {"id": None}
        while answer["id"] != self._last:  # what came too late for the test that asked is let go
            answer = json.loads(self._socket.recv(timeout=ANSWER_SECONDS))
        assert answer["type"] == "success", answer
        return answer["result"]

    def new_tab(self) -> FirefoxTab:
        """An empty tab; all of them share one storage."""
        return FirefoxTab(self, self.command("browsingContext.create", type="tab")["context"])


@contextmanager
def running(program: str, profile: Path) -> Iterator[Firefox]:
    """Firefox without a window in this profile (a folder that exists), ended at the end."""
    settings = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in SETTINGS.items()]
    (profile / "user.js").write_text("".join(settings))
    words = [program, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    home = {**os.environ, "HOME": str(profile)}  # a Firefox of root refuses another user's
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=home) as process:
        assert process.stderr
        try:
            address = _address(process)
            rest = threading.Thread(target=process.stderr.read)  # a full pipe would stop it
            rest.start()
            with connect(f"{address}/session", proxy=None, max_size=None) as socket:
                firefox = Firefox(socket)
                yield firefox
                firefox.command("browser.close")
            process.wait(ANSWER_SECONDS)
            rest.join()
        finally:
            process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    printed = []
    for line in process.stderr:
        if line.startswith(LISTENING):
            return line.removeprefix(LISTENING).strip()
        printed.append(line)
    raise AssertionError("Firefox ended before it could be driven:\n" + "".join(printed))
