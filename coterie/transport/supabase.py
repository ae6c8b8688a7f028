"""The way to the service through supabase-py (extra `coterie[supabase]`), by its public calls only.

Identity (`/auth/v1`) goes through its auth client, the functions through `functions.invoke`. What supabase-py
has no call for (the `deliver` socket, further paths of `/auth/v1`) goes through `plain`, another transport to
the same service. Sessions are neither kept nor refreshed by supabase-py: tokens are the driver's, as with
every transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError
from supabase import AsyncClient, AsyncClientOptions
from supabase_auth.errors import AuthError
from supabase_functions.errors import FunctionsError

from coterie.errors import Unreachable
from coterie.ports import Answer, Socket, Transport
from coterie.transport import (
    OPEN_SECONDS,
    REQUEST_SECONDS,
    answer,
    encode,
    no_answer,
    no_answer_in_time,
    service_address,
)

FUNCTIONS, AUTH = "/functions/v1/", "/auth/v1/"

Call = Callable[[Mapping[str, Any], str | None], Awaitable[Answer]]


class SupabaseTransport:
    """A `Transport` to the service or Supabase project at `service_url`.

    `key` is the project's publishable (anonymous) key, sent as `apikey`; Coterie's own service ignores it.
    """

    def __init__(
        self, service_url: str, key: str, plain: Transport, *, request_seconds: float = REQUEST_SECONDS
    ) -> None:
        self._key = key
        self._plain = plain
        self._seconds = request_seconds
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(request_seconds, connect=OPEN_SECONDS),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        options = AsyncClientOptions(auto_refresh_token=False, persist_session=False, httpx_client=self._http)
        self._client = AsyncClient(service_address(service_url), key, options)
        self._auth: dict[tuple[str, str, str], Call] = {
            ("POST", "signup", ""): self._sign_up,
            ("POST", "token", "grant_type=refresh_token"): self._refresh,
            ("POST", "logout", "scope=local"): self._sign_out,
            ("GET", "user", ""): self._user,
        }

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, token: str | None
    ) -> Answer:
        """As `ports.Transport.request`; supabase-py tells no 2xx status, so every success is 200 (or 204)."""
        if self._http.is_closed:
            raise no_answer()
        parts = urlsplit(path)
        known = self._auth.get((method, parts.path.removeprefix(AUTH), parts.query))
        if known is not None and parts.path.startswith(AUTH):
            return await self._complete(known(body or {}, token))
        if path.startswith(FUNCTIONS):
            return await self._complete(self._invoke(method, path.removeprefix(FUNCTIONS), body, token))
        return await self._plain.request(method, path, body, token)

    async def connect(self) -> Socket:
        """As `ports.Transport.connect`, by `plain`: the socket is no part of supabase-py."""
        return await self._plain.connect()

    async def close(self) -> None:
        """Close it and `plain`."""
        await self._http.aclose()
        await self._plain.close()

    async def _complete(self, call: Awaitable[Answer]) -> Answer:
        """Supabase-py's errors as answers: what the service said in full stands in their cause."""
        try:
            async with asyncio.timeout(self._seconds):
                return await call
        except (TimeoutError, httpx.TimeoutException) as error:
            raise no_answer_in_time() from error
        except (AuthError, FunctionsError) as error:
            return _what_the_service_said(error)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise no_answer() from error
        except ValidationError as error:
            raise Unreachable("bad_answer", "Something answered that is not Supabase Auth.") from error

    async def _invoke(
        self, method: str, name: str, body: Mapping[str, Any] | None, token: str | None
    ) -> Answer:
        options: dict[str, Any] = {
            "method": method,
            "headers": {"Authorization": f"Bearer {token or self._key}", "Content-Type": "application/json"},
        }
        if body is not None:
            options["body"] = encode(body)
        content = await self._client.functions.invoke(name, options)
        if not isinstance(content, bytes):
            raise Unreachable("bad_answer", "The function's answer could not be read.")
        return answer(200 if content else 204, content)

    async def _sign_up(self, body: Mapping[str, Any], _: str | None) -> Answer:
        found = await self._client.auth.sign_in_anonymously({"options": {"data": body.get("data") or {}}})
        return _record(found.session)

    async def _refresh(self, body: Mapping[str, Any], _: str | None) -> Answer:
        found = await self._client.auth.refresh_session(body["refresh_token"])
        return _record(found.session)

    async def _sign_out(self, _: Mapping[str, Any], token: str | None) -> Answer:
        await self._client.auth.admin.sign_out(token or self._key, "local")
        return Answer(204, {})

    async def _user(self, _: Mapping[str, Any], token: str | None) -> Answer:
        found = await self._client.auth.get_user(token or self._key)
        return _record(None if found is None else found.user)


def _record(found: Any) -> Answer:
    if found is None:
        raise Unreachable("bad_answer", "Supabase Auth answered without a session.")
    return Answer(200, found.model_dump(mode="json"))


def _what_the_service_said(error: AuthError | FunctionsError) -> Answer:
    cause = error.__cause__
    if isinstance(cause, httpx.HTTPStatusError):
        return answer(cause.response.status_code, cause.response.content)
    if isinstance(cause, httpx.TimeoutException):
        raise no_answer_in_time() from error
    raise no_answer() from error
