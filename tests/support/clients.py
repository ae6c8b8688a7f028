"""Clients on the real service, each on a state file of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import coterie
from coterie import native
from coterie.core.packages import FULL

SOON = 60.0
"""Seconds in which what must come, comes, on a busy machine too."""


class Person:
    """A client on a state file; `events` are kept and can be waited for."""

    def __init__(self, url: str, path: Path, name: str) -> None:
        self.url, self.path, self.name = url, path, name
        self.events: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self.client: coterie.Client

    def _take(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self._news.set()

    async def start(self) -> dict[str, Any]:
        """Open the state and go online."""
        self.client = await native.open_client(self.url, self.path, self._take)
        snapshot = await self.client.start()
        if snapshot["name"] is None:
            await self.client.set_name(name=self.name)
        return snapshot

    async def until(self, holds: Callable[[], Awaitable[Any]]) -> Any:
        """Wait, from event to event, until it holds; what it gave."""
        async with asyncio.timeout(SOON):
            while not (found := await holds()):
                self._news.clear()
                await asyncio.wait([asyncio.ensure_future(self._news.wait())], timeout=0.2)
        return found

    async def texts(self, group_id: str) -> list[str]:
        shown = await self.client.open_group(group_id=group_id)
        return [line["text"] for line in shown["lines"] if line["kind"] == "text"]

    async def sees(self, group_id: str, *texts: str) -> None:
        """Wait until exactly these texts stand there, in any order."""

        async def there() -> bool:
            return sorted(await self.texts(group_id)) == sorted(texts)

        await self.until(there)

    async def knows_as(self, group_id: str, name: str) -> None:
        """Wait until the group has this name: members tell it to who came without a link, in a message of its own."""

        async def named() -> bool:
            return bool((await self.client.open_group(group_id=group_id))["group"]["name"] == name)

        await self.until(named)

    async def says(self, group_id: str, code: str) -> None:
        """Wait until the last notice has this code."""

        async def said() -> bool:
            return (await self.codes(group_id))[-1:] == [code]

        await self.until(said)

    async def codes(self, group_id: str) -> list[str]:
        """The causes of all notices, in order."""
        shown = await self.client.open_group(group_id=group_id)
        return [line["code"] for line in shown["lines"] if line["kind"] == "notice"]

    async def invitation(self) -> dict[str, Any]:
        """The one that waits."""
        found: list[dict[str, Any]] = await self.until(self.client.invitations)
        return found[0]


async def stocked(person: Person) -> None:
    """Wait until all key packages of a device are at the service."""

    async def full() -> bool:
        stock = (await person.client.call("key_packages_count", {})).body
        return (stock["available"], stock["last_resort"]) == (FULL, True)

    await person.until(full)
