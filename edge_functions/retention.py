"""What nobody needs any more is dropped (docs/protocol.md, Retention)."""

import asyncio
import json
import logging
from collections import Counter
from datetime import timedelta
from typing import Any

from edge_functions.db import Database
from edge_functions.errors import ServiceError, defect
from edge_functions.metrics import SWEPT
from edge_functions.settings import Settings

BATCH = 500
"""Rows of a kind in one transaction."""
_FIRST, _LAST = "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"
"""Of all group ids."""
_log = logging.getLogger("edge_functions")


async def sweep(db: Database, settings: Settings) -> dict[str, int]:
    """Drop all that is over. Returns how many rows went, by kind; another process's sweep is left to it.

    Raises `ServiceError` (503) when the database cannot be reached; what was dropped until then stays so.
    """
    gone: Counter[str] = Counter()
    spent = timedelta(days=settings.retention_spent_days)
    limits = (
        timedelta(days=settings.retention_acked_days),
        timedelta(days=settings.retention_days) if settings.retention_days else None,
        spent,
        timedelta(days=settings.retention_welcome_days),
    )
    after: str | None = _FIRST
    more = True
    while after is not None or more:
        statement = "select coterie.retention_v1($1, $2, $3, $4, $5, $6)"
        batch = await _batch(db, statement, *limits, after or _LAST, BATCH)
        after = batch.pop("next", None)
        more = any(rows >= BATCH for rows in batch.values())
        gone.update(batch)
    more = settings.supabase_url is None  # then the identity is another's
    while more:
        batch = await _batch(db, "select coterie.auth_retention_v1($1, $2)", spent, BATCH)
        more = any(rows >= BATCH for rows in batch.values())
        gone.update(batch)
    for kind, rows in gone.items():
        SWEPT.labels(kind).inc(rows)
    return {kind: rows for kind, rows in gone.items() if rows}


async def _batch(db: Database, statement: str, *arguments: Any) -> dict[str, Any]:
    answer = await db.value(statement, *arguments)
    return dict(json.loads(answer)) if answer else {}


async def keep_sweeping(db: Database, settings: Settings) -> None:
    """Sweep every `retention_seconds`, for ever."""
    while True:
        await asyncio.sleep(settings.retention_seconds)
        try:
            gone = await sweep(db, settings)
        except ServiceError as error:
            _log.warning("Retention: %s", error.code)
        except Exception as error:  # noqa: BLE001 - a defect here must not end it for ever
            _log.error("Retention: %s", defect(error))
        else:
            if gone:
                _log.info("Retention dropped %s.", ", ".join(f"{rows} {kind}" for kind, rows in gone.items()))
