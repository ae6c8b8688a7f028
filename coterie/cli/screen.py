"""The terminal: what is shown and what is typed. Plain text for people, one JSON object a line for programs.

What others wrote is cleaned before it is shown: a message must not be able to steer the terminal.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import os
import sys
import threading
import unicodedata
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from coterie.errors import CoterieError, LocalError
from coterie.keeping import nobody

BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: str) -> str:
    """`text` without control characters and bidi controls; line breaks are kept and indented."""

    def keep(character: str) -> bool:
        return character == "\n" or (
            unicodedata.category(character) not in ("Cc", "Cs") and character not in BIDI_CONTROLS
        )

    return "".join(filter(keep, text.replace("\t", " "))).replace("\n", "\n    ")


def clock_time(milliseconds: int, now: datetime | None = None) -> str:
    """The local time of a line; with its date unless it is of today. Others tell it: it may be none at all."""
    try:
        at = datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone()
    except (OverflowError, ValueError):
        return "--:--"
    today = (now or datetime.now(UTC)).astimezone().date()
    return at.strftime("%H:%M" if at.date() == today else "%Y-%m-%d %H:%M")


class Screen:
    """Standard input and output."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.interactive = not as_json and sys.stdin.isatty() and sys.stdout.isatty()

    def say(self, text: str) -> None:
        """A sentence for people; programs get events instead."""
        if not self.as_json:
            self._write(text)

    def event(self, event: dict[str, Any]) -> None:
        """An event for programs."""
        if self.as_json:
            self._write(json.dumps(event))

    def error(self, error: CoterieError) -> None:
        """An error: its sentence on standard error, or an event `error`."""
        self.event({"event": "error", "code": error.code, "sentence": error.sentence})
        if not self.as_json:
            sys.stderr.write(clean(error.sentence) + "\n")
            sys.stderr.flush()

    def line(self, at: int, who: str | None, text: str) -> None:
        """A line of the conversation; without `who` it is a notice."""
        self.say(f"[{clock_time(at)}] " + (f"{clean(who)}: {clean(text)}" if who else f"* {clean(text)}"))

    async def ask(self, question: str, missing: LocalError) -> str:
        """One answer of a person, not empty; raises `missing` where nobody can be asked, `EOFError` at the end."""
        if not self.interactive:
            raise missing
        from prompt_toolkit import PromptSession  # noqa: PLC0415  only a terminal needs it

        session: PromptSession[str] = PromptSession()
        while True:
            answer = (await session.prompt_async(question)).strip()
            if answer:
                return answer

    async def ask_secret(self, question: str) -> str:
        """A passphrase of a person, not shown; raises `LocalError` (`passphrase_needed`) where nobody can be asked."""
        if not self.interactive:
            return await nobody(question)
        from prompt_toolkit import PromptSession  # noqa: PLC0415

        session: PromptSession[str] = PromptSession()
        return await session.prompt_async(question, is_password=True)

    async def typed(self) -> AsyncIterator[str]:
        """Lines as they are typed or piped in, until the end of the input (Ctrl-D, Ctrl-C)."""
        lines = self._prompted() if self.interactive else _piped(sys.stdin.fileno())
        async for text in lines:
            if text.strip():
                yield text

    async def _prompted(self) -> AsyncIterator[str]:
        from prompt_toolkit import PromptSession  # noqa: PLC0415
        from prompt_toolkit.patch_stdout import patch_stdout  # noqa: PLC0415

        session: PromptSession[str] = PromptSession()
        with patch_stdout():  # what arrives meanwhile is written above the line being typed
            while True:
                try:
                    yield await session.prompt_async("> ")
                except (EOFError, KeyboardInterrupt):
                    return

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


async def _piped(source: int) -> AsyncIterator[str]:
    """Lines from a file descriptor of any kind, in UTF-8.

    Read by a daemon thread, because a regular file can't be waited for; with `os.read`, because a thread that
    waits inside `sys.stdin` would hold its lock when the interpreter ends.
    """
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[bytes]()

    def read() -> None:
        data = b"."
        while data:
            try:
                data = os.read(source, 1 << 16)
            except OSError:
                data = b""
            try:
                loop.call_soon_threadsafe(queue.put_nowait, data)
            except RuntimeError:  # the loop is closed: nobody reads any more
                return

    threading.Thread(target=read, daemon=True, name="coterie-stdin").start()
    decoder, rest = codecs.getincrementaldecoder("utf-8")(errors="replace"), ""
    while data := await queue.get():
        *lines, rest = (rest + decoder.decode(data)).split("\n")
        for text in lines:
            yield text
    if rest:
        yield rest
