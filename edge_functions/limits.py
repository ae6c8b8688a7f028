"""How often one user, one address, or everybody together may ask (docs/adr/0017-limits.md).

Two kinds. What guards this process from work is counted here, in memory, and costs a call nothing but a look into a
dict. What guards people (guesses at invites, guests made by the thousand) is counted in the database, for all
processes together. Both are GCRA: one time per key says when its budget is full again.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from starlette.types import Scope

from edge_functions.db import Database
from edge_functions.errors import ServiceError
from edge_functions.settings import Settings

MINUTE, HOUR = 60.0, 3600.0
_KEYS = 100_000
"""Budgets in memory; beyond, the one that was used longest ago is forgotten."""
_FULL_SECONDS = 10.0
"""When to come again where too many are open: nobody knows when one closes."""
_log = logging.getLogger("edge_functions")


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` within `seconds`, all of them at once if need be, refilled evenly."""

    count: int
    seconds: float


class Budgets:
    """Budgets in memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: OrderedDict[tuple[str, str], float] = OrderedDict()

    def take(self, key: tuple[str, str], rate: Rate) -> float:
        """Take one. Returns 0, or how many seconds to wait when none is left."""
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now) + rate.seconds / rate.count
        if full_at > now + rate.seconds:
            return full_at - rate.seconds - now
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > _KEYS:
            self._full_at.popitem(last=False)
        return 0.0


class Limits:
    """All limits of a process. A refusal is a `ServiceError`: 429 `too_many` with `retry_after`."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self._settings = settings
        self._db = db
        self._budgets = Budgets()
        self._open: Counter[tuple[str, str]] = Counter()
        self._warned = False
        self._user = {
            "calls": Rate(settings.limit_calls, MINUTE),
            "sends": Rate(settings.limit_sends, MINUTE),
            "commits": Rate(settings.limit_commits, MINUTE),
            "claims": Rate(settings.limit_claims, MINUTE),
            "packages": Rate(settings.limit_packages, HOUR),
            "invites": Rate(settings.limit_invites, HOUR),
            "joins": Rate(settings.limit_joins, HOUR),
            "sockets": Rate(settings.limit_sockets, MINUTE),
        }
        self._frames = Rate(settings.limit_frames, MINUTE)
        self._address = {
            **{
                pace: Rate(rate.count * settings.limit_address, rate.seconds)
                for pace, rate in self._user.items()
            },
            "refreshes": Rate(settings.limit_refreshes, MINUTE),
            "passkeys": Rate(settings.limit_passkeys, MINUTE),
        }

    # ---- counted in this process

    def user(self, pace: str, user: str) -> None:
        """One more by this user."""
        _refuse(self._budgets.take((pace, user), self._user[pace]))

    def address(self, pace: str, address: str | None) -> None:
        """One more from this address (`address_of`), before anything is known of who asks."""
        if address is not None:
            _refuse(self._budgets.take((pace, f"@{address}"), self._address[pace]))

    async def frame(self, session: str) -> None:
        """One more frame of this session's sockets: above the limit it is read later, and the peer has to wait."""
        while wait := self._budgets.take(("frames", session), self._frames):  # noqa: ASYNC110 - time is the event
            await asyncio.sleep(wait)

    @contextlib.contextmanager
    def socket_of_address(self, address: str | None) -> Iterator[None]:
        """While a socket from this address is open."""
        with self._held("address", address, self._settings.sockets_address):
            yield

    @contextlib.contextmanager
    def socket_of(self, user: str, session: str) -> Iterator[None]:
        """While a socket of this session is open."""
        with (
            self._held("user", user, self._settings.sockets_user),
            self._held("session", session, self._settings.sockets_session),
        ):
            yield

    @contextlib.contextmanager
    def _held(self, what: str, who: str | None, most: int) -> Iterator[None]:
        if who is None:
            yield
            return
        key = (what, who)
        if self._open[key] >= most:
            _refuse(_FULL_SECONDS)
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    # ---- counted in the database

    async def sign_up(self, scope: Scope) -> None:
        """One more guest from where this request comes."""
        address = address_of(scope)
        self._look_for_proxy(scope)
        if address is not None:
            await self._take(_Shared("sign-up", address.encode(), Rate(self._settings.limit_sign_ups, HOUR)))

    async def look_up(self, address: str | None, invite: bytes, ask: Callable[[], Awaitable[str]]) -> str:
        """What `ask` answers, a statement about an invite. Counts the invite's look-ups, and the address's failed ones.

        The address's is taken before and given back when it was no guess: a thousand at once are no way around.
        """
        shared = [_Shared("look-up", invite, Rate(self._settings.limit_lookups, HOUR))]
        if address is not None:
            shared.append(_Shared("guess", address.encode(), Rate(self._settings.limit_guesses, MINUTE)))
        await self._take(*shared)
        try:
            answer = await ask()
        except ServiceError as error:
            if error.code != "invite_unavailable":
                await self._give_back(shared[1:])
            raise
        await self._give_back(shared[1:])
        return answer

    async def _take(self, *shared: "_Shared") -> None:
        ordered = sorted(shared, key=lambda one: one.key)
        wait = await self._db.value(
            "select coterie.limits_v1($1, $2, $3)",
            [one.key for one in ordered],
            [one.rate.count for one in ordered],
            [one.rate.seconds for one in ordered],
        )
        _refuse(float(wait))

    async def _give_back(self, shared: "list[_Shared]") -> None:
        with contextlib.suppress(ServiceError):  # the answer stands; one guess less is no harm
            for one in shared:
                await self._db.value(
                    "select coterie.limit_back_v1($1, $2, $3)", one.key, one.rate.count, one.rate.seconds
                )

    def _look_for_proxy(self, scope: Scope) -> None:
        """Behind a proxy that nobody named, all callers have one address."""
        if self._warned or self._settings.trusted_proxies:
            return
        if any(name == b"x-forwarded-for" for name, _ in scope["headers"]):
            self._warned = True
            _log.warning(
                "Requests come through a proxy: name it in COTERIE_TRUSTED_PROXIES, or limits per address do not hold."
            )


class _Shared:
    """A budget in the database, under a digest: no address and no invite id stands there."""

    def __init__(self, what: str, whose: bytes, rate: Rate) -> None:
        self.key = hashlib.sha256(what.encode() + b"\0" + whose).digest()
        self.rate = rate


def address_of(scope: Scope) -> str | None:
    """The caller's address, of IPv6 the /64, as the server saw it or a trusted proxy told it. None: this machine."""
    client: Any = scope.get("client")
    return _network(client[0]) if client else None


@lru_cache(10_000)
def _network(text: str) -> str | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return text[:64]  # what a trusted proxy calls it
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return None if address.is_loopback else str(IPv6Network((address, 64), strict=False))
        address = address.ipv4_mapped
    return None if address.is_loopback else str(address)


def _refuse(wait: float) -> None:
    if wait > 0:
        raise ServiceError(429, "too_many", retry_after=round(max(wait, 0.001), 3))
