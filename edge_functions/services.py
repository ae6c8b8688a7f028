"""What every request needs, opened once per process: settings, database, token keys, the hub of sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from edge_functions.appends import Appends
from edge_functions.auth import Verifier
from edge_functions.db import Database
from edge_functions.hub import Hub
from edge_functions.keys import OwnKeys, SupabaseKeys
from edge_functions.limits import Limits
from edge_functions.postgres import database_url
from edge_functions.retention import keep_sweeping
from edge_functions.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """Opened by `open_services`."""

    settings: Settings
    db: Database
    verifier: Verifier
    hub: Hub
    limits: Limits
    appends: Appends
    own_keys: OwnKeys | None
    """None when Supabase Auth signs the tokens."""


@contextlib.asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Start Postgres if it is ours, connect, load keys, listen; all of it undone at the end."""
    async with contextlib.AsyncExitStack() as stack:
        db = await Database.connect(
            await stack.enter_async_context(database_url(settings)), settings.pool_size
        )
        stack.push_async_callback(db.close)
        own_keys: OwnKeys | None = None
        if settings.supabase_url:
            issued = SupabaseKeys(
                settings.supabase_url, settings.jwks_cache_seconds, settings.jwks_cooldown_seconds
            )
            issuer = f"{settings.supabase_url}/auth/v1"
            verifier = Verifier(
                issued,
                cache_seconds=settings.token_cache_seconds,
                issuer=issuer,
                secret=settings.supabase_jwt_secret,
            )
        else:
            # Our keys are in our database alone, so the key says who issued; the address may change with the port.
            own_keys = await OwnKeys.load(db, settings)
            verifier = Verifier(own_keys, cache_seconds=settings.token_cache_seconds, issuer=None)
        hub = Hub(db, settings)
        await hub.start()
        stack.push_async_callback(hub.stop)
        sweeping = asyncio.create_task(keep_sweeping(db, settings))
        stack.push_async_callback(_cancelled, sweeping)
        yield Services(settings, db, verifier, hub, Limits(settings, db), Appends(db), own_keys)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
