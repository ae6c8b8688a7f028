"""What Prometheus may ask (docs/operations.md, Metrics).

No label is taken from a request: a function's name is one that there is, so the number of series is bounded.
"""

import asyncio
import contextlib
import functools
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
for _collector in (ProcessCollector, PlatformCollector, GCCollector):
    _collector(registry=REGISTRY)

_SCRAPE_SECONDS = 5
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REQUESTS = Counter(
    "coterie_requests", "Answers, by function, HTTP status and error code (empty: none).",
    ["function", "status", "code"], registry=REGISTRY,
)  # fmt: skip
REQUEST_SECONDS = Histogram(
    "coterie_request_seconds", "From the request's head to the end of the answer.", ["function"],
    buckets=_BUCKETS, registry=REGISTRY,
)  # fmt: skip
STATEMENT_SECONDS = Histogram(
    "coterie_database_seconds", "Statements, by function of the schema, waiting for a connection included.",
    ["function"], buckets=_BUCKETS, registry=REGISTRY,
)  # fmt: skip
FAN_OUT_SECONDS = Histogram(
    "coterie_fan_out_seconds",
    "From the time that Postgres gave a message until it stood in the queues of this process's sockets.",
    buckets=_BUCKETS, registry=REGISTRY,
)  # fmt: skip
FRAMES = Counter(
    "coterie_frames", "Frames of sockets, by direction (in, out).", ["direction"], registry=REGISTRY
)
FRAMES_IN, FRAMES_OUT = FRAMES.labels("in"), FRAMES.labels("out")
SWEPT = Counter(
    "coterie_retention_rows", "Rows that retention dropped, by kind.", ["kind"], registry=REGISTRY
)

_FUNCTION = re.compile(r"\bcoterie\.(\w+)\(")
_TIME = re.compile(r'"server_time" ?: ?"([^"]+)"')
_log = logging.getLogger("edge_functions")


@contextlib.contextmanager
def timed(statement: str) -> Iterator[None]:
    """Count a statement by the function that it calls."""
    began = time.perf_counter()
    try:
        yield
    finally:
        _statement_seconds(statement).observe(time.perf_counter() - began)


@functools.lru_cache(512)
def _statement_seconds(statement: str) -> Histogram:
    found = _FUNCTION.search(statement)
    return STATEMENT_SECONDS.labels(found[1] if found else "other")


def fanned_out(envelopes: Iterable[str]) -> None:
    """Note how old these messages are now. The clocks of Postgres and of this process are compared."""
    now = datetime.now(UTC)
    for text in envelopes:
        if found := _TIME.search(text):
            FAN_OUT_SECONDS.observe(max(0.0, (now - datetime.fromisoformat(found[1])).total_seconds()))


def gauge(name: str, about: str, values: Mapping[str, float] | float, label: str = "") -> Metric:
    """A sample for `published`: one value, or one for each value of `label`."""
    if not isinstance(values, Mapping):
        return GaugeMetricFamily(name, about, value=values)
    family = GaugeMetricFamily(name, about, labels=[label])
    for one, value in values.items():
        family.add_metric([one], value)
    return family


@contextlib.contextmanager
def published(host: str, port: int) -> Iterator[None]:
    """While it lasts, `http://host:port/metrics` answers. Raises `OSError` when the address cannot be used."""
    server, thread = start_http_server(port, host, REGISTRY)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.asynccontextmanager
async def sampled(sample: Callable[[], Awaitable[list[Metric]]]) -> AsyncIterator[None]:
    """While it lasts, each answer has what `sample` gives in this event loop too."""
    live = _Live(sample, asyncio.get_running_loop())
    REGISTRY.register(live)
    try:
        yield
    finally:
        REGISTRY.unregister(live)


class _Live(Collector):
    """Asks the event loop, from the thread of the endpoint."""

    def __init__(
        self, sample: Callable[[], Awaitable[list[Metric]]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._sample = sample
        self._loop = loop

    def describe(self) -> list[Metric]:
        """Nothing: otherwise it would be asked when it is registered."""
        return []

    def collect(self) -> Iterable[Metric]:
        """What `sample` gives; without it the rest is answered all the same."""
        asked = asyncio.run_coroutine_threadsafe(self._ask(), self._loop)
        try:
            return asked.result(_SCRAPE_SECONDS)
        except Exception as error:  # noqa: BLE001 - the loop is ending, or a defect: neither may hide the counters
            asked.cancel()
            _log.warning("Metrics: %s", type(error).__name__)
            return []

    async def _ask(self) -> list[Metric]:
        return await self._sample()
