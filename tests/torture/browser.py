"""One life of the client in Chromium: as `player.py`, for a page. The whole group of the browser's processes is killed.

Orders go to the client as a further tab would send them (docs/bridge.md). Nothing of this is in the page as shipped.
The site is a copy in which Python's tasks are watched (`places.py`) before the client is imported.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.server import ROOT
from tests.torture.chromium import Page
from tests.torture.lives import Life

HELPER = """
(() => {
  const asks = new BroadcastChannel("coterie-asks");
  const tells = new BroadcastChannel("coterie-tells");
  const tab = crypto.randomUUID();
  const open = new Map();
  let owner = null;
  let last = 0;
  const report = (what) => self.report(JSON.stringify(what));
  self.ask = (op, data = {}) =>
    new Promise((done) => {
      open.set(++last, done);
      asks.postMessage({ tab, owner, id: last, op, data });
    });
  tells.addEventListener("message", async ({ data: { owner: who, to, id, gone, ...said } }) => {
    if (owner === null && !gone) {
      owner = who;
      report({ started: await self.ask("start") });
    } else if (said.event) report(said);
    else if (to === tab) open.get(id)?.(said);
  });
  asks.postMessage({ hello: true });
})();
"""
BOOT = "return python.pyimport("
WATCH = """
import asyncio, json, js
exec({source!r})
def ask(what):
    request = js.XMLHttpRequest.new()
    request.open("POST", "/functions/v1/torture", False)
    request.send(what)
    return request.responseText
def authenticator(group):
    import gc
    from coterie.client import Client
    from coterie.core.records import group_key
    client = next(one for one in gc.get_objects() if type(one) is Client)
    return client._engine.state.tables["groups"][group_key(group)].epoch_authenticator.hex()
