"""The conversation in one group: lines as they come, and what is typed."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from coterie.cli.again import start_again
from coterie.cli.directory import HELP as DIRECTORY_HELP
from coterie.cli.directory import Command, Directory
from coterie.cli.screen import Screen, clean
from coterie.client import Client
from coterie.errors import CoterieError, LocalError

Events = asyncio.Queue[dict[str, Any]]

HELP = f"""/invite             make an invite link
/members            who is in the group
{DIRECTORY_HELP}
/leave              leave the group
/rejoin             try to come back into a group that is stuck
/again              start a group again that cannot go on, without whoever broke it
/quit               stop; the group goes on
//text              send a line that begins with a slash"""
HISTORY = 20
NO_PASSKEY = (
    "-- A terminal can neither make nor use a passkey: open the page in a browser for that."
    " This profile is a guest, a person of its own."
)
GOING_OUT_SECONDS = 30.0
"""How long the end of the input waits for what is still to be sent; afterwards it goes out at the next start."""


def members(count: int) -> str:
    """A number of members in words."""
    return f"{count} member{'' if count == 1 else 's'}"


def tell(screen: Screen, event: dict[str, Any]) -> None:
    """Say what belongs to no line: the connection, a problem."""
    match event:
        case {"event": "connection", "state": "offline"}:
            screen.say("-- Offline: the service can't be reached. Trying again.")
        case {"event": "connection"}:
            screen.say("-- Connected.")
        case {"event": "problem", "sentence": sentence}:
            screen.say(f"-- {clean(sentence)}")
        case {"event": "invitation", "invitation": {"state": "waiting", "sender": sender}}:
            screen.say(f"-- {clean(sender['name'] or 'Somebody')} added you to a group: /invitations")


