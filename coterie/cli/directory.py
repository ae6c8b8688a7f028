"""What can be typed about people and devices: who is known, adding them, invitations, the user's own devices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from coterie.cli.screen import Screen, clean, clock_time
from coterie.client import Client
from coterie.errors import LocalError

HELP = """/people             whom you know from your groups
/add N [KEY]        add one of them to this group; KEY: the first digits of a new device's key
/invitations        groups to which somebody added you
/accept N           enter one of them
/decline N          refuse it
/devices            your own devices
/revoke N           take one of them out of use"""
KEY_DIGITS = 32
"""So many hex digits of a key are shown, and have to be typed to accept it: one with the same first 8 can be found."""

Command = Callable[[str], Awaitable[None]]


class Directory:
    """The commands, and the lists to whose numbers they refer."""

    def __init__(self, client: Client, screen: Screen, group_id: str) -> None:
        self._client = client
        self._screen = screen
        self._group_id = group_id
        self._new_keys: dict[str, list[str]] = {}
        """Keys of devices that were never met, by user, as the last `/add` told them."""
        self.commands: dict[str, Command] = {
            "/people": self._people,
            "/add": self._add,
            "/invitations": self._invitations,
            "/accept": self._accept,
            "/decline": self._decline,
            "/devices": self._devices,
            "/revoke": self._revoke,
        }

    # -- people --

    async def _people(self, _: str) -> None:
        people = await self._client.people()
        self._screen.event({"event": "people", "people": people})
        for number, one in enumerate(people, 1):
            here = " - here" if self._group_id in one["groups"] else ""
            far = "" if one["groups"] else " - in no group with you any more"
            self._screen.say(f"{number:4}  {_name(one)} ({one['fingerprint']}){here}{far}")
        if not people:
            self._screen.say("   You know nobody yet: people come by an invite link first.")

    async def _add(self, argument: str) -> None:
        number, _, key = argument.partition(" ")
        person = _chosen(await self._client.people(), number, "/people")
        known = self._new_keys.get(person["user_id"], [])
        accept = [one for one in known if len(key) >= KEY_DIGITS and one.startswith(key.lower())]
        if key and not accept:
            raise LocalError("no_key", f"No new device of this person has a key that begins with {key}.")
        told = await self._client.add_person(
            group_id=self._group_id, user_id=person["user_id"], accept=accept
        )
        self._screen.event({"event": "addition", "addition": told})
        self._say_addition(number, person, told)

    def _say_addition(self, number: str, person: dict[str, Any], told: dict[str, Any]) -> None:
        if not told:
            self._screen.say("   The service can't be reached. It is tried again, and a line will say so.")
            return
        if told["why"]:
            raise LocalError("not_added", told["why"])
        if told["members"] and not told["added"]:
            self._screen.say(f"   {_name(person)} is in this group already.")
        self._new_keys[person["user_id"]] = [one["key"] for one in told["new_keys"]]
        for one in told["new_keys"]:
            key = one["key"][:KEY_DIGITS]
            self._screen.say(
                f"   {_name(person)} has a device that you never met. If its key begins with {key} in their"
                f" /devices or settings too, add it with: /add {number} {key}"
            )

    # -- invitations --

    async def _invitations(self, _: str) -> None:
        invitations = await self._client.invitations()
        self._screen.event({"event": "invitations", "invitations": invitations})
        for number, one in enumerate(invitations, 1):
            who = clean(one["sender"]["name"] or "Somebody whom you do not know")
            group = clean(one["group_name"] or "a group")
            why = f" - {one['why']}" if one["why"] else ""
            self._screen.say(f"{number:4}  {who} added you to {group}, {clock_time(one['created_at'])}{why}")
        if not invitations:
            self._screen.say("   There are none.")

    async def _accept(self, argument: str) -> None:
        one = _chosen(await self._client.invitations(), argument, "/invitations")
        told = await self._client.accept_invitation(group_id=one["group_id"])
        if "invitation" in told:
            raise LocalError("invitation_failed", told["invitation"]["why"])
        self._screen.event({"event": "group", "group": told["group"]})
        self._screen.say(f"   You are in. Open it with: coterie chat --group {one['group_id']}")

    async def _decline(self, argument: str) -> None:
        one = _chosen(await self._client.invitations(), argument, "/invitations")
        await self._client.decline_invitation(group_id=one["group_id"])

    # -- own devices --

    async def _devices(self, _: str) -> None:
        devices = await self._client.devices()
        self._screen.event({"event": "devices", "devices": devices})
        for number, one in enumerate(devices, 1):
            mark = " - this one" if one["current"] else " - out of use" if one["revoked"] else ""
            groups = f"{one['groups']} group{'' if one['groups'] == 1 else 's'} with this one"
            self._screen.say(f"{number:4}  {clean(one['name'])}, {groups}{mark}")
            if one["key"]:
                self._screen.say(f"      its key begins with {one['key'][:KEY_DIGITS]}")

    async def _revoke(self, argument: str) -> None:
        one = _chosen(await self._client.devices(), argument, "/devices")
        if self._screen.interactive:
            sure = LocalError("not_sure", "Nothing was done.")
            question = f"{clean(one['name'])} will never be let in again. Sure? (yes/no) "
            if (await self._screen.ask(question, sure)).lower() not in ("y", "yes"):
                raise sure
        await self._client.revoke_device(device_id=one["device_id"])


def _name(person: dict[str, Any]) -> str:
    return clean(person["name"] or "Someone")


def _chosen(listed: list[dict[str, Any]], number: str, command: str) -> dict[str, Any]:
    """The entry of that number. Raises `LocalError` (`which`)."""
    if number.strip().isdecimal() and 1 <= int(number) <= len(listed):
        return listed[int(number) - 1]
    raise LocalError("which", f"Say which one by its number in {command}.")
