"""What the service says, and what time brings: the half of the engine that no user sets going."""

from __future__ import annotations

from typing import Any

from coterie.core import adding, answers, devices, invitations, joining, rejoining, updating
from coterie.core.effects import DEVICE_LANE, DIRECTORY_LANE, Acknowledge, Call, Step
from coterie.core.group import commits, controls, inbox, lines, outbox, rejoin
from coterie.core.machine import Machine
from coterie.core.records import Group, Join, Outgoing, group_key
from coterie.core.standing import release
from coterie.core.state import Turn
from coterie.errors import InviteError
from coterie_wire import Envelope

OUTBOX_KEY = 24
"""Bytes of an outbox row's key: lane and order."""
SUCCESS = 300
"""Statuses below are of calls that were carried out."""


class Hearing(Machine):
    """One device's state machine, as the service moves it."""

    def cursors(self) -> dict[str, int]:
        """The saved cursor of every group that delivers."""
        groups = self._look(lambda turn: turn.rows(Group))
        heard = [group for group in groups if group.state in ("active", "broken")]
        return {group.group_id: group.service_cursor for group in heard}

    def open_joins(self) -> list[str]:
        """Own joins that wait."""
        return [join.join_id for join in self._look(lambda turn: turn.rows(Join)) if join.state == "waiting"]

    def lanes(self) -> set[bytes]:
        """Lanes that have something to post."""
        return {row.lane for row in self._look(lambda turn: turn.rows(Outgoing))}

    def next_post(self, lane: bytes) -> tuple[bytes, str, dict[str, Any]] | None:
        """What to post next in a lane: a key for `posted`, the function, the body. None: nothing, or it must wait."""
        group = self._look(lambda turn: turn.get(Group, lane))
        row = self._look(lambda turn: outbox.head(turn, lane, self._blocked))
        held = group is not None and self.standing.holds(group)
        if self.read_only or (held and row and row.kind != "rejoin"):
            return None
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
            elif row.kind == "rejoin" and status >= SUCCESS:
                rejoining.not_taken(turn, row, status, body)
            elif status < SUCCESS:
                (outbox.accepted if row.kind == "message" else commits.taken)(turn, row, body)
            else:
                answers.not_taken(turn, row, status, body, self.completing, self._blocked)

        return self._turn(now, work)[0]

    def _directory_answered(self, turn: Turn, row: Outgoing, status: int, body: dict[str, Any]) -> None:
        match row.function:
            case "key_packages_publish":
                self.packages.answered(turn, row, status, body)
            case "key_packages_claim" if "identities" in row.note:
                adding.fetched(turn, row, status, body)
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
                self._epoch_moved(turn, after, held=self.standing.holds(before))

        step = self._turn(now, work)[0]
        if self.standing.awaited:
            step = step.without(Acknowledge)
        return step

    def _epoch_moved(self, turn: Turn, group: Group, *, held: bool) -> None:
        """Rows of the old epoch may be encrypted anew; joins are looked at again, other intents carried out.

        While the group is caught up with, every epoch but the last is gone already: these wait for its end.
        """
        if held and not self.standing.holds(group):
            release(turn, group, self._blocked)
        for row in turn.rows(Outgoing, group.key) if group.state == "active" else []:
            if row.key in self._blocked and row.kind == "message":
                outbox.stale(turn, row, self._blocked)
        self._blocked = {key for key in self._blocked if not key.startswith(group.key)}
        self.completing.forget(group.group_id)
        if group.group_id in self.up_to_date:
            self._ask_for_joins(turn)
            group = lines.need(turn, group.group_id)  # what waited may have been framed anew
            commits.advance(turn, controls.ask_if_due(turn, group), [])
            updating.epoch_moved(turn, lines.need(turn, group.group_id))

    def _ask_for_joins(self, turn: Turn) -> None:
        if self.completing.elsewhere:
            turn.do(Call("invite_pending", {}))

    def caught_up(self, group_id: str, seq: int, now: int) -> Step:
        """All of a group up to `seq` was handed over, and what follows is of now: do what waited for that."""

        def work(turn: Turn) -> None:
            group = turn.get(Group, group_key(group_id))
            if group and group.service_cursor >= seq and not self.read_only:
                self.up_to_date.add(group_id)
                commits.look_for_lost(turn, group, all_read=True)
                self._what_time_brings(turn, group)
                self._ask_for_joins(turn)

        return self._turn(now, work)[0]

    def connection_lost(self) -> None:
        """What happens from now on is not heard of: no group is up to date any more."""
        self.up_to_date.clear()

    def joins_waiting(self, joins: list[Any], now: int) -> Step:
        """Elements of `invite_pending`, from an answer or a `join_waiting` frame."""
        return self._turn(now, lambda turn: self.completing.seen(turn, joins, self.up_to_date))[0]

    def answered(
        self, function: str, request: dict[str, Any], status: int, body: dict[str, Any], now: int
    ) -> Step:
        """The answer to a `Call` effect."""

        def work(turn: Turn) -> None:
            if function == "invite_claim":
                self.completing.answered(turn, request, status)
            elif function == "group_info_get":
                rejoining.told(turn, request["group_id"], status, body)
            elif status < SUCCESS:
                self._given(turn, function, request, body)

        if function == "invite_poll":
            return self.polled(body, now)
        return self._turn(now, work)[0]

    def _given(self, turn: Turn, function: str, request: dict[str, Any], body: dict[str, Any]) -> None:
        match function, body:
            case "invite_pending", {"joins": list(joins)}:
                self.completing.all_seen(turn, joins, self.up_to_date)
            case "welcomes_list", {"welcomes": list(welcomes)}:
                invitations.take_all(turn, welcomes, alone="group_id" in request)
            case "groups_list", {"groups": list(groups)}:
                self.standing.told(turn, groups, self._blocked)
            case "commit_pause", _:
                self._paused(turn, request["group_id"])
            case "key_packages_count", _:
                self.packages.stock(turn, body)

    def await_record(self) -> None:
        """The service is about to be asked for its record of this device (`groups_list`)."""
        self._look(self.standing.wait)

    def went_back(self, group_id: str, last_seq: int, now: int) -> Step:
        """The service's last seq in a group lies before one that it had given to this device."""
        return self._turn(now, lambda turn: rejoining.went_back(turn, group_id, last_seq))[0]

    def polled(self, answer: dict[str, Any], now: int) -> Step:
        """An answer of `invite_poll`, or a `welcome` frame. A Welcome that is not the link's fails the join."""
        try:
            return self._turn(now, lambda turn: joining.polled(turn, answer))[0]
        except InviteError as error:
            refusal = error
            return self._turn(now, lambda turn: joining.fail(turn, str(answer["join_id"]), refusal))[0]

    def tick(self, now: int) -> Step:
        """What time brings, to groups that are up to date; claims of others that lapsed, key packages that run out."""

        def work(turn: Turn) -> None:
            for group in turn.rows(Group) if self.registered and not self.read_only else []:
                if group.group_id in self.up_to_date:
                    self._what_time_brings(turn, group)
                rejoin.ask_if_due(turn, lines.need(turn, group.group_id))
            self.standing.ask_again(turn)
            self._ask_for_joins(turn)
            self.packages.look_again(turn)

        return self._turn(now, work)[0]

    def _what_time_brings(self, turn: Turn, group: Group) -> None:
        """Invites to ask for, people who asked to leave, commits that lost, a leaf to renew."""
        group = controls.ask_if_due(turn, group)
        commits.advance(turn, group, self.completing.of(group.group_id))
        updating.look(turn, lines.need(turn, group.group_id))

    def _paused(self, turn: Turn, group_id: str) -> None:
        """The commits of others wait for a moment: now is the time for the own one."""
        group = turn.get(Group, group_key(group_id))
        if group:
            turn.put(group.with_(commit_at=0))
            commits.advance(turn, lines.need(turn, group_id), self.completing.of(group_id))
