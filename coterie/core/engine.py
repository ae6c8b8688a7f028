"""The engine: takes what the user does and what the service says, one at a time, and answers with a `Step`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coterie.core import (
    adding,
    chats,
    devices,
    health,
    invitations,
    invite,
    inviting,
    joining,
    people,
    rejoining,
    starting_again,
    updating,
)
from coterie.core.effects import Call, Step
from coterie.core.group import lines, once, outbox
from coterie.core.hearing import Hearing
from coterie.core.records import Group, Invite, Me, group_key
from coterie.core.state import Turn
from coterie.errors import InviteError, StateError


class Engine(Hearing):
    """One device's state machine, with all that the user does and the service says."""

    # -- groups --

    def create_group(self, name: str, now: int) -> tuple[Step, dict[str, Any]]:
        """A group with this device in it. Raises `LocalError`."""
        return self._turn(now, lambda turn: chats.create(turn, name))

    def open_group(self, group_id: str, rows: list[tuple[bytes, bytes]], *, newest: bool) -> dict[str, Any]:
        """Group, members and the lines of stored `rows`; with the pending ones at the end of the newest page."""
        return self._look(lambda turn: chats.opened(turn, group_id, rows, newest=newest))

    def send_text(
        self, group_id: str, text: str, now: int, *, asked: bytes = b""
    ) -> tuple[Step, dict[str, Any]]:
        """A line of text into the outbox; `{}` when a line was taken under the id `asked`. Raises `LocalError`."""

        def work(turn: Turn) -> dict[str, Any]:
            group = lines.need(turn, group_id)
            if asked and not once.is_new(turn, group, "asked", asked):
                return {}
            view = outbox.send_text(turn, group_id, text)
            if group_id in self.up_to_date:  # so many lines may have made the leaf due
                updating.look(turn, lines.need(turn, group_id))
            return view

        return self._turn(now, work)

    def health(
        self, group_id: str, connection: str, last_seq: int | None, service: str, now: int
    ) -> dict[str, Any]:
        """How a group stands, with what the service said of it (`health.view`). Raises `StateError` (`no_group`)."""
        return self._look(
            lambda turn: health.view(
                turn, group_id, connection=connection, last_seq=last_seq, service=service
            ),
            now,
        )

    def discard_line(self, group_id: str, value: bytes, now: int) -> Step:
        """Forget an own line that was not sent; `value` is its stored row."""
        return self._turn(now, lambda turn: chats.discard_line(turn, group_id, value))[0]

    def mark_read(self, group_id: str, seq: int, now: int) -> Step:
        """The user has seen all up to `seq`."""
        return self._turn(now, lambda turn: chats.mark_read(turn, group_id, seq))[0]

    def remove_member(self, group_id: str, identity: str, now: int) -> Step:
        """Remove somebody; ends the invites. Raises `StateError` (`not_owner`, `no_member`)."""
        newcomers = self.completing.of(group_id)
        return self._turn(now, lambda turn: chats.remove_member(turn, group_id, identity, newcomers))[0]

    def leave_group(self, group_id: str, now: int) -> Step:
        """Tell the members, then the service; the members commit the removal."""
        return self._turn(now, lambda turn: chats.leave(turn, group_id))[0]

    def rejoin(self, group_id: str, now: int) -> Step:
        """Come back into a group whose state here does not hold. Raises `StateError` (`no_group`, `not_stuck`)."""
        return self._turn(now, lambda turn: rejoining.by_hand(turn, group_id))[0]

    def start_again(self, group_id: str, now: int) -> tuple[Step, dict[str, Any]]:
        """A new group in the place of a broken one. Raises `StateError` (`not_broken`, `started_again`)."""
        return self._turn(now, lambda turn: starting_again.start(turn, group_id))

    def forget_group(self, group_id: str, line_keys: list[bytes], now: int) -> Step:
        """Delete a group that is over or stuck, with its history. Raises `StateError` (`still_member`)."""
        return self._turn(now, lambda turn: chats.forget(turn, group_id, line_keys))[0]

    # -- invites --

    def create_invite(
        self, group_id: str, lifetime: int, max_uses: int, origin: str, now: int
    ) -> tuple[Step, dict[str, Any]]:
        """A link; `lifetime` in seconds. Raises `LocalError` (`bad_invite` out of its bounds)."""
        inviting.check(lifetime, max_uses)
        return self._turn(now, lambda turn: inviting.create(turn, group_id, lifetime, max_uses, origin))

    def list_invites(self, group_id: str, origin: str, now: int) -> list[dict[str, Any]]:
        """The invites of a group that this device knows, the newest first."""
        return self._look(lambda turn: inviting.listed(turn, group_id, origin), now)

    def revoke_invite(self, invite_id: str, now: int) -> Step:
        """End an invite for the service and the members. Raises `StateError` (`no_invite`)."""
        return self._turn(now, lambda turn: inviting.revoke(turn, invite_id))[0]

    def known_link(self, link: invite.Link) -> dict[str, Any] | None:
        """What this device knows of a link without asking: that it made it, or a join that waits."""
        return self._leads(link, own=True) or self._look(lambda turn: joining.known(turn, link))

    def told_link(self, link: invite.Link) -> dict[str, Any] | None:
        """The group of a link by the word of its members, for when the service does not say where the link leads.

        Whoever has a link can tell it in any group, so the preview goes before.
        """
        return self._leads(link, own=False)

    def _leads(self, link: invite.Link, *, own: bool) -> dict[str, Any] | None:
        """The active group under which a link is kept here; `own`: if this device made it."""
        known = self._look(lambda turn: turn.get(Invite, link.invite_id))
        group = self._look(lambda turn: turn.get(Group, group_key(known.group_id))) if known else None
        if known is None or group is None or group.state != "active":
            return None
        kept, held = (known.secret, link.secret) if own else (known.tag_key, self._keys(link).tag)
        return {"kind": "member", "group_id": group.group_id} if invite.same(kept, held) else None

    def _keys(self, link: invite.Link) -> invite.Keys:
        return invite.Keys.derive(self.mls, link.invite_id, link.secret)

    def previewed(self, link: invite.Link, body: Mapping[str, Any]) -> dict[str, Any]:
        """The service's answer to `invite_info`, opened with the link. Raises `InviteError` (`bad_preview`)."""
        try:
            sealed = bytes.fromhex(body["preview"])
        except (KeyError, ValueError, TypeError):
            sealed = b""
        preview = invite.Preview.open(self.mls, self._keys(link).preview, link.invite_id, sealed)
        self.previews[link.invite_id] = preview
        group = self._look(lambda turn: turn.get(Group, group_key(preview.group_id)))
        if group and group.state == "active":
            return {"kind": "member", "group_id": group.group_id}
        waiting = self._look(lambda turn: joining.waiting_for(turn, preview.group_id))
        if waiting:
            return {"kind": "waiting", "join_id": waiting.join_id}
        return {
            "kind": "preview",
            "group_name": preview.group_name,
            "inviter_name": preview.inviter_name,
            "expires_at": preview.expires_at,
        }

    def join(self, link: invite.Link, name: str, now: int) -> tuple[Step, dict[str, Any]]:
        """Ask to join, after `previewed`; asking again is the same request. Raises `LocalError`, `InviteError`."""
        preview = self.previews.get(link.invite_id)
        if preview is None:
            return Step(), self._join_again(link)

        def work(turn: Turn) -> dict[str, Any]:
            before = turn.get(Me, b"me")
            view = joining.start(turn, link, preview, name)
            me = turn.get(Me, b"me")
            if me and me != before:
                self._tell_name(turn)
            return view

        return self._turn(now, work)

    def _join_again(self, link: invite.Link) -> dict[str, Any]:
        """The join of a link that was not looked at in this run."""
        known = self.known_link(link) or self.told_link(link)
        if known is None:
            raise StateError("no_preview", "The invitation was not looked at yet.")
        if known["kind"] == "member":
            raise StateError("already_member", "You are in this group already.")
        return next(view for view in self.snapshot("")["joins"] if view["join_id"] == known["join_id"])

    def cancel_join(self, join_id: str, now: int) -> Step:
        """Take a request back. Raises `StateError` (`no_join`)."""
        return self._turn(now, lambda turn: joining.cancel(turn, join_id))[0]

    def dismiss_join(self, join_id: str, now: int) -> Step:
        """Forget a request that has ended. Raises `StateError`."""
        return self._turn(now, lambda turn: joining.dismiss(turn, join_id))[0]

    # -- people --

    def people(self) -> list[dict[str, Any]]:
        """`[Person]` of docs/bridge.md."""
        return self._look(people.listed) if self.registered else []

    def add_person(self, group_id: str, user_id: str, accept: list[str], now: int) -> tuple[Step, str]:
        """Add a known user's devices to a group; the key in `additions` for when the service answered.

        Raises `StateError`.
        """
        return self._turn(now, lambda turn: adding.ask(turn, group_id, user_id, accept))

    def invitations(self) -> list[dict[str, Any]]:
        """`[Invitation]` of docs/bridge.md."""
        return self._look(invitations.listed)

    def invited(self, welcomes: list[Any], now: int) -> Step:
        """Elements of `welcomes_list`, from an answer or an `invitation` frame."""
        return self._turn(now, lambda turn: invitations.take_all(turn, welcomes))[0]

    def accept_invitation(self, group_id: str, now: int) -> tuple[Step, dict[str, Any]]:
        """Enter the group: `{group}`, or `{invitation}` when its Welcome does not hold. Raises `StateError`."""
        try:
            return self._turn(now, lambda turn: {"group": invitations.accept(turn, group_id)})
        except InviteError as error:
            refusal = error
            return self._turn(now, lambda turn: {"invitation": invitations.fail(turn, group_id, refusal)})

    def decline_invitation(self, group_id: str, now: int) -> Step:
        """Refuse an invitation, or forget one that failed. Raises `StateError` (`no_invitation`)."""
        return self._turn(now, lambda turn: invitations.decline(turn, group_id))[0]

    # -- own devices and key packages --

    def devices_in_groups(self, listed: list[Any]) -> list[dict[str, Any]]:
        """`[Device]` of docs/bridge.md, of the service's `devices_list`."""
        return self._look(lambda turn: devices.in_groups(turn, listed))

    def revoke_device(self, device_id: str, now: int) -> Step:
        """Take one of the user's devices out of use, and out of the groups. Raises `StateError`."""
        return self._turn(now, lambda turn: devices.revoke(turn, device_id))[0]

    def online(self, now: int) -> Step:
        """This device begins to listen: ask for what it may have missed."""

        def work(turn: Turn) -> None:
            self.packages.look(turn)
            turn.do(Call("welcomes_list", {}))

        return self._turn(now, work)[0]

    def stock_told(self, stock: dict[str, Any], now: int) -> Step:
        """How many key packages the service has: a `key_packages_low` frame."""
        return self._turn(now, lambda turn: self.packages.stock(turn, stock))[0]

    def make_packages(self, now: int) -> tuple[Step, bool]:
        """The next slice of key packages; True when there is more to make."""
        return self._turn(now, self.packages.make)
