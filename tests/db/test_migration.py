"""From one version of the schema to the next: data are kept, earlier services go on, nobody fails meanwhile."""

import asyncio
import contextlib
import logging
import subprocess
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Self

import asyncpg
import pytest

from edge_functions import schema
from edge_functions.postgres import program
from edge_functions.schema import PostgresError, apply_schema, database_version, prepare, schema_version
from tests.db.conftest import as_role
from tests.support.caller import Device
from tests.support.server import Service
from tests.support.socket_client import WAIT_SECONDS, listening

EARLIER = Path(__file__).parent.parent / "earlier" / "d86c0c0.zip"
_log = logging.getLogger(__name__)
CALLERS = 8
SENDS_AROUND = 40
"""Messages that have to be answered before the schema is applied, and again after it."""


@pytest.fixture(scope="module")
def make_earlier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Service]]:
    """Starts the earlier service on a database."""
    root = tmp_path_factory.mktemp("earlier")
    zipfile.ZipFile(EARLIER).extractall(root)
    with contextlib.ExitStack() as stack:

        def make(url: str) -> Service:
            service = Service(tmp_path_factory.mktemp("service"), {"DATABASE_URL": url}, root)
            stack.callback(service.close)
            service.start()
            return service

        yield make


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def migrated(url: str) -> int:
    """Apply the present schema; the version that the database has then."""
    async with connected(url) as connection:
        await apply_schema(connection)
        return await database_version(connection)


async def conversation(here: str, there: str) -> None:
    """Alice is served by one service, Bob by another: a link, a join, messages both ways, a removal."""
    alice, bob = await Device.guest(here), await Device.guest(there)
    group = await alice.create_group()
    invite = await alice.invite(group)
    join = await bob.ask(invite)
    async with listening(there, bob) as socket:
        (await alice.call("invite_claim", join_id=join.join_id)).ok()
        (await alice.complete(group, invite, (bob, join))).ok()
        await socket.until("welcome")
        assert (await bob.poll(join))["status"] == "welcomed"
        (await bob.call("group_join", group_id=group.group_id)).ok()
        (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 2)
        (await bob.send(group)).ok()
        await socket.until_seq(group.group_id, 3)
        assert await alice.seqs(group) == [1, 2, 3]
        (await alice.commit(group, remove=[bob.device_id], end_invites=True)).ok()
        await socket.until("removed")
    (await bob.send(group)).refused(403, "not_a_member")


async def test_what_an_earlier_service_wrote_is_kept_and_used(
    make_database: Callable[[], str],
    make_earlier: Callable[[str], Service],
    make_service: Callable[..., Service],
) -> None:
    database = make_database()
    earlier = make_earlier(database)
    alice, bob = await Device.guest(earlier.url), await Device.guest(earlier.url)
    group = await alice.create_group()
    invite = await alice.invite(group)
    sent = alice.message(group)
    (await alice.call("send_message", **sent)).ok()
    join = await bob.ask(invite)
    earlier.stop()
    assert await migrated(database) == schema_version()

    service = make_service(DATABASE_URL=database)
    for device in (alice, bob):
        device.http.url = service.url
    assert (await alice.call("send_message", **sent)).ok()["seq"] == 1  # the retry finds the stored answer
    (await alice.complete(group, invite, (bob, join))).ok()
    (await bob.call("group_join", group_id=group.group_id)).ok()
    (await bob.send(group)).ok()
    assert await alice.seqs(group) == [1, 2, 3]
    path = "/auth/v1/token?grant_type=refresh_token"
    renewed = await bob.http.post(path, json={"refresh_token": bob.session["refresh_token"]})
    assert renewed.status_code == 200, renewed.text
    bob.session = renewed.json()
    assert await bob.seqs(group, 2) == [3]


async def test_an_earlier_service_works_on_the_present_schema_beside_a_present_one(
    make_database: Callable[[], str],
    make_earlier: Callable[[str], Service],
    make_service: Callable[..., Service],
) -> None:
    database = make_database()
    present = make_service(DATABASE_URL=database)
    earlier = make_earlier(as_role(database, "coterie_api"))
    for here, there in ((earlier, earlier), (earlier, present), (present, earlier)):
        await conversation(here.url, there.url)


