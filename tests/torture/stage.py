"""Actors: clients in processes that are forked from this one, which has everything imported; orders, reports, kills."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import gc
import json
import os
import selectors
import signal
import ssl
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.browser import BrowserPlayer
from tests.torture.lives import Life, Trap
from tests.torture.player import Player

PATIENCE = 60.0
"""Seconds after which something that should happen counts as never happening."""


class Fault(AssertionError):
    """What was looked for: lost, doubled, reused, stuck."""


@dataclass(slots=True)
class Actor:
    """A client's lives, one after the other, on one state file."""

    stage: Stage
    name: str
    path: Path
    browser: bool = False
    pid: int = 0
    said: dict[str, set[str]] = field(default_factory=dict)
    """By group: lines of which the composer was told that they are saved."""
    saying: dict[str, set[str]] = field(default_factory=dict)
    """By group: lines that it was given, whatever came of them."""
    replies: list[dict[str, Any]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """What a page has written to the console."""
    _orders: int = -1
    _reports: int = -1
    _rest: bytes = b""

    @property
    def alive(self) -> bool:
        return self.pid != 0

    @property
    def begun(self) -> bool:
        """Whether its client has started in this life."""
        return any("begun" in reply for reply in self.replies)

    def wake(self, trap: Trap | None = None) -> None:
        """A new life."""
        life = Life(
            url=self.stage.url,
            path=self.path,
            name=self.name,
            began=self.stage.began,
            speed=self.stage.speed,
            browser=self.browser,
            fault=self.stage.fault if self.name == self.stage.victim else "",
            trap=trap,
        )
        orders, self._orders = os.pipe()
        self._reports, reports = os.pipe()
        self.replies.clear()
        self._rest = b""
        self.pid = os.fork()
        if self.pid == 0:
            _live(life, orders, reports)
        os.close(orders)
        os.close(reports)
        self.stage.listen(self, self._reports)

    def order(self, do: str, **what: Any) -> None:
        """Tell it what to do, after what it was told before."""
        if self.alive:
            try:
                os.write(self._orders, json.dumps({"do": do, **what}).encode() + b"\n")
            except BrokenPipeError:
                return  # it was killed, and its reports say so

    def kill(self) -> None:
        """SIGKILL; what it had reported is read."""
        if self.alive:
            self.strike()
            self.stage.until(lambda: not self.alive, f"{self.name} is dead")

    def strike(self) -> None:
        """SIGKILL; a browser has many processes in one group, which the first of them may not lead yet."""
        with contextlib.suppress(ProcessLookupError):
            if self.browser:
                os.killpg(self.pid, signal.SIGKILL)
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """In order."""
        if self.alive:
            self.order("end")
            self.stage.until(lambda: not self.alive, f"{self.name} ended")

    def ask(self, do: str, **what: Any) -> dict[str, Any]:
        """An order and its reply."""
        number = len(self.replies)
        self.order(do, **what)
        self.stage.until(lambda: not self.alive or any(self._answers(do, number)), f"{self.name} did: {do}")
        return next(self._answers(do, number), {})

    def did(self, do: str) -> dict[str, Any] | None:
        """The last reply to such an order in this life."""
        return next((reply for reply in reversed(self.replies) if reply.get("did") == do), None)

    def _answers(self, do: str, number: int) -> Iterator[dict[str, Any]]:
        return (reply for reply in self.replies[number:] if reply.get("did") == do)

    def read(self) -> None:
        """Its reports; at their end it is dead."""
        data = os.read(self._reports, 1 << 20)
        if not data:
            self._buried()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._heard(json.loads(line))

    def _heard(self, report: dict[str, Any]) -> None:
        match report:
            case {"saying": text, "group": group}:
                self.saying.setdefault(group, set()).add(text)
            case {"said": text, "group": group}:
                self.said.setdefault(group, set()).add(text)
            case {"crashed": what}:
                self.replies.append(report)
                raise Fault(f"{self.name} failed: {what}")
            case {"error": code, "did": do, "sentence": sentence}:
                raise Fault(f"{self.name} could not {do}: {code}: {sentence}")
            case {"console": what}:
                self.complaints.append(what)
            case {"problem": code}:
                self.stage.problems[code] = self.stage.problems.get(code, 0) + 1
        self.replies.append(report)

    def _buried(self) -> None:
        self.stage.forget(self._reports)
        os.close(self._reports)
        os.close(self._orders)
        os.waitpid(self.pid, 0)
        self.pid = 0


class Stage:
    """All actors of one play, and what they have reported."""

    def __init__(
        self, url: str, folder: Path, *, victim: str, patience: float = PATIENCE, speed: float
    ) -> None:
        self.url = url
        self.folder = folder
        self.victim = victim
        self.patience = patience
        self.speed = speed
        self.fault = ""
        """Of `FAULTS`: what is wrong with the victim's client."""
        self.began = time.time()
        self.problems: dict[str, int] = {}
        self._selector = selectors.DefaultSelector()
        self._actors: list[Actor] = []

    def actor(self, name: str, *, browser: bool = False) -> Actor:
        """Somebody new, not awake yet."""
        one = Actor(self, name, self.folder / name / "state.sqlite", browser)
        self._actors.append(one)
        return one

    def listen(self, actor: Actor, reports: int) -> None:
        """Read this from now on."""
        self._selector.register(reports, selectors.EVENT_READ, actor)

    def forget(self, reports: int) -> None:
        """There is nothing more to read."""
        self._selector.unregister(reports)

    def until(self, holds: Callable[[], Any], what: str) -> None:
        """Read reports until something holds. Raises `Fault` when it does not come about."""
        deadline = time.monotonic() + self.patience
        while not holds():
            left = deadline - time.monotonic()
            if left <= 0:
                said = {one.name: one.replies[-3:] for one in self._actors if one.alive}
                raise Fault(f"stuck: not within {self.patience:.0f} s: {what}; last reports {said!s:.2000}")
            self._read(left)

    def read_for(self, seconds: float, enough: Callable[[], Any]) -> None:
        """Read reports for so long, or until it is enough."""
        deadline = time.monotonic() + seconds
        while not enough() and (left := deadline - time.monotonic()) > 0:
            self._read(left)

    def _read(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            key.data.read()

    def inside(self) -> dict[str, Any]:
        """What those who live and still take orders know, after a fault."""
        living = [one for one in self._actors if one.alive]
        for one in living:
            one.order("inside")
        with contextlib.suppress(Fault):
            self.read_for(2, lambda: all(one.did("inside") for one in living))
        return {one.name: one.did("inside") or (one.complaints or one.replies)[-3:] for one in living}

    def close(self) -> None:
        """Kill whoever lives."""
        for one in self._actors:
            if one.alive:
                one.strike()
                os.waitpid(one.pid, 0)
                one.pid = 0
        self._selector.close()


def _live(life: Life, orders: int, reports: int) -> None:
    """In the forked process: never returns."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG: nobody outlives the run
        if life.browser:
            os.setpgrp()
        player = BrowserPlayer(life, orders, reports) if life.browser else Player(life, orders, reports)
        try:
            asyncio.run(player.run())
            status = 0
        except Exception as error:  # noqa: BLE001 - told, and then it is a fault
            player.report(crashed="".join(traceback.format_exception(error)))
    finally:
        sys.stdout.flush()
        os._exit(status)


def apart(work: Callable[[], Any]) -> Any:
    """The result of `work`, done in a process of its own: who is forked later would miss OpenMLS's threads.

    Raises the `Fault` that it raised.
    """
    result, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said: dict[str, Any] = {"result": work()}
        except Exception as error:  # noqa: BLE001 - handed on
            said = {"fault": str(error) if isinstance(error, Fault) else traceback.format_exc()}
        with os.fdopen(answer, "w") as out:
            json.dump(said, out)
        os._exit(0)
    os.close(answer)
    with os.fdopen(result) as told:
        said = json.load(told)
    os.waitpid(pid, 0)
    if "fault" in said:
        raise Fault(said["fault"])
    return said["result"]


@contextmanager
def warmed() -> Iterator[None]:
    """What each life would make anew is made once: certificates that nobody asks for take 40 ms."""
    make = ssl.create_default_context
    setattr(ssl, "create_default_context", functools.cache(make))  # noqa: B010 - keeps its type
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        ssl.create_default_context = make
        gc.unfreeze()
