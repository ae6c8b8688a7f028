"""What the service says, and what time brings: the half of the engine that no user sets going."""

from __future__ import annotations

from typing import Any

from coterie.core import adding, answers, devices, invitations, joining
from coterie.core.effects import DEVICE_LANE, DIRECTORY_LANE, Call, Step
from coterie.core.group import commits, controls, inbox, outbox
from coterie.core.machine import Machine
from coterie.core.records import Group, Join, Outgoing, group_key
from coterie.core.state import Turn
from coterie.errors import InviteError
from coterie_wire import Envelope

OUTBOX_KEY = 24
"""Bytes of an outbox row's key: lane and order."""


class Hearing(Machine):
    """One device's state machine, as the service moves it."""

    def cursors(self) -> dict[str, int]:
        """The saved cursor of every group that delivers."""
        groups = self._look(lambda turn: turn.rows(Group))
        return {group.group_id: group.cursor for group in groups if group.state in ("active", "broken")}

    def open_joins(self) -> list[str]:
        """Own joins that wait."""
        return [join.join_id for join in self._look(lambda turn: turn.rows(Join)) if join.state == "waiting"]

    def lanes(self) -> set[bytes]:
        """Lanes that have something to post."""
        return {row.lane for row in self._look(lambda turn: turn.rows(Outgoing))}

    def next_post(self, lane: bytes) -> tuple[bytes, str, dict[str, Any]] | None:
        """What to post next in a lane: a key for `posted`, the function, the body. None: nothing, or it must wait."""
        if self.read_only:
            return None
        row = self._look(lambda turn: outbox.head(turn, lane, self._blocked))
        return (row.key + outbox.ident(row), row.function, outbox.body(row)) if row else None

    def posted(self, key: bytes, status: int, body: dict[str, Any], now: int) -> Step:
        """The service's final answer (not 5xx, not one of `outbox.RETRY`) to what `next_post` gave.

        It means nothing for a row that is gone, or was framed anew meanwhile. Raises `RemoteError` (`bad_answer`).
        """

        def work(turn: Turn) -> None:
            row = turn.get(Outgoing, key[:OUTBOX_KEY])
            if row is None or key[OUTBOX_KEY:] != outbox.ident(row):
                return
            if row.lane == DEVICE_LANE:
                joining.answered(turn, row, status, body)
            elif row.lane == DIRECTORY_LANE:
                self._directory_answered(turn, row, status, body)
            elif row.kind == "call":
                answers.called(turn, row, status, body)
            elif status < 300:
                (outbox.accepted if row.kind == "message" else commits.taken)(turn, row, body)
            else:
                answers.not_taken(turn, row, status, body, self.completing, self._blocked)

        return self._turn(now, work)[0]

    def _directory_answered(self, turn: Turn, row: Outgoing, status: int, body: dict[str, Any]) -> None:
        match row.function:
            case "key_packages_publish":
                self.packages.answered(turn, row, status, body)
            case "key_packages_claim":
                outcome = adding.claimed(turn, row, status, body)
                if outcome:
                    self.additions[row.fields["claim_id"]] = outcome
                    turn.show("addition", addition=outcome)
            case "device_revoke":
                devices.answered(turn, row, status, body)
            case "group_leave":
                invitations.answered(turn, row)

    def receive(self, envelope: Envelope, now: int, *, paged: bool = False) -> Step:
        """One envelope, from the socket or (`paged`) from a page of `get_messages`."""

        def work(turn: Turn) -> None:
            before = turn.get(Group, group_key(envelope.group_id))
            inbox.receive(turn, envelope, paged=paged)
            after = turn.get(Group, group_key(envelope.group_id))
            if before and after and after.epoch != before.epoch:
                self._epoch_moved(turn, after)

        return self._turn(now, work)[0]

    def _epoch_moved(self, turn: Turn, group: Group) -> None:
        """Rows of the old epoch may be encrypted anew; joins are looked at again, other intents carried out."""
        for row in turn.rows(Outgoing, group.key):
            if row.key in self._blocked and row.kind == "message":
                outbox.stale(turn, row, self._blocked)
        self._blocked = {key for key in self._blocked if not key.startswith(group.key)}
        had_newcomers = self.completing.forget(group.group_id)
        if had_newcomers or self.completing.elsewhere:
            turn.do(Call("invite_pending", {}))
        commits.advance(turn, group, [])

    def joins_waiting(self, joins: list[Any], now: int) -> Step:
        """Elements of `invite_pending`, from an answer or a `join_waiting` frame."""
        return self._turn(now, lambda turn: self.completing.seen(turn, joins))[0]

    def answered(
        self, function: str, request: dict[str, Any], status: int, body: dict[str, Any], now: int
    ) -> Step:
        """The answer to a `Call` effect."""

        def work(turn: Turn) -> None:
            if function == "invite_claim":
                self.completing.answered(turn, request, status)
            elif function == "invite_pending" and isinstance(body.get("joins"), list):
                self.completing.all_seen(turn, body["joins"])
            elif function == "key_packages_count":
                self.packages.stock(turn, body)
            elif function == "welcomes_list" and isinstance(body.get("welcomes"), list):
                invitations.take_all(turn, body["welcomes"], alone="group_id" in request)

        if function == "invite_poll":
            return self.polled(body, now)
        return self._turn(now, work)[0]

    def polled(self, answer: dict[str, Any], now: int) -> Step:
        """An answer of `invite_poll`, or a `welcome` frame. A Welcome that is not the link's fails the join."""
        try:
            return self._turn(now, lambda turn: joining.polled(turn, answer))[0]
        except InviteError as error:
            refusal = error
            return self._turn(now, lambda turn: joining.fail(turn, str(answer["join_id"]), refusal))[0]

    def tick(self, now: int) -> Step:
        """What time brings: people who asked to leave, invites to ask for, claims of others that lapsed."""

        def work(turn: Turn) -> None:
            for group in turn.rows(Group) if self.registered and not self.read_only else []:
                current = controls.ask_if_due(turn, group)
                commits.advance(turn, current, self.completing.of(group.group_id))
            if self.completing.elsewhere:
                turn.do(Call("invite_pending", {}))
            self.packages.look_again(turn)

        return self._turn(now, work)[0]
