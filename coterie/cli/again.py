"""`/again`: a group that cannot go on is started again, after it was said what that means."""

from __future__ import annotations

from typing import Any

from coterie.cli.screen import Screen, clean
from coterie.client import Client
from coterie.errors import LocalError

ASK_FIRST = (
    " Ask the others first: if some can still write here, try /rejoin when one of them has changed something."
)
"""Of a group that is not broken: the service has lost a change of it, which not everybody may have."""
NOT_SURE = LocalError("not_sure", "Not started again.")


async def start_again(client: Client, screen: Screen, group_id: str) -> str:
    """Ask, and start it again: the id of the new group. Raises `LocalError` (`not_sure`, `not_broken`, ...)."""
    group = (await client.open_group(group_id=group_id, limit=1))["group"]
    if group["again"] and screen.interactive:
        screen.say(f"   {meaning(group['again'])}{ASK_FIRST if group['state'] == 'active' else ''}")
        answer = await screen.ask("Start again? (yes/no) ", NOT_SURE)
        if answer.lower() not in ("y", "yes"):
            raise NOT_SURE
    return str((await client.start_again(group_id=group_id))["group_id"])


def meaning(again: dict[str, Any]) -> str:
    """What starting a group again means, in words."""
    people = f"{again['people']} other{'' if again['people'] == 1 else 's'}"
    without = clean(", ".join(again["without"]))
    left_out = f" Left out, by the service's word: {without}." if without else ""
    return (
        f"A new group of the same name is made, and {people} asked to come. The history stays here.{left_out}"
    )
