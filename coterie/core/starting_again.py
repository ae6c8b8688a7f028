"""Starting again a broken group, or one of which the service has lost a change (docs/adr/0022-starting-again.md): a new
group, with a UUID and an MLS id of its own, for the people of the last good roster, without the user whose device broke
it.

The old group stays as it is, with its history; each of the two names the other.
"""

from __future__ import annotations

from typing import Any

from coterie.core import causes, chats, views
from coterie.core.group import controls, fetching, lines
from coterie.core.records import Chat
from coterie.core.state import Turn
from coterie.errors import StateError


def start(turn: Turn, group_id: str) -> dict[str, Any]:
    """The new group; its view. Who can be added without a link is asked, for the others a line says that they cannot.

    Raises `StateError` (`no_group`, `read_only`, `not_broken`, `started_again`).
    """
    if turn.backend.read_only:
        raise StateError("read_only", causes.sentence("imported", []))
    old = lines.need(turn, group_id)
    if not old.dead_end:
        raise StateError("not_broken", "This group is not broken: there is nothing to start again.")
    if views.there(turn, old.goes_on_in):
        raise StateError("started_again", "This group was started again already.")
    out = views.left_out(turn, old)
    apart = {leaf.identity for leaf in out} | {turn.identity}
    wanted = [leaf.identity for leaf in turn.backend.members(old.mls_id) if leaf.identity not in apart]
    chat = turn.get(Chat, old.key)
    new = chats.new_group(turn, chat.name if chat else "").with_(after=old.group_id)
    new = lines.notice(turn, new, "started_again")
    for name in sorted({views.called(turn, old, leaf.identity) for leaf in out}):
        new = lines.notice(turn, new, "left_out", [name])
    turn.put(new)
    fetching.ask(turn, new, wanted)
    controls.goes_on(turn, old, new.group_id, turn.identity)
    return views.group(turn, lines.save(turn, new))