class Conversation:
    """Shows a group and sends what is typed, until the input ends or the group is gone."""

    def __init__(self, client: Client, screen: Screen, group_id: str, events: Events) -> None:
        self._client = client
        self._screen = screen
        self._group_id = group_id
        self._events = events
        self._names: dict[str, str] = {}
        self._states: dict[str, str | None] = {}
        """The lines seen so far: key to state."""
        self._why = ""
        self._moved: set[str] = set()
        """Earlier keys of lines that have their place now."""
        self._notices: dict[str, str] = {}
        """What notices said, by key."""
        self._all_sent = asyncio.Event()
        self._gone = asyncio.Event()
        self._stale = asyncio.Event()
        self._well = True
        self._commands: dict[str, Command] = {
            "/invite": self._invite,
            "/members": self._members,
            "/leave": self._leave,
            "/rejoin": self._rejoin,
            "/again": self._start_again,
            "/passkey": self._no_passkey,
            "/help": self._help,
            **Directory(client, screen, group_id).commands,
        }

    async def run(self) -> bool:
        """The whole conversation; true when everything typed was carried out."""
        shown = await self._client.open_group(group_id=self._group_id, limit=HISTORY)
        self._learn_names(shown["members"])
        self._screen.event({"event": "open", **shown})
        name, count = clean(shown["group"]["name"] or "unnamed group"), len(shown["members"])
        self._screen.say(f"-- {name}: {members(count)}. /help lists the commands.")
        for line in shown["lines"]:
            self._take_line(line, None)
        self._say_why(shown["group"])
        self._note_pending()
        await self._until_the_end()
        return self._well

    async def _until_the_end(self) -> None:
        """Shows and types at the same time; the first of input's end, group's end or an error ends it."""
        showing = asyncio.create_task(self._show_events())
        typing = asyncio.create_task(self._take_input())
        reading = asyncio.create_task(self._keep_fresh())
        gone = asyncio.create_task(self._gone.wait())
        tasks = {showing, typing, reading, gone}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- what comes --

    async def _show_events(self) -> None:
        while True:
            self._show(await self._events.get())

    async def _keep_fresh(self) -> None:
        while True:
            await self._stale.wait()
            await self._read_again()

    async def _read_again(self) -> None:
        """Names became known: notices that named nobody are shown again with them."""
        self._stale.clear()
        shown = await self._client.open_group(group_id=self._group_id, limit=HISTORY)
        self._learn_names(shown["members"])
        for line in shown["lines"]:
            if line["kind"] == "notice" and line["text"] != self._notices.get(line["key"], line["text"]):
                self._notices[line["key"]] = line["text"]
                self._screen.line(line["at"], None, line["text"])

    def _show_what_came(self) -> None:
        """Everything told so far, before what follows from it: keeps the order of cause and effect."""
        while not self._events.empty():
            self._show(self._events.get_nowait())

    def _show(self, event: dict[str, Any]) -> None:
        self._screen.event(event)
        if event.get("group_id", self._group_id) == self._group_id:
            self._take_event(event)

    def _take_event(self, event: dict[str, Any]) -> None:
        match event:
            case {"event": "line", "line": line}:
                self._take_line(line, event.get("was"))
            case {"event": "line_gone", "key": key}:
                self._states.pop(key, None)
            case {"event": "members", "members": members}:
                self._learn_names(members)
            case {"event": "group", "group": group} if group["group_id"] == self._group_id:
                self._take_group(group)
            case {"event": "group_gone"}:
                self._gone.set()
            case {"event": "refresh"}:
                self._stale.set()
            case {"event": "catching_up", "done": done, "total": total} if done < total:
                self._screen.say(f"-- catching up, {done} of {total}")
            case _:
                tell(self._screen, event)
        self._note_pending()

    def _take_group(self, group: dict[str, Any]) -> None:
        if group["state"] == "left":
            self._gone.set()
        elif group["why"] != self._why:
            self._say_why(group)

    def _take_line(self, line: dict[str, Any], was: str | None) -> None:
        """Show a line once, and once more when it failed."""
        before = self._states.pop(was, None) if was is not None else None
        if was is not None:
            self._moved.add(was)
        known = line["key"] in self._states or before is not None
        before = self._states.get(line["key"], before)
        self._states[line["key"]] = line["state"]
        if line["kind"] == "notice":
            self._notices[line["key"]] = line["text"]
        if line["state"] == "failed" and before != "failed":
            self._well = False
            self._screen.line(line["at"], None, f"{line.get('why') or 'Not sent.'} ({line['text']})")
        elif not known and not (line["mine"] and self._screen.interactive and line["state"] == "pending"):
            who = self._name(line["sender"]) if line["kind"] == "text" else None
            follows = f" {line['advice']}" if line.get("advice") else ""
            self._screen.line(line["at"], who, line["text"] + follows)

    def _note_pending(self) -> None:
        if "pending" in self._states.values():
            self._all_sent.clear()
        else:
            self._all_sent.set()

    def _say_why(self, group: dict[str, Any]) -> None:
        self._why = group["why"]
        if not group["can_send"] and group["why"]:
            way_back = " /rejoin tries to get back in." if group["can_rejoin"] else ""
            onward = " /again starts it again." if group.get("again") else ""  # an archive has none
            self._screen.say(f"-- {clean(group['why'])}{way_back}{onward}")

    def _learn_names(self, members: list[dict[str, Any]]) -> None:
        """Names by identity; equal names are told apart by their key's fingerprint."""
        names = Counter(member["name"] for member in members)
        for member in members:
            name, fingerprint = member["name"] or "Someone new", member["fingerprint"]
            alike = names[member["name"]] > 1 or not member["name"]
            self._names[member["identity"]] = f"{name} ({fingerprint})" if alike else name

    def _name(self, identity: str | None) -> str:
        return self._names.get(identity or "", "Someone")

    # -- what is typed --

    async def _take_input(self) -> None:
        async for text in self._screen.typed():
            if text.strip() == "/quit":
                return
            try:
                await self._carry_out(text)
            except CoterieError as error:
                self._show_what_came()
                self._well = False
                self._screen.error(error)
            if self._gone.is_set():
                return
        await self._last_lines_out()

    async def _carry_out(self, text: str) -> None:
        word, _, argument = text.strip().partition(" ")
        if word.startswith("/") and not word.startswith("//"):
            command = self._commands.get(word)
            if command is None:
                raise LocalError("unknown_command", f"There is no command {word}; /help lists them.")
            await command(argument.strip())
            self._show_what_came()
            return
        line = await self._client.send_text(group_id=self._group_id, text=text.removeprefix("/"))
        self._show_what_came()
        if line["key"] not in self._states and line["key"] not in self._moved:
            self._take_line(line, None)
        self._note_pending()

    async def _last_lines_out(self) -> None:
        if self._stale.is_set():
            await self._read_again()
        try:
            await asyncio.wait_for(self._all_sent.wait(), GOING_OUT_SECONDS)
        except TimeoutError:
            count = sum(state == "pending" for state in self._states.values())
            raise LocalError("not_sent_yet", f"{count} lines wait and go out at the next start.") from None

    async def _invite(self, _: str) -> None:
        invite = await self._client.create_invite(group_id=self._group_id)
        self._show_what_came()
        self._screen.event({"event": "invite", "invite": invite})
        self._screen.say(str(invite["link"]))

    async def _members(self, _: str) -> None:
        shown = await self._client.open_group(group_id=self._group_id, limit=1)
        self._learn_names(shown["members"])
        self._screen.event({"event": "members", "group_id": self._group_id, "members": shown["members"]})
        for member in shown["members"]:
            marks = [word for word in ("me", "owner") if member[word]]
            name = clean(self._name(member["identity"]))
            self._screen.say(f"   {name}{' - ' if marks else ''}{', '.join(marks)}")

    async def _leave(self, _: str) -> None:
        if self._screen.interactive:
            sure = LocalError("not_sure", "Not left.")
            answer = await self._screen.ask("Coming back takes a new invite. Leave? (yes/no) ", sure)
            if answer.lower() not in ("y", "yes"):
                raise sure
        await self._client.leave_group(group_id=self._group_id)
        try:
            await asyncio.wait_for(self._gone.wait(), GOING_OUT_SECONDS)
        except TimeoutError:
            raise LocalError("not_left_yet", "You leave as soon as the service can be reached.") from None

    async def _rejoin(self, _: str) -> None:
        await self._client.rejoin(group_id=self._group_id)

    async def _start_again(self, _: str) -> None:
        new = await start_again(self._client, self._screen, self._group_id)
        self._show_what_came()
        self._screen.say(f"-- It goes on in a new group: coterie chat --group {new}")
        self._gone.set()

    async def _no_passkey(self, _: str) -> None:
        self._screen.say(NO_PASSKEY)

    async def _help(self, _: str) -> None:
        self._screen.say(HELP)
