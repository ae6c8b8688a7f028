"""The client: the operations of docs/bridge.md, as methods. Times are milliseconds."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from coterie.account import Account, refusal
from coterie.core.effects import DIRECTORY_LANE
from coterie.core.invite import DEFAULT_LIFETIME, DEFAULT_USES, Link
from coterie.core.records import group_key
from coterie.errors import CoterieError, InviteError, LocalError, StateError, StorageError
from coterie.looking import last_seq

PAGE = 50
"""Lines in a page of history."""
LINE_KEY = 10
"""Bytes of a line's key behind the group: seq and index."""


class Client(Account):
    """One device of one person.

    `mls` is the module `coterie_mls`; `on_event` gets every event of docs/bridge.md as a dict, after it was saved.
    """

    async def set_name(self, *, name: str) -> dict[str, Any]:
        """The own display name, told to all groups. Raises `LocalError` (`bad_name`)."""
        return await self._run(lambda engine, now: engine.set_name(name, now))

    async def create_group(self, *, name: str) -> dict[str, Any]:
        """A new group with this device as its owner.

        Raises `LocalError`; before the first sign-in also `Refused`, `Unreachable`.
        """
        await self._registered()
        return await self._run(lambda engine, now: engine.create_group(name, now))

    async def open_group(
        self, *, group_id: str, before: str | None = None, limit: int = PAGE
    ) -> dict[str, Any]:
        """Group, members and a page of lines, the newest ones or those before a key."""
        self._group(group_id)
        below = self._line_key(group_id, before) if before else None
        async with self._turn:  # a line must not move from the outbox to the history between the two
            rows = await self._store.page("messages", group_key(group_id), before=below, limit=limit + 1)
            opened = self._engine.open_group(group_id, rows[-limit:], newest=before is None)
        return opened | {"more": len(rows) > limit}

    def _line_key(self, group_id: str, key: str) -> bytes:
        try:
            place = bytes.fromhex(key)
        except ValueError:
            place = b""
        if len(place) != LINE_KEY:
            raise LocalError("no_line", "There is no such line.")
        return group_key(group_id) + place

    def _group(self, group_id: str) -> None:
        try:
            group_key(group_id)
        except ValueError:
            raise LocalError("no_group", "There is no such group on this device.") from None

    async def send_text(self, *, group_id: str, text: str, line_id: str | None = None) -> dict[str, Any]:
        """Send a line; it is in the outbox, encrypted and saved, when this returns.

        `line_id` is a UUID by which one may ask twice, not knowing whether the first was heard: the second time is
        answered with `{}`. Raises `LocalError`, `StateError`.
        """
        self._group(group_id)
        asked = _line_id(line_id)
        return await self._run(lambda engine, now: engine.send_text(group_id, text, now, asked=asked))

    async def health(self, *, group_id: str) -> dict[str, Any]:
        """How a group stands (`Health` of docs/bridge.md); the service is asked too, for a few seconds at most.

        Raises `StateError` (`no_group`).
        """
        self._group(group_id)
        follows = group_id in self._engine.cursors()
        last, service = await last_seq(self, group_id) if follows else (None, "")
        return self._engine.health(group_id, self._sync.state, last, service, self._clock.now())

    async def discard_line(self, *, group_id: str, key: str) -> dict[str, Any]:
        """Forget an own line that was refused."""
        self._group(group_id)
        rows = await self._store.page("messages", self._line_key(group_id, key), before=None, limit=1)
        if not rows:
            raise StateError("no_line", "There is no such line.")
        await self._do(lambda engine, now: engine.discard_line(group_id, rows[0][1], now))
        return {}

    async def create_invite(
        self, *, group_id: str, expires_in: int = DEFAULT_LIFETIME, max_uses: int = DEFAULT_USES
    ) -> dict[str, Any]:
        """An invite link; it works once the service has it, which is awaited while it can be reached."""
        self._group(group_id)
        view = await self._run(
            lambda engine, now: engine.create_invite(group_id, expires_in, max_uses, self._origin, now)
        )
        await self._posting.until_tried(group_key(group_id))
        return view

    async def list_invites(self, *, group_id: str) -> list[dict[str, Any]]:
        """The invites of a group that this device knows."""
        self._group(group_id)
        return self._engine.list_invites(group_id, self._origin, self._clock.now())

    async def revoke_invite(self, *, invite_id: str) -> dict[str, Any]:
        """End an invite."""
        await self._do(lambda engine, now: engine.revoke_invite(invite_id, now))
        return {}

    async def preview_link(self, *, link: str) -> dict[str, Any]:
        """What a link leads to.

        Raises `LinkError`, `InviteError` (`invite_unavailable`, `bad_preview`), `Refused`, `StateError`, `Unreachable`.
        """
        parsed = Link.parse(link)
        known = self._engine.known_link(parsed)
        if known:
            return known
        try:
            return self._engine.previewed(parsed, await self._preview_of(parsed))
        except CoterieError as error:
            told = self._engine.told_link(parsed)
            if told is None or isinstance(error, StorageError):
                raise
            return told

    async def _preview_of(self, link: Link) -> dict[str, Any]:
        """The service's answer to `invite_info`. Raises `InviteError`, `Refused`, `StateError`, `Unreachable`."""
        await self._registered()
        answer = await self.call("invite_info", {"invite_id": link.invite_id.hex()})
        if answer.body.get("code") == "invite_unavailable":
            raise InviteError(
                "invite_unavailable", "This invite link does not work any more. Ask for a new one."
            )
        if answer.status >= 300:
            raise refusal(answer)
        return answer.body

    async def join(self, *, link: str, name: str) -> dict[str, Any]:
        """Ask to join by a link; the state of the wait comes by events."""
        parsed = Link.parse(link)
        if parsed.invite_id not in self._engine.previews:
            await self.preview_link(link=link)
        return await self._run(lambda engine, now: engine.join(parsed, name, now))

    async def cancel_join(self, *, join_id: str) -> dict[str, Any]:
        """Take a request back."""
        await self._do(lambda engine, now: engine.cancel_join(join_id, now))
        return {}

    async def dismiss_join(self, *, join_id: str) -> dict[str, Any]:
        """Forget a request that has ended."""
        await self._do(lambda engine, now: engine.dismiss_join(join_id, now))
        return {}

    async def remove_member(self, *, group_id: str, identity: str) -> dict[str, Any]:
        """Remove somebody; every invite link of the group ends with it."""
        self._group(group_id)
        await self._do(lambda engine, now: engine.remove_member(group_id, identity, now))
        return {}

    async def leave_group(self, *, group_id: str) -> dict[str, Any]:
        """Leave: told to the members, then to the service."""
        self._group(group_id)
        await self._do(lambda engine, now: engine.leave_group(group_id, now))
        return {}

    async def rejoin(self, *, group_id: str) -> dict[str, Any]:
        """Try to come back into a stuck group; a line says what came of it. Raises `StateError` (`not_stuck`)."""
        self._group(group_id)
        await self._do(lambda engine, now: engine.rejoin(group_id, now))
        return {}

    async def start_again(self, *, group_id: str) -> dict[str, Any]:
        """Start a broken group again in a new one, without the person whose device broke it: the new group.

        Raises `StateError` (`not_broken`, `started_again`).
        """
        self._group(group_id)
        return await self._run(lambda engine, now: engine.start_again(group_id, now))

    async def forget_group(self, *, group_id: str) -> dict[str, Any]:
        """Delete a group that is over, with its history."""
        self._group(group_id)
        keys: list[bytes] = []
        before: bytes | None = None
        while rows := await self._store.page("messages", group_key(group_id), before=before, limit=1000):
            keys += [key for key, _ in rows]
            before = rows[0][0]
        await self._do(lambda engine, now: engine.forget_group(group_id, keys, now))
        return {}

    # -- people --

    async def people(self) -> list[dict[str, Any]]:
        """Everybody that this device met in a group."""
        return self._engine.people()

    async def add_person(
        self, *, group_id: str, user_id: str, accept: list[str] | None = None
    ) -> dict[str, Any]:
        """Add the devices of somebody known, without a link; waits for the service while it can be reached.

        `accept`: identity keys (hex) of devices that were never met, as `new_keys` of an earlier answer named them. The
        answer is an `Addition`, or `{}` while the service can't be reached: the event `addition` comes later.
        """
        self._group(group_id)
        claim_id = await self._run(
            lambda engine, now: engine.add_person(group_id, user_id, accept or [], now)
        )
        await self._posting.until_tried(DIRECTORY_LANE)
        return self._engine.additions.pop(claim_id, {})

    async def invitations(self) -> list[dict[str, Any]]:
        """Groups to which somebody added this device, and which wait for the user's word."""
        return self._engine.invitations()

    async def accept_invitation(self, *, group_id: str) -> dict[str, Any]:
        """Enter the group: `{group}`, or `{invitation}` with the cause when it does not hold. Raises `StateError`."""
        self._group(group_id)
        return await self._run(lambda engine, now: engine.accept_invitation(group_id, now))

    async def decline_invitation(self, *, group_id: str) -> dict[str, Any]:
        """Refuse an invitation, or forget one that failed. Raises `StateError` (`no_invitation`)."""
        self._group(group_id)
        await self._do(lambda engine, now: engine.decline_invitation(group_id, now))
        return {}

    async def mark_read(self, *, group_id: str, seq: int) -> dict[str, Any]:
        """The user has seen all lines up to `seq`."""
        self._group(group_id)
        await self._do(lambda engine, now: engine.mark_read(group_id, seq, now))
        return {}


def _line_id(line_id: str | None) -> bytes:
    try:
        return UUID(line_id).bytes if line_id else b""
    except ValueError:
        raise LocalError("bad_id", "The id of a line is a UUID.") from None
