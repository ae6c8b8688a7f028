"""`coterie doctor`: what this installation and this device look like, for a look or a report of a fault.

Nothing that it prints is a name, a key or a word of what was written, so all of it may be handed on. Where the data
lies has in it what the user called the profile. Groups are told apart by the first digits of their ids.
"""

from __future__ import annotations

import asyncio
import platform
import sqlite3
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from coterie import native
from coterie.cli.screen import Screen, clean
from coterie.cli.settings import OpenClient, Settings
from coterie.errors import CoterieError

JWKS = "/auth/v1/.well-known/jwks.json"
"""Answered without a session, by our identity and by Supabase Auth."""
ID_DIGITS = 8


async def doctor(settings: Settings, screen: Screen, open_client: OpenClient) -> bool:
    """Print all findings; true when nothing is wrong."""
    findings: list[dict[str, Any]] = []

    def found(what: str, text: str, *, good: bool = True) -> None:
        findings.append({"what": what, "text": text, "good": good})
        screen.say(f"{'ok  ' if good else 'BAD '} {what:<8} {text}")

    found("coterie", _version("coterie") or "runs from its sources")
    found(
        "binding",
        _version("coterie-mls") or "coterie-mls is not installed",
        good=bool(_version("coterie-mls")),
    )
    found("python", f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.platform()}")
    found("data", _from_home(settings.path))
    await _look_at_service(settings, found)
    await _look_at_device(settings, open_client, found)
    screen.event({"event": "doctor", "findings": findings})
    return all(finding["good"] for finding in findings)


DAMAGED = "A part of what was stored here is damaged and set aside. `coterie chat` says what, when it starts."


def _from_home(path: Path) -> str:
    """The path without the name of whoever is signed in here."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


async def _look_at_service(settings: Settings, found: Callable[..., None]) -> None:
    transport = native.make_transport(settings.service_url)
    try:
        answer = await transport.request("GET", JWKS, None, None)
        found("service", f"{settings.service_url} answers ({answer.status})", good=answer.status == 200)
    except CoterieError as error:
        found("service", f"{settings.service_url}: {error.sentence}", good=False)
    finally:
        await transport.close()


async def _look_at_device(settings: Settings, open_client: OpenClient, found: Callable[..., None]) -> None:
    """Looks only at a device that exists: to look must not sign in."""
    problems: list[str] = []

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "problem":
            problems.append(event["code"])

    try:
        if not native.has_profile(settings.path):
            found("device", "none yet: it is made with the first group or join")
            return
        client = await open_client(settings.service_url, settings.path, hear)
        try:
            snapshot = await client.start()
            ids = [group["group_id"] for group in snapshot["groups"] if group["state"] != "archive"]
            groups = await asyncio.gather(*(client.health(group_id=one) for one in ids))
        finally:
            await client.close()
    except CoterieError as error:
        found("device", error.sentence, good=False)
        return
    found("device", snapshot["device_id"] or "not registered yet")
    if "damaged" in problems:  # what it is may be a group's name
        found("storage", DAMAGED, good=False)
    if snapshot["session"]["why"]:
        found("session", snapshot["session"]["why"], good=False)
    _tell_groups(groups, found)


def _tell_groups(groups: list[dict[str, Any]], found: Callable[..., None]) -> None:
    """The findings of each group, and what went wrong in all of them."""
    for seen in groups:
        for one in seen["findings"]:
            if one["what"] != "connection":  # it has only just begun to open
                text = f"{seen['group_id'][:ID_DIGITS]} {one['what']}: {clean(one['text'])}"
                found("group", text, good=one["good"])
    if groups:
        counted = [f"{one['code']} {one['everywhere']}" for one in groups[0]["causes"]]
        found("causes", f"in all groups: {', '.join(counted) or 'none'}")
