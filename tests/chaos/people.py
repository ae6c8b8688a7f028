"""Two people with the real client, MLS and all, who talk on whatever happens."""

import asyncio
from pathlib import Path
from typing import Any

from coterie.client import Client
from coterie.native import open_client


class Person:
    """A client on a state file of its own, which learns from its events what has become of its lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.group_id = ""
        self.said: list[str] = []
        self.lines: dict[str, dict[str, Any]] = {}
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.client: Client

    async def open(self, url: str, folder: Path) -> None:
        """Start the client."""
        self.client = await open_client(url, folder / f"{self.name}.sqlite", self._hear)
        await self.client.start()
        await self.client.set_name(name=self.name)

    def _hear(self, event: dict[str, Any]) -> None:
        task = asyncio.get_running_loop().create_task(self._note(event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _note(self, event: dict[str, Any]) -> None:
        async with self._changed:
            if event["event"] == "line" and event["line"]["kind"] == "text":
                self.lines[event["line"]["text"]] = event["line"]
            elif event["event"] == "join" and event["join"]["state"] == "joined":
                self.group_id = event["join"]["group_id"]
            self._changed.notify_all()

    async def until(self, what: Any) -> None:
        """Wait for events until `what()` holds."""
        async with self._changed:
            await self._changed.wait_for(what)

    async def talk(self, ended: asyncio.Event) -> None:
        """Say one line after the other, each when the one before was sent."""
        while not ended.is_set():
            text = f"{self.name} {len(self.said)}"
            self.said.append(text)
            await self.client.send_text(group_id=self.group_id, text=text)
            await self.until(lambda text=text: self.lines.get(text, {}).get("state") == "sent")

    async def shown(self) -> list[str]:
        """Every line of text in the conversation, as it is kept."""
        texts: list[str] = []
        more: dict[str, Any] = {}
        while True:
            page = await self.client.open_group(group_id=self.group_id, limit=200, **more)
            texts = [one["text"] for one in page["lines"] if one["kind"] == "text"] + texts
            if not page["more"]:
                return texts
            more = {"before": page["lines"][0]["key"]}


async def befriend(ann: Person, bob: Person) -> None:
    """Ann makes a group, Bob comes in by its link."""
    ann.group_id = (await ann.client.create_group(name="Friends"))["group_id"]
    invite = await ann.client.create_invite(group_id=ann.group_id)
    await bob.client.join(link=invite["link"], name=bob.name)
    await bob.until(lambda: bob.group_id)


async def agree(ann: Person, bob: Person) -> None:
    """Both show every line of both, each once, in one order."""
    said = {*ann.said, *bob.said}
    for one in (ann, bob):
        await one.until(lambda one=one: said <= one.lines.keys())
    hers, his = await ann.shown(), await bob.shown()
    assert sorted(hers) == sorted(said), "Ann lacks lines, or has one twice"
    assert hers == his, "the two do not read the same conversation"
