"""`coterie-server admin`: a backup is worth what its restoration is, so it is restored, served and gone on with."""

import asyncio
import json
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_functions.schema import schema_version
from tests.contract.test_operations import server
from tests.support.caller import Device
from tests.support.server import ROOT, Service, execute, start_service
from tests.support.socket_client import listening


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on an embedded Postgres of its own, which runs while others administer it."""
    with start_service(tmp_path_factory.mktemp("own")) as service:
        yield service


def data(service: Service) -> str:
    """COTERIE_DATA of a service."""
    return str(service.log.parent)


async def test_a_backup_is_restored_elsewhere_and_its_clients_go_on(own: Service, tmp_path: Path) -> None:
    alice, bob = await Device.guest(own.url), await Device.guest(own.url)
    group = await alice.create_group()
    await alice.add(group, bob)
    sent = alice.message(group)
    (await alice.call("send_message", **sent)).ok()
    invite = await alice.invite(group)

    file = tmp_path / "coterie.backup"
    done = await asyncio.to_thread(server, "admin", "backup", str(file), COTERIE_DATA=data(own))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{file}: {file.stat().st_size} bytes.\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    elsewhere = tmp_path / "elsewhere"
    done = await asyncio.to_thread(server, "admin", "restore", str(file), COTERIE_DATA=str(elsewhere))
    assert (done.returncode, done.stdout) == (0, f"{file} is restored.\n"), done.stderr
    with start_service(elsewhere) as restored:
        for device in (alice, bob):
            device.http.url = restored.url  # the same tokens: the keys that sign were in the backup
        assert (await alice.call("send_message", **sent)).ok()["seq"] == 2
        async with listening(restored.url, bob, {group.group_id: 1}) as socket:
            await socket.until_seq(group.group_id, 2)
            (await alice.send(group)).ok()
            await socket.until_seq(group.group_id, 3)
        carol = await Device.guest(restored.url)
        (await alice.complete(group, invite, (carol, await carol.ask(invite)))).ok()
        path = "/auth/v1/token?grant_type=refresh_token"
        again = await bob.http.post(path, json={"refresh_token": bob.session["refresh_token"]})
        assert again.status_code == 200, again.text


def test_what_is_no_backup_leaves_all_as_it_is(
    own: Service, tmp_path: Path, make_database: Callable[[], str]
) -> None:
    database = make_database()
    no = tmp_path / "no.backup"
    no.write_text("of something else")
    for file, words in ((no, "is no backup of Coterie"), (tmp_path / "none", "There is no file")):
        done = server("admin", "restore", str(file), DATABASE_URL=database)
        assert done.returncode == 2
        assert words in done.stderr
    good = tmp_path / "good.backup"
    assert server("admin", "backup", str(good), COTERIE_DATA=data(own)).returncode == 0
    broken = tmp_path / "broken.backup"
    broken.write_bytes(good.read_bytes()[:-2000])
    done = server("admin", "restore", str(broken), DATABASE_URL=database)
    assert done.returncode == 2
    assert "Nothing was restored." in done.stderr
    execute(database, "select coterie.status_v1()")  # the schema is there, empty
    assert server("admin", "restore", str(good), DATABASE_URL=database).returncode == 0
    again = server("admin", "restore", str(good), DATABASE_URL=database)
    assert (again.returncode, again.stderr) == (
        2,
        "This database has data already: restore into an empty one.\n",
    )


def test_a_backup_of_an_earlier_version_is_brought_to_this_one(
    tmp_path: Path, make_database: Callable[[], str]
) -> None:
    earlier, present = make_database(), make_database()
    text = zipfile.ZipFile(ROOT / "tests/earlier/d86c0c0.zip").read("schema/apply_schema.sql").decode()
    user = "00000000-0000-4000-8000-000000000001"
    execute(
        earlier,
        f"""begin; {text}; comment on schema coterie is 'schema {"0" * 64}';
            insert into coterie.auth_users (user_id, is_anonymous) values ('{user}', true); commit""",
    )
    file = str(tmp_path / "earlier.backup")
    assert server("admin", "backup", file, DATABASE_URL=earlier).returncode == 0
    assert server("admin", "restore", file, DATABASE_URL=present).returncode == 0
    shown = json.loads(server("admin", "status", DATABASE_URL=present).stdout)
    assert shown["schema_version"] == schema_version()
    execute(
        present,
        f"do $$ begin assert exists (select from coterie.auth_users where user_id = '{user}'); end $$",
    )


def test_a_backup_is_never_written_over_and_needs_something_to_back_up(
    own: Service, tmp_path: Path, make_database: Callable[[], str]
) -> None:
    done = server("admin", "backup", str(tmp_path), COTERIE_DATA=data(own))
    assert (done.returncode, done.stderr) == (2, f"{tmp_path} cannot be written: File exists.\n")
    database = make_database()
    done = server("admin", "backup", str(tmp_path / "new"), DATABASE_URL=database)
    assert (done.returncode, done.stderr) == (2, "There is no schema of Coterie in this database.\n")
    place = database.rpartition("@")[2]
    done = server("admin", "backup", str(tmp_path / "new"), DATABASE_URL=f"postgresql://coterie_api@{place}")
    assert done.returncode == 2
    assert "is a superuser or has BYPASSRLS" in done.stderr
    assert not (tmp_path / "new").exists()


def test_the_schema_is_applied_or_printed_for_those_who_do_it_otherwise(database: str) -> None:
    done = server("apply-schema", "--print")
    assert done.returncode == 0
    assert f"comment on schema coterie is 'schema version {schema_version()}, " in done.stdout
    done = server("apply-schema", DATABASE_URL=database)
    assert (done.returncode, done.stdout) == (0, "The database has what this version needs.\n")
    done = server("apply-schema")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Set DATABASE_URL to the database")


async def test_status_keys_and_retention(own: Service) -> None:
    done = await asyncio.to_thread(server, "admin", "status", COTERIE_DATA=data(own))
    shown = json.loads(done.stdout)
    assert shown["schema_version"] == schema_version()
    assert shown["tables"]["messages"]["bytes"] > 0
    assert 0 <= shown["notify_queue"] < 1

    device = await Device.guest(own.url)
    assert server("admin", "rotate-keys", COTERIE_DATA=data(own)).stdout == "There is a new key.\n"
    published = (await device.http.get("/auth/v1/.well-known/jwks.json")).json()["keys"]
    assert len(published) >= 1
    (await device.call("groups_list")).ok()
    done = server("admin", "rotate-keys", SUPABASE_URL="https://project.example", COTERIE_DATA=data(own))
    assert (done.returncode, done.stdout) == (2, "")

    await device.http.post("/auth/v1/logout", headers={"authorization": f"Bearer {device.token}"})
    done = server("admin", "retention", COTERIE_DATA=data(own), COTERIE_RETENTION_SPENT_DAYS="0")
    assert "sessions" in done.stdout, done
    assert server("admin", "retention", COTERIE_DATA=data(own)).stdout == "Nothing was over.\n"
