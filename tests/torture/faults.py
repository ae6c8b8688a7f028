"""Clients that break the order of operations on purpose: the harness has to find each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from coterie.client import Client

GAP = 0.05
"""Seconds between two halves that belong together, so that most kills fall there."""


def act_before_saving(client: Client) -> None:
    """Posts first, saves then."""
    save = client._save

    async def late(step: Any) -> None:
        for effect in step.effects:
            client._perform(effect)
        await asyncio.sleep(GAP)
        await save(step)

    client._save = late  # type: ignore[method-assign]
    client.next_post = _eager(client)  # type: ignore[method-assign]


def _eager(client: Client) -> Any:
    """Does not wait for the turn that saves the row."""

    async def next_post(lane: bytes) -> Any:
        return client._engine.next_post(lane)

    return next_post


def lose_the_last_save(client: Client) -> None:
    """What was saved last is only on its way to the disk: a kill undoes it."""
    commit = client._store.commit
    held: dict[Any, Any] = {}

    async def lazily(changes: Mapping[Any, Any]) -> None:
        before = dict(held)
        held.clear()
        held.update(changes)
        await commit(before)

    client._store.commit = lazily  # type: ignore[method-assign]


def save_the_cursor_apart(client: Client) -> None:
    """Two transactions where one belongs: the cursor first, ratchet and lines after it."""
    commit = client._store.commit

    async def apart(changes: Mapping[Any, Any]) -> None:
        first = {row: value for row, value in changes.items() if row[0] == "groups"}
        await commit(first)
        await asyncio.sleep(GAP)
        await commit({row: value for row, value in changes.items() if row not in first})

    client._store.commit = apart  # type: ignore[method-assign]


def drop_the_outbox(client: Client) -> None:
    """What waits to be sent is remembered, and not saved."""
    commit = client._store.commit

    async def without(changes: Mapping[Any, Any]) -> None:
        await commit({row: value for row, value in changes.items() if row[0] != "outbox"})

    client._store.commit = without  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[Client], None]] = {
    "act before saving": act_before_saving,
    "lose the last save": lose_the_last_save,
    "save the cursor apart": save_the_cursor_apart,
    "drop the outbox": drop_the_outbox,
}
