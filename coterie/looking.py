"""Asking the service how far a group's log goes, without letting a look at the group's health wait for long."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from coterie.errors import CoterieError
from coterie.ports import Answer
from coterie_wire import WireError, integer

PATIENCE = 5
"""Seconds."""
END = (1 << 53) - 1
"""Beyond every seq: an answer about what follows holds no message, only where the log ends."""


class Asks(Protocol):
    """What is asked of the client."""

    async def call(self, function: str, body: dict[str, Any]) -> Answer: ...
    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...


async def last_seq(asks: Asks, group_id: str) -> tuple[int | None, str]:
    """The last seq of a group at the service; or None, and a sentence that says why it is not known.

    A call that takes longer goes on and is not waited for: cutting it off could lose a token that it renews.
    """
    found: list[tuple[int | None, str]] = []

    async def ask() -> None:
        found.append(await _answer(asks, group_id))

    await asyncio.wait({asks.spawn(ask())}, timeout=PATIENCE)
    return found[0] if found else (None, "The service did not answer in time.")


async def _answer(asks: Asks, group_id: str) -> tuple[int | None, str]:
    try:
        answer = await asks.call("get_messages", {"group_id": group_id, "after": END, "limit": 1})
    except CoterieError as error:
        return None, error.sentence
    if answer.status >= 300:
        return None, str(answer.body.get("message") or f"The service answered {answer.status}.")
    try:
        return integer(answer.body.get("last_seq"), name="last_seq"), ""
    except WireError:
        return None, "The service did not say how far the group goes."
