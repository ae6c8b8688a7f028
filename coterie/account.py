"""The operations of docs/bridge.md that are about the user, not about a group: devices, sign-in, the whole state."""

from __future__ import annotations

from typing import Any

from coterie.backup import Backups
from coterie.core.effects import DIRECTORY_LANE
from coterie.core.engine import Engine
from coterie.core.keys import Stretch
from coterie.driver import Driver
from coterie.errors import Refused, StateError
from coterie.passkeys import Passkeys
from coterie.ports import TABLES, Answer
from coterie.session import OVER


class Account(Driver):
    """One device and its user at the service."""

    def snapshot(self) -> dict[str, Any]:
        """How everything stands: `Snapshot`."""
        return self._engine.snapshot(self._sync.state)

    def _anew(self) -> dict[str, Any]:
        """Everything may be another now: the snapshot, for who asked and for whoever looks on."""
        snapshot = self.snapshot()
        self._show({"event": "snapshot", "snapshot": snapshot})
        return snapshot

    async def _registered(self) -> None:
        await self._sessions.ensure()
        self._go_online()

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
            raise refusal(answer)
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
        return self._anew()

    # -- passkeys --

    async def passkey_options(self) -> dict[str, Any]:
        """What `navigator.credentials.create` takes, for this device's user: `{challenge_id, options, expires_at}`.

        Raises `Unreachable`; `Refused`, among others with `too_many_passkeys`, `passkey_disabled`, and
        `no_authorization` where the service gives guests none.
        """
        await self._registered()
        own_name = self.snapshot()["name"]
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
        except (StateError, Refused) as error:
            if isinstance(error, StateError) or error.code in OVER:
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

    # -- all that is here --

    def backups(self, stretch: Stretch) -> Backups:
        """Backup and restore of this device's history."""
        return Backups(self._mls, self._store, lambda: self._engine, self._run, stretch)

    async def export_state(self) -> bytes:
        """The whole state, private keys included; the copy will read and never send."""
        async with self._turn:
            return self._engine.export({table: await self._store.load(table) for table in TABLES})

    async def import_state(self, *, data: bytes) -> dict[str, Any]:
        """Fill an empty store with an exported state. Raises `StateError`, `LocalError` (`bad_export`)."""
        async with self._turn:
            if self._engine.backend is not None:
                raise StateError("not_empty", "This device has a state of its own. Sign out first.")
            changes = Engine.import_(self._mls, data)
            await self._store.commit(changes)
            await self._reload()
        return self._anew()

    async def sign_out(self) -> dict[str, Any]:
        """Delete this device's state, end the session. Raises `StorageError`: nothing is deleted, and all goes on."""
        token = await self._sessions.last_token()
        await self._stop()
        try:
            async with self._turn:
                async with self._saving():
                    await self._store.clear()
                self._engine = Engine.load(self._mls, {})  # as the store has it now
                self._sessions.forget()
        finally:
            self._stopping = False
            self._go_online()  # what is still there; nothing, when all went well
        if token:
            await self._sessions.end(token)
        self._show({"event": "signed_out"})
        return {}


def refusal(answer: Answer) -> Refused:
    """What the service said no with."""
    sentence = str(answer.body.get("message") or f"The service answered {answer.status}.")
    return Refused(str(answer.body.get("code")), sentence, answer.status)
