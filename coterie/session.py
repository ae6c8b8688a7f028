"""The session of this device: signing in as a guest, registering the device, tokens that stay fresh."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from coterie.core.device import session_from
from coterie.core.effects import Step
from coterie.core.engine import Engine
from coterie.core.records import Session
from coterie.core.views import why_ended
from coterie.errors import Refused, RemoteError, StateError, StorageError, Unreachable
from coterie.ports import Answer, Clock, Transport

PARTING = 3
"""Seconds that the service has to renew the token that a session is ended with, and again to answer that it is over."""
EARLY = 60
"""Renew a token this many seconds before it ends."""

OVER = frozenset(
    {
        "device_revoked",
        "refresh_token_already_used",
        "refresh_token_not_found",
        "session_ended",
        "session_expired",
        "session_not_found",
        "user_banned",
        "user_not_found",
    }
)
"""Codes (of Supabase Auth, of the functions, of this client) that say that the session is gone for good.

Any other refusal may be a fault of a deployment or of something on the way, and pass: the session is kept, because a
guest who loses it is lost.
"""

Do = Callable[[Callable[[Engine, int], Step]], Awaitable[None]]
"""Run a change of the engine and save it."""


class Sessions:
    """Keeps the one session; every change of it is saved before it is used."""

    def __init__(
        self, transport: Transport, clock: Clock, engine: Callable[[], Engine], do: Do, name: str
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._engine = engine
        self._do = do
        self._device_name = name
        self._lock = asyncio.Lock()
        self._unsaved: Session | None = None
        """A session that the service gave and that could not be saved: the token before it is used up."""

    async def ensure(self) -> None:
        """Be signed in and registered. Raises `Unreachable`, `Refused`, `StateError` (`read_only`, `session_ended`)."""
        async with self._lock:
            if self._engine().read_only:
                raise StateError(
                    "read_only", "This is a copy of another device's state. It can read, but it never sends."
                )
            engine = self._engine()
            if engine.session is None and engine.backend is not None:
                raise StateError("session_ended", why_ended(engine.device))
            if engine.session is None:
                await self._sign_in("/auth/v1/signup", {})
            if not self._engine().registered:
                await self._register()

    async def adopt(self, body: dict[str, Any]) -> None:
        """Go on with a session that a sign-in gave (`body` as of `/auth/v1/token`), as the same user and device.

        Raises `StateError` (`other_user`): nothing is changed; `RemoteError`, `Unreachable`.
        """
        async with self._lock:
            session = session_from(body)
            await self._do(lambda engine, now: engine.signed_in(session, now))
            await self._register()

    async def bind(self) -> None:
        """Have the service take the session for this device's, once more."""
        async with self._lock:
            await self._register()

    async def token(self) -> str:
        """An access token that holds for a while. Raises `Unreachable`, `Refused` (`session_ended`), `StateError`."""
        session = self._current()
        if session.expires_at - self._clock.now() / 1000 < EARLY:
            return await self.renew(session.access_token)
        return session.access_token

    async def renew(self, stale: str) -> str:
        """A token newer than `stale`. Raises `Refused` when the session is over, `StorageError` when it can't be saved.

        A refresh token serves once, and the service ends a session whose old one is used again. So this client first
        proves by a save that nobody took its state over, and the next tokens with it, while it stood still (ADR 21).
        """
        async with self._lock:
            session = self._current()
            if session.access_token != stale:
                return session.access_token
            await self._do(lambda engine, now: engine.keep_session(now))
            body = {"refresh_token": session.refresh_token}
            await self._sign_in("/auth/v1/token?grant_type=refresh_token", body)
            return self._current().access_token

    async def last_token(self) -> str | None:
        """A token to end this session with; None when there is no session any more, or the service gives none soon.

        A renewal that is cut off leaves a refresh token that serves once more, should this device stay.
        """
        try:
            async with asyncio.timeout(PARTING):
                return await self.token() if self._engine().session else None
        # the last: a full disk keeps nobody from deleting
        except (TimeoutError, Unreachable, RemoteError, StorageError):
            return None

    def forget(self) -> None:
        """What is not stored goes too: whoever comes next is somebody else."""
        self._unsaved = None

    async def end(self, token: str) -> None:
        """End the session of a token (not the user's others) at the service, if it answers soon."""
        try:
            async with asyncio.timeout(PARTING):
                await self._transport.request("POST", "/auth/v1/logout?scope=local", {}, token)
        except (TimeoutError, Unreachable, RemoteError):
            return  # the service ends it when it expires

    def _current(self) -> Session:
        engine = self._engine()
        session = engine.session
        if session is None and engine.backend is not None:
            raise Refused("session_ended", why_ended(engine.device), 401)
        if session is None:
            raise StateError("no_session", "This device is not signed in.")
        return session

    async def _sign_in(self, path: str, body: dict[str, Any]) -> None:
        if self._unsaved is None:
            answer = await self._transport.request("POST", path, body, None)
            self._unsaved = session_from(good(answer))
        session = self._unsaved
        try:
            await self._do(lambda engine, now: engine.signed_in(session, now))
        except StateError:  # of another user: nothing of it is kept
            self._unsaved = None
            raise
        self._unsaved = None

    async def _register(self) -> None:
        body = self._engine().registration(self._device_name)
        answer = await self._transport.request(
            "POST", "/functions/v1/device_register", body, self._current().access_token
        )
        registered = good(answer)
        await self._do(lambda engine, now: engine.was_bound(registered, now))


def good(answer: Answer) -> dict[str, Any]:
    """The body of a good answer. Raises `Unreachable` for what may pass, `Refused` for a final no."""
    if answer.status < 300:
        return answer.body
    code = str(answer.body.get("code") or answer.body.get("error_code") or "refused")
    sentence = str(answer.body.get("message") or answer.body.get("msg") or "The service refused the sign-in.")
    if answer.status >= 500 or answer.status == 429:
        raise Unreachable(code, sentence)
    raise Refused(code, sentence, answer.status)