class Load:
    """Devices that send as fast as they are answered, each in a group of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._done = asyncio.Event()
        self._answered = asyncio.Condition()
        self.waits: list[float] = []
        """Seconds that each send took."""

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._call()) for _ in range(CALLERS)]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._done.set()
        await asyncio.gather(*self._tasks)

    async def _call(self) -> None:
        device = await Device.guest(self._url)
        group = await device.create_group()
        count = 0
        while not self._done.is_set():
            began = time.monotonic()
            assert (await device.send(group)).ok()["seq"] == (count := count + 1)
            self.waits.append(time.monotonic() - began)
            async with self._answered:
                self._answered.notify_all()

    async def more(self, count: int) -> None:
        """Wait until so many more are answered."""
        until = len(self.waits) + count
        async with self._answered:
            await self._answered.wait_for(lambda: len(self.waits) >= until)


async def test_the_schema_is_applied_while_an_earlier_service_is_under_load(
    make_database: Callable[[], str],
    make_earlier: Callable[[str], Service],
) -> None:
    """Every request is answered with success. `-o log_cli_level=INFO` shows how long requests waited."""
    database = make_database()
    async with Load(make_earlier(database).url) as load:
        await load.more(SENDS_AROUND)
        before, began = max(load.waits), time.monotonic()
        assert await migrated(database) == schema_version()
        took = time.monotonic() - began
        await load.more(SENDS_AROUND)
    _log.info(
        "Applied in %.0f ms; the slowest send took %.0f ms, %.0f ms before that.",
        took * 1000, max(load.waits) * 1000, before * 1000,
    )  # fmt: skip


async def test_who_holds_a_table_is_waited_for_and_does_not_fail(make_database: Callable[[], str]) -> None:
    """In short attempts, so that those who come after are not held up by the one who waits."""
    database = make_database()
    await migrated(database)
    async with connected(database) as holder, connected(database) as applying:
        await applying.execute("comment on schema coterie is 'forgotten'")  # or there is nothing to do
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("select count(*) from coterie.messages")
        work = asyncio.create_task(apply_schema(applying))
        refused = (
            "select count(*) from pg_locks where not granted and relation = 'coterie.messages'::regclass"
        )
        async with connected(database) as watching, asyncio.timeout(WAIT_SECONDS):
            for waits in (1, 0, 1):  # it waits, gives way, and waits again
                while await watching.fetchval(refused) != waits:
                    assert not work.done()
        await holder.execute("select count(*) from coterie.group_seq")
        await transaction.commit()
        await work


async def test_a_service_leaves_a_newer_schema_as_it_is_and_works_on_it(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    database = make_database()
    await migrated(database)
    newer = f"schema version {schema_version() + 1}, of the future"
    async with connected(database) as owner:
        await owner.execute(f"comment on schema coterie is '{newer}'")
        await owner.execute("create function coterie.future_v1() returns int language sql as 'select 1'")
        service = make_service(DATABASE_URL=database)
        await conversation(service.url, service.url)
        assert await owner.fetchval("select obj_description('coterie'::regnamespace)") == newer
    assert f"of version {schema_version()} and leaves it as it is" in service.log.read_text()


async def test_the_script_itself_refuses_to_go_back(make_database: Callable[[], str]) -> None:
    """For those who apply it with psql."""
    database = make_database()
    text = schema.schema_text()
    for _ in range(2):
        psql(database, text)
    async with connected(database) as owner:
        assert await database_version(owner) == schema_version()
        await owner.execute("comment on schema coterie is 'schema version 99, of the future'")
    with pytest.raises(
        AssertionError, match=f"version 99 of the schema, which is newer than this one, {schema_version()}"
    ):
        psql(database, text)


def psql(url: str, text: str) -> None:
    """Run a script in one transaction."""
    command = [str(program("psql")), "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", url]
    done = subprocess.run(command, input=text, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def test_what_is_missing_is_said_in_a_sentence(make_database: Callable[[], str]) -> None:
    database = make_database()
    with pytest.raises(
        PostgresError, match=f"has version 0 of the schema, this service needs {schema_version()}"
    ):
        await prepare(as_role(database, "coterie_api"))
    await migrated(database)
    async with connected(database) as owner:
        await owner.execute("alter function coterie.groups_list_v1(jsonb) rename to groups_list_v0")
    with pytest.raises(
        PostgresError, match=r"lacks what this service calls \(groups_list_v1\): install a newer service"
    ):
        await prepare(as_role(database, "coterie_api"))
