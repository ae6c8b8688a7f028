"""What abuse can see or do, as ratios within one run: look-ups of invites by kind, and others' times beside slow peers.

python bench/abuse/run.py

Look-ups: the invites are different ones each time, of all kinds in turn, over one connection; the ratio is that of the
medians, and of the quickest tenths, to the unknown one's (hold: within 5 %). Slow peers: the 99th percentile of a call
while 300 connections drip their headers and 100 their bodies, to that without, in rounds of each in turn (hold: less
than 2). Exits 1 otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import asyncpg

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.caller import Device, join_body  # noqa: E402
from tests.support.server import Service, start_service  # noqa: E402

EACH = 3000
KINDS = ("unknown", "expired", "revoked", "used up")
ROUNDS, CALLS = 6, 1000
DRIPPING_HEADERS, DRIPPING_BODIES = 300, 100
SETTINGS = {
    "COTERIE_LIMIT_JOINS": "100000000",
    "COTERIE_LIMIT_CALLS": "100000000",
    "COTERIE_HEADER_SECONDS": "3600",  # the drips stay for the whole run
    "COTERIE_BODY_SECONDS": "3600",
    "COTERIE_LOG_LEVEL": "warning",
}
DEAD = """
insert into coterie.invites (invite_id, group_id, created_by, expires_at, max_uses, uses, approval, preview, ended_at)
select decode(md5($2 || n), 'hex'), g.group_id, g.created_by,
  case $2 when 'expired' then now() - interval '1 hour' else now() + interval '1 day' end, 1,
  case $2 when 'used up' then 1 else 0 end, false, sha256('preview'),
  case $2 when 'revoked' then now() end
from coterie.groups g, generate_series(1, $3::integer) n where g.group_id = $1
returning invite_id
"""


class Line:
    """One connection that stays open."""

    def __init__(self, service: Service, token: str) -> None:
        self._port = urlsplit(service.url).port
        self._token = token

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("localhost", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    def head(self, function: str, length: int) -> bytes:
        """The headers of a call."""
        return (
            f"POST /functions/v1/{function} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {self._token}\r\ncontent-length: {length}\r\n\r\n"
        ).encode()

    async def call(self, function: str, body: dict[str, object]) -> tuple[int, float]:
        """Status, and seconds until the whole answer was there."""
        data = json.dumps(body).encode()
        request = self.head(function, len(data)) + data
        began = time.perf_counter()
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(
            int(one[15:]) for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:")
        )
        await self._reader.readexactly(length)
        return int(head[9:12]), time.perf_counter() - began

    async def drip(self, at_once: bytes, data: bytes) -> None:
        """Send something, and then a byte now and then, for ever."""
        self._writer.write(at_once)
        for byte in data:
            self._writer.write(bytes([byte]))
            await asyncio.sleep(1 + random.random())  # noqa: S311 - no secret


async def look_ups(service: Service, owner: asyncpg.Connection[asyncpg.Record]) -> bool:
    """Time of the one answer, by what the invite is."""
    alice, eve = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    ids = {"unknown": [secrets.token_bytes(16) for _ in range(2 * EACH)]}
    for kind in KINDS[1:]:
        ids[kind] = [row[0] for row in await owner.fetch(DEAD, group.group_id, kind, 2 * EACH)]
    await owner.execute("vacuum analyze coterie.invites")
    held = True
    async with Line(service, eve.token) as line:
        for function in ("invite_info", "invite_join"):
            times: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for number in range(EACH):
                for kind in random.sample(KINDS, len(KINDS)):
                    invite = ids[kind].pop()
                    body = {"invite_id": invite.hex()} if function == "invite_info" else join_body(invite)
                    status, seconds = await line.call(function, body)
                    assert status == 404, status
                    if number > 50:
                        times[kind].append(seconds)
            for name, at in (("median", 49), ("10th percentile", 9)):
                typical = {kind: statistics.quantiles(times[kind], n=100)[at] for kind in KINDS}
                ratios = {kind: typical[kind] / typical["unknown"] for kind in KINDS[1:]}
                held &= all(0.95 < ratio < 1.05 for ratio in ratios.values())
                told = ", ".join(f"{kind} {ratio:.3f}" for kind, ratio in ratios.items())
                print(f"{function}, {name}: unknown {typical['unknown'] * 1e6:.0f} us; to that: {told}")
    return held


def percentile(values: list[float]) -> float:
    """The 99th."""
    return statistics.quantiles(values, n=100)[98]


async def slow_peers(service: Service) -> bool:
    """Others' times with and without peers that drip."""
    alice = await Device.guest(service.url)
    await alice.create_group()

    async def calls(line: Line) -> float:
        return percentile([(await line.call("groups_list", {}))[1] for _ in range(CALLS)])

    ratios = []
    async with Line(service, alice.token) as line:
        await calls(line)
        for _ in range(ROUNDS):
            alone = await calls(line)
            async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
                drips = []
                for number in range(DRIPPING_HEADERS + DRIPPING_BODIES):
                    one = await stack.enter_async_context(Line(service, alice.token))
                    head, body = one.head("groups_list", 1000), b"{" + b" " * 998
                    parts = (b"", head) if number < DRIPPING_HEADERS else (head, body)
                    drips.append(tasks.create_task(one.drip(*parts)))
                ratios.append(await calls(line) / alone)
                for drip in drips:
                    drip.cancel()
    ratio = statistics.median(ratios)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(
        f"beside {DRIPPING_HEADERS + DRIPPING_BODIES} slow peers: p99 x {ratio:.2f} ({spread} in {ROUNDS} rounds)"
    )
    return ratio < 2


async def main() -> int:
    """Both, on one service."""
    with tempfile.TemporaryDirectory() as folder, start_service(Path(folder), **SETTINGS) as service:
        owner = await asyncpg.connect(host=f"{folder}/postgres", user="postgres", database="postgres")
        try:
            held = [await look_ups(service, owner), await slow_peers(service)]
        finally:
            await owner.close()
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
