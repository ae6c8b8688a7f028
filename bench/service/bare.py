"""What `send_message` is measured against: the same body over the same server, framework, driver and pool, inserted.

No authorization, no order, no de-duplication, no row-level security. `python bench/service/bare.py PORT`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator

import asyncpg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TABLE = """
create table if not exists bare (
  id bigint generated always as identity primary key, group_id uuid not null, message_id uuid not null,
  epoch bigint not null, counter bigint not null, body bytea not null, server_time timestamptz not null default now())
"""
INSERT = """
insert into bare (group_id, message_id, epoch, counter, body) values ($1, $2, $3, $4, $5)
returning json_build_object('seq', id, 'server_time', server_time)
"""


async def insert(request: Request) -> Response:
    """One row."""
    fields = await request.json()
    text = await request.state.pool.fetchval(
        INSERT, fields["group_id"], fields["message_id"], fields["epoch"], fields["counter"],
        bytes.fromhex(fields["mls_bytes"]),
    )  # fmt: skip
    return Response(text, media_type="application/json")


async def _keep(_connection: object) -> None:
    """As the service's pool: no round trip to reset what holds nothing."""


@contextlib.asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, object]]:
    size = int(os.environ["POOL"])
    async with asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=1, max_size=size, reset=_keep
    ) as pool:
        await pool.execute(TABLE)
        print("ready", flush=True)
        yield {"pool": pool}


app = Starlette(routes=[Route("/functions/v1/send_message", insert, methods=["POST"])], lifespan=lifespan)

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning", server_header=False)
