"""What the service's final answers mean: a commit or message that it did not take, a call of a group."""

from __future__ import annotations

from typing import Any

from coterie.core import rejoining
from coterie.core.completing import Completing
from coterie.core.effects import Call, CatchUp
from coterie.core.group import commits, lines, outbox, pace
from coterie.core.records import Invite, Outgoing
from coterie.core.state import Turn


def not_taken(
    turn: Turn, row: Outgoing, status: int, body: dict[str, Any], completing: Completing, blocked: set[bytes]
) -> None:
    """A message or commit was refused, for now (its epoch is gone) or for good."""
    code = str(body.get("code", ""))
    sentence = str(body.get("message") or f"the service answered {status}.")
    group = lines.need(turn, row.group_id)
    if code == "state_behind":
        rejoining.behind(turn, group)
    elif code == "stale_epoch" and group.can_send and _before(row, body):
        rejoining.lost_epoch(turn, group)
    elif code == "stale_epoch" and row.kind == "message":
        outbox.stale(turn, _overtaken(turn, row), blocked)
    elif code == "stale_epoch":  # another commit won: it will come in, and its merge takes this row away
        blocked.add(row.key)
        turn.do(CatchUp(row.group_id))
    elif row.kind == "message":
        outbox.refused(turn, row, code, sentence)
    elif status == outbox.TOO_SOON:  # the renewal of a leaf (`outbox.final`): there will be another one
        commits.given_up(turn, row, too_soon=True)
        turn.put(pace.too_soon(turn, lines.need(turn, row.group_id), row, body))
        commits.advance(turn, lines.need(turn, row.group_id), completing.of(row.group_id))
    else:
        _commit_refused(turn, row, code, sentence, completing)


def _before(row: Outgoing, body: dict[str, Any]) -> bool:
    """Whether the epoch for which the service refuses a row lies before the row's own: it had that one, and lost it."""
    epoch = body.get("epoch")
    return isinstance(epoch, int) and epoch < row.epoch


def _overtaken(turn: Turn, row: Outgoing) -> Outgoing:
    """The line, which counts how often an epoch went before it: at the third time the service is asked for a pause."""
    times = row.note.get("overtaken", 0) + 1
    if times % pace.ASKS_AFTER == 0:
        pace.ask_for_pause(turn, row.group_id)
    row = row.with_(note={"overtaken": times})
    turn.put(row)
    return row


def _commit_refused(turn: Turn, row: Outgoing, code: str, sentence: str, completing: Completing) -> None:
    before = lines.need(turn, row.group_id)
    wanted = before.removals or before.adding
    commits.given_up(turn, row)
    if pace.is_renewal(row):  # else it would be due again at once, and for ever
        turn.put(pace.renew_later(turn, lines.need(turn, row.group_id), lines.HOUR))
    completing.forget(row.group_id)
    commits.advance(turn, lines.need(turn, row.group_id), [])
    if code == "already_completed":  # somebody was faster with one of them; the others still wait
        turn.do(Call("invite_pending", {}))
    elif row.fields["joins"]:
        completing.elsewhere |= {join_id for join_id, _ in row.fields["joins"]}  # looked at again
    elif wanted:
        turn.show("problem", code=code, sentence=f"The change was not made: {sentence}")


def called(turn: Turn, row: Outgoing, status: int, body: dict[str, Any]) -> None:
    """The final answer to a call of a group's lane."""
    turn.delete(row)
    group = lines.need(turn, row.group_id)
    if row.function == "group_leave":
        group = lines.notice(turn, group.with_(state="left", why="left_self"), "left_self")
        lines.save(turn, group)
    elif status >= 400:
        if row.function == "invite_create":  # the link will never work
            made = turn.get(Invite, row.fields["invite_id"])
            if made:
                turn.put(made.with_(ended=True))
        code = str(body.get("code", "refused"))
        sentence = str(body.get("message") or f"The service answered {status}.")
        turn.show("problem", code=code, sentence=sentence)
        if code == "not_a_member":  # removed before it came in: the log says so
            turn.do(CatchUp(row.group_id))
