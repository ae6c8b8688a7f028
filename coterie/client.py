"""The client: the operations of docs/bridge.md, as methods. Times are milliseconds."""

from __future__ import annotations

from typing import Any

from coterie.core.effects import DIRECTORY_LANE
from coterie.core.engine import Engine
from coterie.core.invite import DEFAULT_LIFETIME, DEFAULT_USES, Link
from coterie.core.records import group_key
from coterie.driver import Driver
from coterie.errors import InviteError, LocalError, Refused, StateError
from coterie.passkeys import Passkeys
from coterie.ports import TABLES, Answer

PAGE = 50
"""Lines in a page of history."""
LINE_KEY = 10
"""Bytes of a line's key behind the group: seq and index."""


class Client(Driver):
    """One device of one person.

    `mls` is the module `coterie_mls`; `on_event` gets every event of docs/bridge.md as a dict, after it was saved.
    """

    async def set_name(self, *, name: str) -> dict[str, Any]:
        """The own display name, told to all groups. Raises `LocalError` (`bad_name`)."""
        return await self._run(lambda engine, now: engine.set_name(name, now))

    async def _registered(self) -> None:
        await self._sessions.ensure()
        self._go_online()

    async def create_group(self, *, name: str) -> dict[str, Any]:
        """A new group with this device as its owner. Raises `LocalError`, `Unreachable` before the first sign-in."""
        await self._registered()
        return await self._run(lambda engine, now: engine.create_group(name, now))

    async def open_group(
        self, *, group_id: str, before: str | None = None, limit: int = PAGE
    ) -> dict[str, Any]:
        """Group, members and a page of lines, the newest ones or those before a key."""
        self._group(group_id)
        below = self._line_key(group_id, before) if before else None
        async with self._turn:  # a line must not move from the outbox to the history between the two
            rows = await self._store.page("messages", group_key(group_id), before=below, limit=limit)
            opened = self._engine.open_group(group_id, rows, newest=before is None)
        return opened | {"more": len(rows) == limit}

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

    async def send_text(self, *, group_id: str, text: str) -> dict[str, Any]:
        """Send a line; it is in the outbox, encrypted and saved, when this returns."""
        self._group(group_id)
        return await self._run(lambda engine, now: engine.send_text(group_id, text, now))

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
        """What a link leads to. Raises `LinkError`, `InviteError`, `Refused` (`invite_unavailable`), `Unreachable`."""
        parsed = Link.parse(link)
        known = self._engine.known_link(parsed)
        if known:
            return known
        await self._registered()
        answer = await self.call("invite_info", {"invite_id": parsed.invite_id.hex()})
        if answer.body.get("code") == "invite_unavailable":
            raise InviteError(
                "invite_unavailable", "This invite link does not work any more. Ask for a new one."
            )
        if answer.status >= 300:
            raise _refusal(answer)
        return self._engine.previewed(parsed, answer.body)

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

    # -- own devices --

    async def devices(self) -> list[dict[str, Any]]:
        """The user's devices, as the service has them; none before the first sign-in.

        Raises `Unreachable`, `Refused`.
        """
        if not self._engine.registered:
            return []
        answer = await self.call("devices_list", {})
        listed = answer.body.get("devices")
        if answer.status >= 300 or not isinstance(listed, list):
            raise _refusal(answer)
        return self._engine.devices_in_groups(listed)

    async def revoke_device(self, *, device_id: str) -> dict[str, Any]:
        """Take one of the user's devices out of use, and out of the groups that this one shares with it."""
        await self._do(lambda engine, now: engine.revoke_device(device_id, now))
        await self._posting.until_tried(DIRECTORY_LANE)
        return {}

    async def rename_device(self, *, name: str) -> dict[str, Any]:
        """What this device is called in the list of devices. Raises `LocalError` (`bad_name`), `Unreachable`."""
        if not self._engine.registered:
            raise StateError("no_device", "This device is not registered yet.")
        await self._do(lambda engine, now: engine.rename_device(name, now))
        await self._sessions.bind()
        return {}

    async def sign_in(self, *, session: dict[str, Any]) -> dict[str, Any]:
        """Go on with a session of the same user (as Supabase Auth gives it), after the device's own was lost.

        Raises `StateError` (`other_user`): nothing is changed; `RemoteError`, `Unreachable`.
        """
        try:
            await self._sessions.adopt(session)
        except Refused as error:
            await self._was_over(error)
            raise
        self._go_online()
        self.back_online()
        return self._engine.snapshot(self._sync.state)

    # -- passkeys --

    async def passkey_options(self) -> dict[str, Any]:
        """What `navigator.credentials.create` takes, for this device's user: `{challenge_id, options, expires_at}`.

        Raises `Unreachable`; `Refused`, among others with `too_many_passkeys`, `passkey_disabled`, and
        `no_authorization` where the service gives guests none.
        """
        await self._registered()
        own_name = self._engine.snapshot(self._sync.state)["name"]
        return await self._passkeys().registration_options(own_name or "Coterie")

    async def passkey_verify(self, *, challenge_id: str, credential: dict[str, Any]) -> dict[str, Any]:
        """Keep the passkey that the page made: `Passkey`. A guest is a user from now on. Raises as before."""
        return await self._passkeys().register(challenge_id, credential)

    async def sign_in_options(self) -> dict[str, Any]:
        """What `navigator.credentials.get` takes: `{challenge_id, options, expires_at}`.

        Raises `Unreachable`, `Refused`.
        """
        return await self._passkeys().sign_in_options()

    async def sign_in_verify(self, *, challenge_id: str, credential: dict[str, Any]) -> dict[str, Any]:
        """Sign in with the passkey that the page was given: `Snapshot`.

        On a device that holds nothing yet it makes a new device of that user; after a session was lost, it goes on as
        the same device. Raises `StateError` (`other_user`): nothing is changed; `Refused`, `Unreachable`.
        """
        session = await self._passkeys().sign_in(challenge_id, credential)
        try:
            return await self.sign_in(session=session)
        except StateError:
            await self._passkeys().discard(session)
            raise

    async def list_passkeys(self) -> list[dict[str, Any]]:
        """The user's passkeys, the oldest first. Raises `Unreachable`, `Refused`."""
        return await self._passkeys().all()

    async def rename_passkey(self, *, passkey_id: str, name: str) -> dict[str, Any]:
        """Give a passkey a name that the service keeps: `Passkey`. Raises `Unreachable`, `Refused`."""
        return await self._passkeys().rename(passkey_id, name)

    async def remove_passkey(self, *, passkey_id: str) -> dict[str, Any]:
        """Take a passkey away. Raises `Refused` (`single_identity_not_deletable` for the last one), `Unreachable`."""
        await self._passkeys().remove(passkey_id)
        return {}

    def _passkeys(self) -> Passkeys:
        return Passkeys(self._transport, self._sessions)

    async def mark_read(self, *, group_id: str, seq: int) -> dict[str, Any]:
        """The user has seen all lines up to `seq`."""
        self._group(group_id)
        await self._do(lambda engine, now: engine.mark_read(group_id, seq, now))
        return {}

    async def export_state(self) -> bytes:
        """The whole state, private keys included; the copy will read and never send."""
        async with self._turn:
            return self._engine.export({table: await self._store.load(table) for table in TABLES})

    async def import_state(self, *, data: bytes) -> dict[str, Any]:
        """Fill an empty store with an exported state. Raises `StateError`, `LocalError` (`bad_export`)."""
        if self._engine.backend is not None:
            raise StateError("not_empty", "This device has a state of its own. Sign out first.")
        changes = Engine.import_(self._mls, data)
        async with self._turn:
            await self._store.commit(changes)
            await self._reload()
        return self._engine.snapshot(self._sync.state)

    async def sign_out(self) -> dict[str, Any]:
        """End the session and delete this device's state."""
        await self._sessions.sign_out()
        await self._stop()
        async with self._turn:
            await self._store.clear()
            await self._reload()
        self._stopping = False
        return {}


def _refusal(answer: Answer) -> Refused:
    sentence = str(answer.body.get("message") or f"The service answered {answer.status}.")
    return Refused(str(answer.body.get("code")), sentence, answer.status)