trap = json.loads(ask("trap"))
places = Places(lambda: ask("die"), trap["place"], trap["phase"], trap["hit"])
places.watch(asyncio.get_event_loop())
js.coterieCensus = lambda: json.dumps([[*passing, count] for passing, count in places.counts.items()])
js.coterieAuthenticator = authenticator
"""
LOOK_AGAIN = 0.05
"""Seconds: what is waited for, and tells no event, is looked at so often."""
LINES = 200


def watched_site(folder: Path) -> Path:
    """A copy of the built page that watches its tasks."""
    site = folder / "site"
    shutil.copytree(ROOT / "dist/site", site)
    source = (
        (Path(__file__).parent / "places.py").read_text().replace("from __future__ import annotations\n", "")
    )
    for boot in site.glob("assets/app-*/boot.js"):
        text = boot.read_text()
        assert BOOT in text
        boot.write_text(
            text.replace(BOOT, f"python.runPython({json.dumps(WATCH.format(source=source))});\n  {BOOT}")
        )
        for packed in boot.parent.glob("boot.js.*"):
            packed.unlink()
    return site


def _prepare(life: Life, profile: Path) -> Path:
    """Ready for the browser's start; the file that the page's watcher asks for by its name."""
    profile.mkdir(parents=True, exist_ok=True)
    for left in profile.glob("Singleton*"):  # of the one that was killed
        left.unlink()
    trap = {name: getattr(life.trap, name, 0 if name == "hit" else "") for name in ("place", "phase", "hit")}
    agent = profile.with_suffix(".json")
    agent.write_text(json.dumps({"group": os.getpgrp(), "trap": trap}))
    return agent


class OwnError(Exception):
    """The client refused."""


class BrowserPlayer:
    """A page, and who tells its client what to do."""

    def __init__(self, life: Life, orders: int, reports: int) -> None:
        self._life = life
        self._orders = orders
        self._reports = reports
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._turned = asyncio.Event()
        self._started: dict[str, Any] = {}
        self._connection = ""
        self._screen: dict[str, dict[str, str]] = {}
        self._heard: list[dict[str, Any]] = []
        """What was told while a group is drawn."""
        self._page = Page(self._hear)

    def report(self, **what: Any) -> None:
        """Tell it now."""
        os.write(self._reports, json.dumps(what).encode() + b"\n")

    async def run(self) -> None:
        """Until it is killed."""
        life, profile = self._life, self._life.path.parent / "profile"
        agent = _prepare(life, profile)
        asyncio.get_running_loop().add_reader(self._orders, self._read)
        await self._page.open(profile, life.url, HELPER, str(agent))
        self.report(opened=True)
        await self._when(lambda: self._started)
        snapshot = self._started
        for group in snapshot["groups"]:
            await self._draw(group["group_id"])
        if snapshot["name"] is None:
            await self._ask("set_name", name=life.name)
        self.report(begun=True)
        while (order := await self._waiting.get())["do"] != "end":
            await self._obey(order)

    def _read(self) -> None:
        for line in os.read(self._orders, 1 << 20).splitlines():
            order = json.loads(line)
            if order["do"] == "inside":  # asked when an order before it hangs
                self._asked = asyncio.ensure_future(self._inside())
            else:
                self._waiting.put_nowait(order)

    async def _inside(self) -> None:
        passed = await self._page.in_worker("self.coterieCensus?.()")
        title = await self._page.evaluate("document.title + ': ' + document.body.innerText.slice(0, 500)")
        self.report(did="inside", passed=passed, shown=title, connection=self._connection)

    async def _obey(self, order: dict[str, Any]) -> None:
        do = order.pop("do")
        try:
            answer = await getattr(self, f"do_{do}")(**order)
        except OwnError as error:
            answer = {"error": error.args[0], "sentence": error.args[1]}
        self.report(did=do, **(answer or {}))

    async def _ask(self, op: str, **data: Any) -> Any:
        said = await self._page.evaluate(f"ask({json.dumps(op)}, {json.dumps(data)})")
        if "error" in said:
            raise OwnError(said["error"]["code"], said["error"]["sentence"])
        return said["result"]

    async def _when(self, holds: Callable[[], Any]) -> None:
        while not holds():
            self._turned.clear()
            await self._turned.wait()

    async def _until(self, holds: Callable[[], Any]) -> None:
        """Look again and again, and at once when something happened."""
        while not await holds():
            self._turned.clear()
            try:
                async with asyncio.timeout(LOOK_AGAIN):
                    await self._turned.wait()
            except TimeoutError:
                pass

    def _hear(self, said: dict[str, Any]) -> None:
        self._turned.set()
        self._heard.append(said)
        self._show(said)
        self._note(said)

    def _show(self, said: dict[str, Any]) -> None:
        screen = self._screen.setdefault(said.get("group_id", ""), {})
        match said:
            case {"event": "line", "line": {"key": key} as line}:
                screen.pop(said.get("was", ""), None)
                if line["kind"] == "text":
                    screen[key] = line["text"]
            case {"event": "line_gone", "key": key}:
                screen.pop(key, None)

    def _note(self, said: dict[str, Any]) -> None:
        match said:
            case {"started": {"error": {"code": code, "sentence": sentence}}}:
                self.report(error=code, sentence=sentence, did="start")
            case {"started": {"result": snapshot}}:
                self._connection = snapshot["connection"]
                self._started = snapshot
            case {"event": "connection", "state": state}:
                self._connection = state
            case {"console": what}:
                self.report(console=what)
            case {"event": "problem", "code": code}:
                self.report(problem=code)

    async def _opened(self, group: str) -> dict[str, Any]:
        """The group with all its lines, as the page asks for them."""
        lines: list[dict[str, Any]] = []
        before: dict[str, Any] = {}
        while True:
            page = await self._ask("open_group", group_id=group, limit=LINES, **before)
            lines = page["lines"] + lines
            if not page["more"]:
                return {**page, "lines": lines}
            before = {"before": page["lines"][0]["key"]}

    async def _draw(self, group: str) -> None:
        """The lines of a group. DevTools may hand on what the page was told after its answer before that answer."""
        self._heard.clear()
        opened = await self._opened(group)
        self._screen[group] = {one["key"]: one["text"] for one in opened["lines"] if one["kind"] == "text"}
        for said in self._heard:
            if said.get("group_id") == group:
                self._show(said)

    # -- orders --

    async def do_create(self, name: str) -> dict[str, Any]:
        """A group of that name, unless there is one."""
        known = [one for one in (await self._ask("start"))["groups"] if one["name"] == name]
        group = known[0] if known else await self._ask("create_group", name=name)
        return {"group": group["group_id"]}

    async def do_invite(self, group: str) -> dict[str, Any]:
        """A link; one that was made before serves again."""
        invites = await self._ask("list_invites", group_id=group)
        alive = [invite for invite in invites if not invite["ended"] and invite["link"]]
        return {"link": (alive[0] if alive else await self._ask("create_invite", group_id=group))["link"]}

    async def do_say(self, group: str, text: str) -> None:
        """A line: `said` means that the composer was told that it is saved."""
        self.report(saying=text, group=group)
        await self._ask("send_text", group_id=group, text=text)
        self.report(said=text, group=group)

    async def do_hear(self, group: str, text: str) -> None:
        """Wait until a line is there."""
        await self._when(lambda: text in self._screen.get(group, {}).values())

    async def do_member(self, group: str, user: str, *, there: bool) -> None:
        """Wait until a user is a member, or none."""

        async def so() -> bool:
            return bool(await self._of(group, user)) == there

        await self._until(so)

    async def do_remove(self, group: str, user: str) -> None:
        """Remove every device of a user, until it is gone. What a life before asked for may be done meanwhile."""
        for identity in await self._of(group, user):
            try:
                await self._ask("remove_member", group_id=group, identity=identity)
            except OwnError as error:
                if error.args[0] != "no_member":
                    raise
        await self.do_member(group, user, there=False)

    async def do_reach(self, group: str, cursor: int) -> None:
        """Wait until this much is read."""

        async def so() -> bool:
            return bool((await self._ask("health", group_id=group))["cursor"] >= cursor)

        await self._until(so)

    async def do_rest(self) -> None:
        """Wait until it listens, and nothing is on its way out or in."""
        await self._when(lambda: self._connection == "online")
        for group in (await self._ask("start"))["groups"]:
            if group["state"] == "active":
                await self._until(lambda group=group: self._rests(group["group_id"]))

    async def _rests(self, group: str) -> bool:
        health = await self._ask("health", group_id=group)
        return bool(not health["outbox"]["waiting"] and health["cursor"] == health["last_seq"])

    async def do_who(self) -> dict[str, Any]:
        """The user's id."""
        return {"user": (await self._ask("start"))["user_id"]}

    async def do_census(self) -> dict[str, Any]:
        """What this life has passed so far."""
        said = await self._page.in_worker("self.coterieCensus?.()")
        return {"census": json.loads(said or "[]")}

    async def do_look(self, group: str) -> dict[str, Any]:
        """How the group stands, as the bridge tells it."""
        opened, health = await self._opened(group), await self._ask("health", group_id=group)
        authenticator = await self._page.in_worker(f"self.coterieAuthenticator?.({json.dumps(group)})")
        texts = [one["text"] for one in opened["lines"] if one["kind"] == "text"]
        return {
            "look": {
                "state": [health["state"], health["code"] or ""],
                "epoch": health["epoch"],
                "authenticator": authenticator,
                "members": sorted(one["identity"] for one in opened["members"]),
                "cursor": health["cursor"],
                "waiting": health["outbox"]["waiting"],
                "texts": texts,
                "codes": [one["code"] for one in opened["lines"] if one["code"]],
                "screen": sorted(self._screen.get(group, {}).values()),
            }
        }

    async def _of(self, group: str, user: str) -> list[str]:
        opened = await self._ask("open_group", group_id=group, limit=1)
        return [one["identity"] for one in opened["members"] if re.match(rf"{user}#", one["identity"])]
