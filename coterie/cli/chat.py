"""`coterie chat`: the way to a group (by link, new, or from the list), and then the conversation."""

from __future__ import annotations

import asyncio
from typing import Any

from coterie.cli.screen import Screen, clean, clock_time
from coterie.cli.settings import OpenClient, Settings
from coterie.cli.talk import Conversation, Events, members, tell
from coterie.client import Client
from coterie.errors import LocalError, RemoteError, StateError

NO_NAME = LocalError("name_needed", "Say how you are called with --name.")
WAITING = "Waiting until a member who is online lets you in. You can stop with Ctrl-C and come back with the same link."


class Interrupted(Exception):
    """A person stopped it; the text says what stands."""


class JoinEnded(RemoteError):
    """A join ended and did not let this device in."""


async def chat(settings: Settings, screen: Screen, open_client: OpenClient) -> bool:
    """Run `coterie chat`; true when all that was typed was carried out."""
    events: Events = asyncio.Queue()
    client = await open_client(settings.service_url, settings.path, events.put_nowait)
    try:
        snapshot = await client.start()
        screen.event({"event": "snapshot", "snapshot": snapshot})
        await _settle_name(client, settings, screen, snapshot)
        _say_what_waits(screen, snapshot)
        group_id = await _find_group(client, settings, screen, snapshot, events)
        return await Conversation(client, screen, group_id, events).run()
    finally:
        await client.close()


def _say_what_waits(screen: Screen, snapshot: dict[str, Any]) -> None:
    """What a person should know before they begin."""
    if snapshot["session"]["why"]:
        screen.say(f"-- {snapshot['session']['why']}")
    count = sum(one["state"] == "waiting" for one in snapshot["invitations"])
    if count:
        screen.say(f"-- {count} invitation{'' if count == 1 else 's'} to a group: /invitations in any group.")


async def _settle_name(client: Client, settings: Settings, screen: Screen, snapshot: dict[str, Any]) -> None:
    name = settings.name
    if name is None and snapshot["name"] is None:
        name = await screen.ask("Your name: ", NO_NAME)
    if name is not None and name != snapshot["name"]:
        snapshot["name"] = (await client.set_name(name=name))["name"]


async def _find_group(
    client: Client, settings: Settings, screen: Screen, snapshot: dict[str, Any], events: Events
) -> str:
    if settings.link is not None:
        return await join(client, screen, settings.link, snapshot["name"], events)
    if settings.new is not None:
        group = await client.create_group(name=settings.new)
        invite = await client.create_invite(group_id=group["group_id"])
        screen.event({"event": "invite", "invite": invite})
        screen.say(f"Created {clean(settings.new)}. Whoever opens this link can join:\n{invite['link']}")
        return str(group["group_id"])
    return await choose(screen, snapshot["groups"], settings.group)


async def choose(screen: Screen, groups: list[dict[str, Any]], wanted: str | None) -> str:
    """The group with this name or id; without one the only group, or a person's choice."""
    if wanted is not None:
        found = [group for group in groups if wanted in (group["group_id"], group["name"])]
        if len(found) == 1:
            return str(found[0]["group_id"])
        several = f"There are {len(found)} groups called {wanted}: use its id."
        raise StateError("unknown_group", several if found else f"There is no group called {wanted}.")
    if not groups:
        raise StateError(
            "no_groups", "You are in no group yet: open an invite link, or make one with --new NAME."
        )
    for number, group in enumerate(groups, 1):
        screen.say(f"{number:3}  {describe(group)}")
    if len(groups) == 1:
        return str(groups[0]["group_id"])
    unclear = StateError("which_group", "There are several groups: say which one with --group.")
    while True:
        answer = await screen.ask("Open number: ", unclear)
        if answer.isdecimal() and 1 <= int(answer) <= len(groups):
            return str(groups[int(answer) - 1]["group_id"])


def describe(group: dict[str, Any]) -> str:
    """One group in one line."""
    unread = f", {group['unread']} unread" if group["unread"] else ""
    why = "" if group["state"] == "active" else f" ({group['state']})"
    return f"{clean(group['name'] or 'unnamed group')}{why}, {members(group['members'])}{unread}  {group['group_id']}"


async def join(client: Client, screen: Screen, link: str, name: str, events: Events) -> str:
    """From a link to the group's id: shows where it leads, asks to be let in, waits.

    Raises `JoinEnded`, `Interrupted`, and what `preview_link` and `join` raise.
    """
    preview = await client.preview_link(link=link)
    screen.event({"event": "preview", **preview})
    if preview["kind"] == "member":
        return str(preview["group_id"])
    if preview["kind"] == "preview":
        until = clock_time(preview["expires_at"]) if preview["expires_at"] else "it is revoked"
        who = clean(preview["inviter_name"] or "Somebody")
        screen.say(f"{who} invites you to {clean(preview['group_name'])}. The link holds until {until}.")
        record = await client.join(link=link, name=name)
    else:
        record = {"join_id": preview["join_id"], "state": "waiting"}
    try:
        return await _wait(screen, record, events)
    except asyncio.CancelledError:
        raise Interrupted("You are still waiting to be let in: come back with the same link.") from None


async def _wait(screen: Screen, record: dict[str, Any], events: Events) -> str:
    screen.event({"event": "join", "join": record})
    if record["state"] == "waiting":
        screen.say(WAITING)
    while record["state"] == "waiting":
        event = await events.get()
        screen.event(event)
        if event["event"] == "join" and event["join"]["join_id"] == record["join_id"]:
            record = event["join"]
        else:
            tell(screen, event)
    if record["state"] != "joined":
        raise JoinEnded(record["state"], record.get("why") or "You were not let in.")
    return str(record["group_id"])
