"""The process: starts, says where it is, keeps its data, stops in order, and starts again whatever happened."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_functions.environment import SettingsError, describe
from edge_functions.postgres import EmbeddedPostgres
from edge_functions.settings import Settings
from tests.support.caller import Device
from tests.support.server import ROOT, Service, execute, start_service


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Service]:
    """A service on an embedded Postgres of its own."""
    with start_service(tmp_path) as service:
        yield service


def run_serve(**settings: str) -> "subprocess.CompletedProcess[str]":
    """`serve`, where it is expected to give up."""
    environment = {**os.environ, **settings}
    command = [sys.executable, "-m", "edge_functions", "serve"]
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=60
    )


def postgres_pid(service: Service) -> int:
    """The embedded Postgres of a service."""
    return int((service.log.parent / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])


def runs(pid: int) -> bool:
    """Is there such a process (and not only what is left of it)?"""
    with contextlib.suppress(FileNotFoundError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


async def test_it_says_where_it_is_and_keeps_its_data(own: Service) -> None:
    assert own.log.read_text().splitlines()[-1] == f"Coterie is ready: open {own.url}"
    alice = await Device.guest(own.url)
    group = await alice.create_group()
    (await alice.send(group)).ok()
    own.restart()
    assert await alice.seqs(group) == [1]
    assert (await alice.http.get("/health")).json() == {"ok": True}


def test_sigint_and_sigterm_stop_everything(own: Service) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        pid = postgres_pid(own)
        assert runs(pid)
        assert own.stop(number) == 0
        assert not runs(pid)
        assert "Traceback" not in own.log.read_text()
        own.start()


async def test_it_starts_again_after_it_was_killed(own: Service) -> None:
    alice = await Device.guest(own.url)
    group = await alice.create_group()
    (await alice.send(group)).ok()
    own.kill()
    own.start()
    assert await alice.seqs(group) == [1]
    (await alice.send(group)).ok()


async def test_it_starts_again_beside_a_postgres_that_outlived_it(own: Service) -> None:
    """Where the operating system does not end children with their parent: it is stopped first, in order."""
    alice = await Device.guest(own.url)
    group = await alice.create_group()
    own.stop()
    data = own.log.parent / "postgres"
    left = EmbeddedPostgres(own.log.parent)
    with left:
        process, left._process = left._process, None  # forgotten, not stopped
    assert process is not None
    assert (data / "postmaster.pid").exists()
    own.start()
    process.wait(10)
    assert (await alice.messages(group))["last_seq"] == 0


def test_a_stale_pid_file_that_names_another_process_is_no_hindrance(own: Service) -> None:
    """After a reboot the number may belong to anybody."""
    own.stop()
    pid_file = own.log.parent / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{pid_file.parent}\n0\n5432\n\n\n0 0\nready\n")
    own.start()


def test_two_services_do_not_share_a_folder(own: Service) -> None:
    done = run_serve(COTERIE_DATA=str(own.log.parent), PORT="8099")
    assert done.returncode != 0
    assert f"Another Coterie service (process {own.pid}) uses" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert runs(postgres_pid(own))


def test_a_folder_with_a_long_name_works(tmp_path: Path) -> None:
    """A Unix socket's path has at most 107 bytes."""
    folder = tmp_path / ("long" * 25)
    folder.mkdir()
    with start_service(folder) as service:
        service.restart()


def test_a_taken_port_is_named_and_the_next_one_used(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        service = make_service(PORT=str(port))
        log = service.log.read_text()
        name = Path("/proc/self/comm").read_text().strip()
        assert (
            f"Port {port} cannot be used (Address already in use), used by {name} (process {os.getpid()})"
            in log
        )
        assert "Coterie is ready: open http://localhost:" in log
        assert f"Coterie is ready: open http://localhost:{port}\n" not in log


def test_a_database_that_is_not_there_is_said_in_a_sentence() -> None:
    done = run_serve(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", PORT="8099")
    assert done.returncode != 0
    assert "The database cannot be prepared" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


async def test_it_needs_no_more_than_coterie_api(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    """Once the schema is applied, DATABASE_URL may be that of coterie_api."""
    database = make_database()
    make_service(DATABASE_URL=database).stop()
    place = database.rpartition("@")[2]
    service = make_service(DATABASE_URL=f"postgresql://coterie_api@{place}")
    alice = await Device.guest(service.url)
    await alice.create_group()


async def test_the_service_is_connected_as_coterie_api_alone(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    database = make_database()
    service = make_service(DATABASE_URL=database)
    await Device.guest(service.url)
    execute(
        database,
        """do $$ begin assert (select array_agg(distinct usename) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend')
           = array['coterie_api'::name]; end $$""",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "http"),
        ("PORT", "65536"),
        ("PUBLIC_URL", "chat.example"),
        ("PUBLIC_URL", "javascript:alert(1)"),
        ("DATABASE_URL", "mysql://x"),
        ("COTERIE_CLAIM_SECONDS", "-1"),
        ("COTERIE_CLAIM_SECONDS", "nan"),
        ("COTERIE_TOKEN_CACHE_SECONDS", "61"),
    ],
)
def test_settings_are_checked(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({name: value})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"SUPABASE_JWT_SECRET": "x" * 32}, "SUPABASE_JWT_SECRET says nothing without SUPABASE_URL."),
        ({"COTERIE_TLS_KEY": "/key.pem"}, "COTERIE_TLS_KEY says nothing without COTERIE_TLS_CERTIFICATE."),
        (
            {
                "PUBLIC_URL": "https://chat.example",
                "COTERIE_PASSKEY_ORIGINS": "https://app.chat.example,https://badchat.example",
            },
            "COTERIE_PASSKEY_ORIGINS: https://badchat.example cannot use the passkeys of PUBLIC_URL's host.",
        ),
        (
            {"COTERIE_PASSKEY_ORIGINS": "http://localhost:3000,https://chat.example"},
            "COTERIE_PASSKEY_ORIGINS: https://chat.example cannot use the passkeys of PUBLIC_URL's host.",
        ),
    ],
)
def test_settings_that_another_one_makes_useless_are_refused(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(given)
    assert str(caught.value) == sentence


def test_every_setting_is_described() -> None:
    for name in (
        "PORT",
        "COTERIE_DATA",
        "PUBLIC_URL",
        "DATABASE_URL",
        "SUPABASE_URL",
        "COTERIE_CLAIM_SECONDS",
    ):
        assert name in describe(Settings)


def test_the_default_data_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    assert Settings.from_environment({}).data == Path("/somewhere/coterie")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert Settings.from_environment({}).data == Path.home() / ".local/share/coterie"
