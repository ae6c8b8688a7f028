"""Calls to the service with this device's session, and what their answers mean for the session and the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coterie.core.effects import Step
from coterie.core.engine import Engine
from coterie.core.mls import Mls
from coterie.core.views import why_ended
from coterie.errors import CoterieError, Refused, StorageLost, Unreachable
from coterie.ports import Answer, Clock, Store, Transport
from coterie.session import OVER, Sessions
from coterie.turns import Turns

RECORD = "groups_list"
"""The function that says what the service remembers of this device."""


class Calls(Turns):
    """Turns, and a way to the service. A session that is over is told once."""

    def __init__(
        self,
        *,
        mls: Mls,
        store: Store,
        transport: Transport,
        clock: Clock,
        on_event: Callable[[dict[str, Any]], None],
        device_name: str,
    ) -> None:
        super().__init__(mls=mls, store=store, clock=clock, on_event=on_event)
        self._transport = transport
        self._sessions = Sessions(transport, clock, lambda: self._engine, self._do, device_name)

    async def token(self) -> str:
        """An access token that holds for a while."""
        return await self._sessions.token()

    async def call(self, function: str, body: dict[str, Any]) -> Answer:
        """Call a function with the session's token; a token that ended is renewed once.

        A session that the service does not know as this device's is bound anew, once.
        Raises `Unreachable`, and `Refused` when the session is over or the device revoked, which is told once.
        """
        try:
            token = await self._sessions.token()
            answer = await self._transport.request("POST", f"/functions/v1/{function}", body, token)
            if answer.status == 401:
                token = await self._sessions.renew(token)
                answer = await self._transport.request("POST", f"/functions/v1/{function}", body, token)
            if answer.status == 403 and answer.body.get("code") == "device_not_registered":
                await self._sessions.bind()
                answer = await self._transport.request("POST", f"/functions/v1/{function}", body, token)
            if answer.status == 403 and answer.body.get("code") == "device_revoked":
                raise Refused("device_revoked", str(answer.body.get("message")), 403)
        except Refused as error:
            if not await self._was_over(error):
                raise Unreachable(error.code, error.sentence) from error
            raise
        return answer

    async def _was_over(self, error: Refused) -> bool:
        """Whether a refusal ends the session for good; then it is told."""
        if error.code in OVER:
            await self._session_over("device_revoked" if error.code == "device_revoked" else "session_ended")
        return error.code in OVER

    async def _session_over(self, code: str) -> None:
        """The session goes, all else stays; said once, with what can be done."""
        if await self._run(lambda engine, now: engine.session_ended(code, now)):
            self.problem(code, why_ended(self._engine.device))

    async def _call_once(self, function: str, body: dict[str, Any]) -> None:
        asking = self._engine
        try:
            answer = await self.call(function, body)
        except StorageLost:
            raise
        except CoterieError:
            answer = Answer(503, {})  # asked again when its cause is seen again

        def take(engine: Engine, now: int) -> Step:
            if function == RECORD and engine is not asking:  # a record is held against what it was asked for
                return Step()
            return engine.answered(function, body, answer.status, answer.body, now)

        await self._hear(take)
