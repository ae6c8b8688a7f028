"""Is the service well: `/health` for who restarts it, `/ready` for who sends it requests, and its gauges."""

import asyncio
import json
import logging
from typing import Any

from prometheus_client import Metric
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_functions.endpoint import problem
from edge_functions.errors import ServiceError, defect
from edge_functions.metrics import gauge
from edge_functions.schema import PRESENT, number, schema_version
from edge_functions.services import Services

_READY_SECONDS = 5
_log = logging.getLogger("edge_functions")


async def health(_request: Request) -> Response:
    """200 while the process lives, whatever it depends on."""
    return JSONResponse({"ok": True})


class Readiness:
    """Answers `/ready`. Nobody has to sign in for it, so at most one statement runs for it, however many ask."""

    def __init__(self) -> None:
        self._looking: asyncio.Task[list[str]] | None = None

    async def answer(self, request: Request) -> Response:
        """200 when requests are welcome; otherwise 503 `not_ready` with `failing`."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(faults(request.state.services))
        failing = [*await asyncio.shield(self._looking)]
        if request.scope.get("stopping"):
            failing.append("stopping")
        if failing:
            return problem(ServiceError(503, "not_ready", failing=failing))
        return JSONResponse({"ready": True})


async def faults(services: Services) -> list[str]:
    """What is amiss, of `database` (it does not answer), `schema` (older than this service), `listening`."""
    found = []
    try:
        async with asyncio.timeout(_READY_SECONDS):
            present = await services.db.value(PRESENT)
    except (ServiceError, TimeoutError):
        found.append("database")
    except Exception as error:  # noqa: BLE001 - whatever it is, requests would meet it too
        _log.error("ready: %s", defect(error))
        found.append("database")
    else:
        if number(present) < schema_version():
            found.append("schema")
    if not services.hub.listening:
        found.append("listening")
    return found


async def sample(services: Services) -> list[Metric]:
    """The gauges of docs/operations.md. Those of the database are absent while it does not answer."""
    hub, pool = services.hub, services.db.usage()
    gauges = [
        gauge("coterie_sockets", "Open sockets.", hub.open_sockets),
        gauge("coterie_frames_waiting", "Frames in the queues of sockets.", hub.waiting_frames),
        gauge("coterie_pool_connections", "Connections to the database.", pool, "state"),
    ]
    try:
        status: dict[str, Any] = json.loads(await services.db.value("select coterie.status_v1()"))
    except ServiceError:
        return gauges
    tables: dict[str, dict[str, float]] = status["tables"]
    return [
        *gauges,
        gauge("coterie_notify_queue_ratio", "How full Postgres' queue of notifications is.", status["notify_queue"]),
        gauge(
            "coterie_table_rows", "Rows, as Postgres estimates them.",
            {name: one["rows"] for name, one in tables.items()}, "table",
        ),
        gauge(
            "coterie_table_bytes", "Size with indexes.", {name: one["bytes"] for name, one in tables.items()}, "table",
        ),
    ]  # fmt: skip
