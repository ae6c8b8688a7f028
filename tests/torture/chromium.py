"""Chromium with a profile, spoken to by its DevTools protocol: one page, and the worker in which Python runs."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

FLAGS = (
    "--headless=new", "--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-default-apps", "--disable-crash-reporter", "--remote-debugging-port=0", "--hide-scrollbars",
)  # fmt: skip
LARGEST = 64 * 2**20
START_SECONDS = 45


class Page:
    """The one page of a browser, in the process group of whoever starts it."""

    def __init__(self, on_report: Callable[[dict[str, Any]], None]) -> None:
        """`on_report` gets what the page says by `report(json)`."""
        self._on_report = on_report
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._session: str | None = None
        self._workers: list[str] = []
        self._tasks: list[asyncio.Future[Any]] = []

    async def open(self, profile: Path, url: str, helper: str, agent: str) -> None:
        """Start the browser on `profile` and go to `url`; `helper` runs before the page's own scripts."""
        program = os.environ.get("CHROMIUM") or shutil.which("chromium") or "google-chrome"
        self._process = await asyncio.create_subprocess_exec(
            program, *FLAGS, f"--user-agent={agent}", f"--user-data-dir={profile}", "about:blank",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            preexec_fn=_end_with_parent,
        )  # fmt: skip
        try:
            address = await asyncio.wait_for(self._address(), START_SECONDS)
        except TimeoutError:
            raise RuntimeError("Chromium itself did not start in time") from None
        self._socket: ClientConnection = await connect(address, max_size=LARGEST, compression=None)
        self._tasks.append(asyncio.ensure_future(self._read()))
        await self._go(url, helper)

    async def _address(self) -> str:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            if found := re.search(rb"DevTools listening on (ws://\S+)", line):
                self._tasks.append(asyncio.ensure_future(_drain(self._process.stderr)))
                return found[1].decode()
        raise RuntimeError("Chromium did not start")

    async def _go(self, url: str, helper: str) -> None:
        targets = (await self.send("Target.getTargets"))["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = await self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        await self.send("Page.enable")
        await self.send("Runtime.enable")
        await self.send("Runtime.addBinding", name="report")
        await self.send("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)
        await self.send("Page.addScriptToEvaluateOnNewDocument", source=helper)
        await self.send("Page.navigate", url=url)

    async def evaluate(self, expression: str, session: str | None = None) -> Any:
        """The value of an expression, or of its promise."""
        options = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = await self.send("Runtime.evaluate", session=session, **options)
        return answer["result"].get("value")

    async def in_worker(self, expression: str) -> Any:
        """The value of an expression in the worker that has one."""
        for session in self._workers:
            value = await self.evaluate(expression, session)
            if value is not None:
                return value
        return None

    async def send(self, method: str, *, session: str | None = None, **given: Any) -> Any:
        """One command and its result."""
        number = next(self._numbers)
        done = self._waiting[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": given}
        if session or self._session:
            message["sessionId"] = session or self._session
        await self._socket.send(json.dumps(message))
        answer = await done
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._waiting.pop(message["id"]).set_result(message)
                continue
            match message:
                case {"method": "Runtime.bindingCalled", "params": {"payload": said}}:
                    self._on_report(json.loads(said))
                case {
                    "method": "Target.attachedToTarget",
                    "params": {"sessionId": session, "targetInfo": about},
                }:
                    if about["type"] == "worker":
                        self._workers.append(session)
                        self._tasks.append(
                            asyncio.ensure_future(self.send("Runtime.enable", session=session))
                        )
                case {"method": "Runtime.consoleAPICalled", "params": {"type": "error", "args": said}}:
                    self._on_report({"console": " ".join(str(one.get("value")) for one in said)})


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG
