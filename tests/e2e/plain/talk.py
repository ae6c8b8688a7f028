"""A person in a plain Pyodide page: the client as anybody would use it."""

import asyncio
from typing import Any

import coterie_mls
from coterie import Client
from coterie.browser import BrowserClock
from coterie.storage.memory import MemoryStore
from coterie.transport.fetch import FetchTransport


class Person:
    """Joins by a link, says lines, waits for lines."""

    def __init__(self, origin: str) -> None:
        self._changed = asyncio.Event()
        self._texts: list[str] = []
        self._group = ""
        self.client = Client(
            mls=coterie_mls,
            store=MemoryStore(),
            transport=FetchTransport(origin),
            clock=BrowserClock(),
            on_event=self._event,
            service_url=origin,
        )

    def _event(self, event: dict[str, Any]) -> None:
        match event:
            case {"event": "line", "line": {"kind": "text", "mine": False, "text": text}}:
                self._texts.append(text)
            case {"event": "join", "join": {"state": "joined", "group_id": group_id}}:
                self._group = group_id
        self._changed.set()

    async def _until(self, seen: Any) -> None:
        while not seen():
            self._changed.clear()
            await self._changed.wait()

    async def join(self, link: str, name: str) -> None:
        await self.client.join(link=link, name=name)
        await self._until(lambda: self._group)

    async def say(self, text: str) -> None:
        await self.client.send_text(group_id=self._group, text=text)

    async def hears(self, text: str) -> None:
        await self._until(lambda: text in self._texts)


async def arrive(origin: str) -> Person:
    person = Person(origin)
    await person.client.start()
    return person
