"""Passkeys, as far as they are no matter of the page: options from the service, answers to it, and the list of them.

The page's main thread alone can do what lies between: `navigator.credentials.create` and `.get`, which take `options`
(through `PublicKeyCredential.parseCreationOptionsFromJSON` and `.parseRequestOptionsFromJSON`) and give a credential;
its `toJSON()` is what the verifications take. A terminal has none of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from coterie.errors import CoterieError, RemoteError
from coterie.ports import Transport
from coterie.session import Sessions, good

PATH = "/auth/v1/passkeys"


class Passkeys:
    """The user's passkeys at the service. Every call raises `Unreachable` and `Refused`."""

    def __init__(self, transport: Transport, sessions: Sessions) -> None:
        self._transport = transport
        self._sessions = sessions

    async def registration_options(self, name: str) -> dict[str, Any]:
        """`{challenge_id, options, expires_at}`; `name` is for the person's own list: no service sees it."""
        begun = await self._ask("POST", "/registration/options", {})
        match begun:
            case {"challenge_id": str(), "options": {"user": dict(user)}}:
                user.update(name=name, displayName=name)
                return begun
        raise RemoteError("bad_answer", "The service gave no options for a passkey.")

    async def register(self, challenge_id: str, credential: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the passkey that the page made; a guest is a user from now on. Gives `Passkey`."""
        body = {"challenge_id": challenge_id, "credential": credential}
        registered = await self._ask("POST", "/registration/verify", body)
        # the next token says that this is no guest; without it the passkey is there all the same
        with suppress(CoterieError):
            await self._sessions.renew(await self._sessions.token())
        return registered

    async def sign_in_options(self) -> dict[str, Any]:
        """`{challenge_id, options, expires_at}`."""
        return good(await self._transport.request("POST", f"{PATH}/authentication/options", {}, None))

    async def sign_in(self, challenge_id: str, credential: Mapping[str, Any]) -> dict[str, Any]:
        """A session of whoever holds the passkey, in Supabase Auth's shape."""
        body = {"challenge_id": challenge_id, "credential": credential}
        return good(await self._transport.request("POST", f"{PATH}/authentication/verify", body, None))

    async def discard(self, session: Mapping[str, Any]) -> None:
        """End a session that is not to be used."""
        with suppress(CoterieError):  # its tokens are kept nowhere
            token = str(session.get("access_token"))
            await self._transport.request("POST", "/auth/v1/logout?scope=local", {}, token)

    async def all(self) -> list[dict[str, Any]]:
        """`[Passkey]`, the oldest first."""
        items: list[dict[str, Any]] = (await self._ask("GET", "", None)).get("items", [])
        return items

    async def rename(self, passkey_id: str, name: str) -> dict[str, Any]:
        """Gives `Passkey`."""
        return await self._ask("PATCH", f"/{quote(passkey_id, safe='')}", {"friendly_name": name})

    async def remove(self, passkey_id: str) -> None:
        """Any but the last: `Refused` (`single_identity_not_deletable`)."""
        await self._ask("DELETE", f"/{quote(passkey_id, safe='')}", None)

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        token = await self._sessions.token()
        answer = await self._transport.request(method, PATH + path, body, token)
        if answer.body.get("code") == "bad_jwt":  # it ended earlier than this device's clock says
            token = await self._sessions.renew(token)
            answer = await self._transport.request(method, PATH + path, body, token)
        return good(answer)
