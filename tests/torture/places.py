"""Where a client can be killed: every `await` of its code at which it waits, counted as it is passed.

Standard library only: the same file runs in Pyodide, where the page is the one that is killed.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Coroutine
from typing import Any

PACKAGE = "coterie/"
FOLDERS = ("core/", "storage/", "transport/")
"""Of the package, in which there is something to wait for; anything else below a folder `coterie` is not the client."""
PHASES = ("stop", "go")
"""`stop`: the code has just begun to wait; `go`: what it waited for is there, and it is about to go on."""

Passing = tuple[str, str]
"""A place (`file.py:line function`) and a phase."""


class Places:
    """Counts the passings of places in one life of a client, and ends that life at one of them."""

    def __init__(self, end: Callable[[], None], place: str = "", phase: str = "", hit: int = 0) -> None:
        """`end` is called at the `hit`th passing (from 1) of `place` in `phase`; it does not return. 0: never."""
        self.counts: collections.Counter[Passing] = collections.Counter()
        self._end = end
        self._at = (place, phase, hit)

    def watch(self, loop: Any) -> None:
        """Every task of this loop is watched from now on. (Pyodide's loop takes no task factory but its own.)"""
        create = loop.create_task

        def watched(coroutine: Any, **options: Any) -> Any:
            return create(Watched(coroutine, self.passed), **options)

        loop.create_task = watched

    def passed(self, place: str, phase: str) -> None:
        """Count it; end here if it is time."""
        self.counts[place, phase] += 1
        if self._at == (place, phase, self.counts[place, phase]):
            self._end()


class Watched(Coroutine[Any, Any, Any]):
    """A coroutine as a task runs it, step by step."""

    def __init__(self, coroutine: Any, passed: Callable[[str, str], None]) -> None:
        self._coroutine = coroutine
        self._passed = passed
        self._place = ""

    def __getattr__(self, name: str) -> Any:  # what a library asks of a coroutine: its frame, whether it runs
        return getattr(self._coroutine, name)

    def __await__(self) -> Any:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        """As of a coroutine."""
        return self._step(self._coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        """As of a coroutine."""
        return self._step(self._coroutine.throw, *error)

    def close(self) -> None:
        """As of a coroutine."""
        self._coroutine.close()

    def _step(self, step: Callable[..., Any], *given: Any) -> Any:
        if self._place:
            self._passed(self._place, "go")
        waits_for = step(*given)
        self._place = place_of(self._coroutine)
        if self._place:
            self._passed(self._place, "stop")
        return waits_for


def place_of(waiting: Any) -> str:
    """The innermost line of the client at which a suspended coroutine waits; empty when it is not in the client."""
    found = ""
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is not None:
            before, package, file = frame.f_code.co_filename.rpartition(PACKAGE)
            if package and "/" not in file.replace("core/", "").replace("storage/", "").replace(
                "transport/", ""
            ):
                found = f"{file}:{frame.f_lineno} {frame.f_code.co_name}"
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return found
