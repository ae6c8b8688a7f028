"""A Postgres that is killed: the functions answer 503 meanwhile, it comes back, and nothing acknowledged is lost."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from edge_functions import postgres
from edge_functions.postgres import EmbeddedPostgres
from tests.support.caller import Device
from tests.support.deployments import temporary_folder
from tests.support.server import Service, execute, start_service
from tests.support.socket_client import listening


@pytest.fixture(scope="module")
def own() -> Iterator[Service]:
    """A service with its own embedded Postgres."""
    with temporary_folder() as folder, start_service(folder) as service:
        yield service


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that Postgres's own user may pass through."""
    with temporary_folder() as path:
        yield path


def postmaster(service: Service) -> int:
    """The process id of the service's Postgres."""
    return int((service.log.parent / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])


async def test_a_killed_postgres_comes_back_under_a_service_that_goes_on(own: Service) -> None:
    alice, bob = await Device.guest(own.url), await Device.guest(own.url)
    group = await alice.create_group()
    await alice.add(group, bob)
    async with listening(own.url, bob) as socket:
        await socket.until("caught_up")
        sent = 1
        for _ in range(2):  # the second time it has died before
            os.kill(postmaster(own), signal.SIGKILL)
            body = alice.message(group)
            statuses = set()
            while (answer := await alice.call("send_message", **body)).status != 200:
                statuses.add((answer.status, answer.code))
            assert statuses <= {(503, "unavailable")}  # each time the same bytes: never 500, never lost
            sent += 1
            assert answer.ok()["seq"] == sent
            await socket.until_seq(group.group_id, sent)
        await socket.settle()
    assert socket.seqs(group.group_id) == [2, 3]
    # A third time it may end because processes of the one before still hold its memory.
    assert own.log.read_text().count("Postgres ended by itself (status -9)") == 2


async def test_a_service_that_stops_while_postgres_is_away_stops(own: Service) -> None:
    pid = postmaster(own)
    os.kill(pid, signal.SIGKILL)
    assert own.stop() == 0
    own.start()
    await Device.guest(own.url)


async def test_both_killed_at_once_start_again(own: Service) -> None:
    """The dead Postgres leaves a file behind that says it is ready."""
    alice = await Device.guest(own.url)
    group = await alice.create_group()
    (await alice.send(group)).ok()
    os.kill(postmaster(own), signal.SIGKILL)
    own.kill()
    own.start()
    assert await alice.seqs(group) == [1]


def test_the_pause_grows_while_it_dies_again_and_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its executable is a program that ends at once: tried again with longer pauses, and stopped in between."""
    pauses: list[float] = []
    enough = 5
    with EmbeddedPostgres(folder / "data", durable=False) as embedded:
        execute(embedded.url, "create table kept (value integer)")
        stopping = embedded._stopping
        real_wait = stopping.wait

        def wait(pause: float | None = None) -> bool:
            pauses.append(pause or 0)
            if len(pauses) == enough:
                monkeypatch.undo()  # well again
            return real_wait(0)

        broken = folder / "bin"
        broken.mkdir()
        (broken / "postgres").write_text("#!/bin/sh\nexit 1\n")
        (broken / "postgres").chmod(0o755)
        monkeypatch.setattr(embedded, "_binaries", broken)
        monkeypatch.setattr(stopping, "wait", wait)
        assert embedded._process is not None
        embedded._process.kill()
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                execute(embedded.url, "insert into kept values (1)")
                break
    first, longest = postgres._FIRST_PAUSE, postgres._LONGEST_PAUSE
    assert pauses[:enough] == [min(first * 2**n, longest) for n in range(enough)]
