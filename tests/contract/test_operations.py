"""What who keeps the service running sees of it: settings, log, health, metrics."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_functions.__main__ import main
from edge_functions.environment import SettingsError, markdown
from edge_functions.settings import Settings
from tests.support.caller import Device, Http
from tests.support.server import ROOT, Service, execute, free_port
from tests.support.socket_client import WAIT_SECONDS, listening


def server(*words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """`coterie-server …`, to its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COTERIE_")}
    return subprocess.run(
        [sys.executable, "-m", "edge_functions", *words],
        cwd=ROOT, env={**environment, **settings}, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def lines(service: Service) -> list[dict[str, Any]]:
    """What it logged. Every line but the one that says where it is has to be JSON."""
    written = service.log.read_text().splitlines()
    return [json.loads(line) for line in written if not line.startswith("Coterie is ready")]


async def line_of(service: Service, answer: httpx.Response, level: str = "") -> dict[str, Any]:
    """The line about the request that got this answer; it is written after the answer has left."""
    wanted = answer.headers["x-request-id"]
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            for line in lines(service):
                if line.get("request") == wanted and level in ("", line["level"]):
                    return line
            await Http(service.url).get("/health")


# ---- settings


def test_the_document_of_settings_is_the_table() -> None:
    """`.venv/bin/python -m edge_functions settings > docs/settings.md` makes it anew."""
    assert (ROOT / "docs" / "settings.md").read_text() == markdown(Settings)


def test_all_faults_are_said_at_once_and_nothing_is_begun() -> None:
    done = server(
        "serve", PORT="http", COTERIE_POOL="0", PUBLIC_URL="https://u:p@chat.example", DATABASE_URL="mysql://u:pw@h/d",
        COTERIE_LOG="yaml", COTERIE_METRICS="9090", COTERIE_TRUSTED_PROXIES="10.0.0.1/8",
    )  # fmt: skip
    assert done.returncode == 2
    assert re.findall(r"^\w+", done.stderr, re.MULTILINE) == [
        "PORT", "PUBLIC_URL", "DATABASE_URL", "COTERIE_TRUSTED_PROXIES", "COTERIE_LOG", "COTERIE_METRICS",
        "COTERIE_POOL",
    ]  # fmt: skip
    assert "pw" not in done.stderr
    assert done.stdout == ""


def test_a_password_among_the_parameters_of_the_database_is_refused() -> None:
    """`admin backup` hands these to pg_dump, where everybody on the machine can read them."""
    with pytest.raises(SettingsError, match="before the host") as caught:
        Settings.from_environment({"DATABASE_URL": "postgresql://u@h/d?sslmode=require&password=hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_setting_that_there_is_not_is_warned_about_with_its_neighbour() -> None:
    done = server("settings", COTERIE_POL="20", COTERIE_SERVER="http://localhost:8080")
    assert json.loads(done.stderr)["event"] == "COTERIE_POL is no setting; did you mean COTERIE_POOL?"


def test_no_secret_stands_in_a_repr() -> None:
    secret = "0123456789abcdef0123456789abcdef"
    settings = Settings.from_environment(
        {
            "DATABASE_URL": f"postgresql://u:{secret}@h/d",
            "SUPABASE_URL": "https://project.supabase.co",
            "SUPABASE_JWT_SECRET": secret,
        }
    )
    assert settings.database_url is not None
    assert secret not in repr(settings)


def test_an_address_for_metrics_that_is_taken_is_said_in_a_sentence(service: Service, database: str) -> None:
    done = server(
        "serve", PORT=str(free_port()), DATABASE_URL=database, COTERIE_METRICS=f"127.0.0.1:{service.port}"
    )
    assert done.returncode == 2
    assert done.stderr.endswith("cannot be used (Address already in use).\n")


def test_a_password_that_is_not_quoted_is_said_without_it() -> None:
    done = server("serve", PORT=str(free_port()), DATABASE_URL="postgresql://u:hun/ter2@localhost/d")
    assert done.returncode == 2
    assert done.stderr.startswith("DATABASE_URL cannot be read")
    assert "hun" not in done.stdout + done.stderr


# ---- log


async def test_each_call_is_a_line_of_json_that_its_answer_names(service: Service) -> None:
    device = await Device.guest(service.url)
    good = await device.http.post(
        "/functions/v1/groups_list", json={}, headers={"authorization": f"Bearer {device.token}"}
    )
    line = await line_of(service, good)
    assert line.pop("time").endswith("Z")
    assert line.pop("ms") >= 0
    assert line == {
        "level": "info", "event": "answered", "request": good.headers["x-request-id"], "function": "groups_list",
        "status": 200, "code": None,
    }  # fmt: skip
    refused = await device.http.post("/functions/v1/groups_list", json={})
    assert refused.headers["x-sb-error-code"] == "no_session"
    line = await line_of(service, refused)
    assert (line["function"], line["status"], line["code"]) == ("groups_list", 401, "no_session")
    nowhere = await device.http.post("/functions/v1/%0a%7b%22level%22", json={})
    assert (await line_of(service, nowhere))["function"] == "unknown"
    jwks = await device.http.get("/auth/v1/.well-known/jwks.json")
    assert (await line_of(service, jwks))["function"] == "auth/.well-known"


async def test_pages_leave_no_line(service: Service) -> None:
    """Their addresses hold invite ids."""
    answer = await Http(service.url).get("/?join=an-invite")
    assert answer.headers["x-request-id"] not in service.log.read_text()
    assert "an-invite" not in service.log.read_text()


async def test_a_request_id_is_believed_from_a_trusted_proxy_alone(
    service: Service, make_service: Callable[..., Service], database: str
) -> None:
    async def told(one: Service, given: str) -> str:
        answer = await Http(one.url).get("/health", headers={"x-request-id": given})
        return str(answer.headers["x-request-id"])

    assert await told(service, "from-anybody") != "from-anybody"
    behind = make_service(DATABASE_URL=database, COTERIE_TRUSTED_PROXIES="127.0.0.1")
    assert await told(behind, "from-the-proxy") == "from-the-proxy"
    for bad in ("two words", "x" * 129, '"quoted"'):
        assert await told(behind, bad) != bad


async def test_a_defect_is_told_with_its_place_and_without_its_text(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    database = make_database()
    service = make_service(DATABASE_URL=database)
    device = await Device.guest(service.url)
    execute(
        database,
        """create or replace function coterie.groups_list_v1(p_claims jsonb) returns json language plpgsql
           set search_path = '' as $$ begin raise exception 'about %', p_claims; end $$""",
    )
    answer = await device.http.post(
        "/functions/v1/groups_list", json={}, headers={"authorization": f"Bearer {device.token}"}
    )
    assert answer.json()["code"] == "internal"
    line = await line_of(service, answer, "warning")
    assert (line["event"], line["status"], line["code"]) == ("answered", 500, "internal")
    defect = await line_of(service, answer, "error")
    assert "RaiseError P0001" in defect["event"]
    assert "groups_list.py" in defect["detail"]
    assert device.user_id not in service.log.read_text()


async def test_text_is_for_a_person_and_the_level_holds(
    make_service: Callable[..., Service], database: str
) -> None:
    service = make_service(DATABASE_URL=database, COTERIE_LOG="text", COTERIE_POL="3")
    device = await Device.guest(service.url)
    (await device.call("groups_list")).ok()
    first, *rest = service.log.read_text().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING COTERIE_POL is no setting; .*", first)
    assert rest == [f"Coterie is ready: open {service.url}"]


# ---- health and readiness


async def test_ready_says_what_is_amiss_and_health_does_not_care(
    make_database: Callable[[], str], make_service: Callable[..., Service], postgres_url: str
) -> None:
    database = make_database()
    service = make_service(DATABASE_URL=database)
    http = Http(service.url)
    assert (await http.get("/ready")).json() == {"ready": True}

    execute(database, "comment on schema coterie is 'schema version 1, of the past'")
    behind = await http.get("/ready")
    assert (behind.status_code, behind.json()["failing"]) == (503, ["schema"])
    assert behind.json()["code"] == "not_ready"
    execute(database, "comment on schema coterie is 'schema version 1000, of the future'")
    assert (await http.get("/ready")).status_code == 200

    name = database.rpartition("/")[2].partition("?")[0]
    execute(postgres_url, f"alter database {name} connection limit 0")
    execute(postgres_url, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
    while (away := await http.get("/ready")).json().get("failing") != ["database", "listening"]:
        assert away.status_code in (200, 503)
    assert (await http.get("/health")).json() == {"ok": True}
    execute(postgres_url, f"alter database {name} connection limit -1")
    while (await http.get("/ready")).status_code != 200:
        pass


async def test_many_who_ask_at_once_cost_the_database_one_statement(
    make_service: Callable[..., Service], database: str
) -> None:
    port = free_port()
    http = Http(make_service(DATABASE_URL=database, COTERIE_METRICS=f"127.0.0.1:{port}").url)
    answers = await asyncio.gather(*(http.get("/ready") for _ in range(100)))
    assert {one.status_code for one in answers} == {200}
    assert (await scraped(port))['coterie_database_seconds_count{function="other"}'] < 50


# ---- metrics


async def scraped(port: int) -> dict[str, float]:
    """All samples, by their name with labels."""
    text = (await Http(f"http://127.0.0.1:{port}").get("/metrics")).text
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    }


@pytest.fixture
def measured(make_service: Callable[..., Service], database: str) -> tuple[Service, int]:
    """A service, and the port of its metrics."""
    port = free_port()
    return make_service(DATABASE_URL=database, COTERIE_METRICS=f"127.0.0.1:{port}"), port


async def test_metrics_are_never_where_everybody_can_ask(measured: tuple[Service, int]) -> None:
    service, port = measured
    assert (await Http(service.url).get("/metrics")).status_code == 404
    assert (await Http(f"http://127.0.0.1:{port}").get("/metrics")).status_code == 200


async def test_sockets_stand_in_the_metrics(measured: tuple[Service, int]) -> None:
    service, port = measured
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    async with listening(service.url, alice) as socket:
        await socket.until("caught_up")
        (await alice.send(group)).ok()
        await socket.until_seq(group.group_id, 1)
        found = await scraped(port)
    assert found["coterie_sockets"] == 1
    assert found['coterie_frames_total{direction="in"}'] == 1
    assert found['coterie_frames_total{direction="out"}'] >= 3
    assert found["coterie_fan_out_seconds_count"] == 1
    assert found["coterie_fan_out_seconds_sum"] < 30


async def test_requests_and_the_database_stand_in_the_metrics(measured: tuple[Service, int]) -> None:
    service, port = measured
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    (await alice.send(group)).ok()
    (await alice.commit(group)).ok()
    group.epoch -= 1
    (await alice.commit(group)).refused(409, "stale_epoch")
    (await alice.call("no_such_function")).refused(404, "unknown_function")
    found = await scraped(port)
    requests = 'coterie_requests_total{code="%s",function="%s",status="%d"}'
    assert found[requests % ("", "send_message", 200)] == 1
    assert found[requests % ("", "send_commit", 200)] == 1
    assert found[requests % ("stale_epoch", "send_commit", 409)] == 1
    assert found[requests % ("unknown_function", "unknown", 404)] == 1
    assert found['coterie_request_seconds_count{function="send_commit"}'] == 2
    assert found['coterie_database_seconds_count{function="group_create_v1"}'] == 1
    assert found['coterie_pool_connections{state="idle"}'] >= 1
    assert found["coterie_notify_queue_ratio"] < 1
    assert found['coterie_table_bytes{table="messages"}'] > 0
    private = ("no_such_function", alice.user_id, group.group_id)
    assert not [name for name in found if any(one in name for one in private)]


@pytest.mark.parametrize("words", [(), ("admin",), ("admin", "forget")])
def test_a_command_that_there_is_not_is_refused(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["coterie-server", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: coterie-server")


def test_the_command_runs_from_anywhere(tmp_path: Path) -> None:
    """As tools/setup.py puts it into the venv."""
    command = ROOT / ".venv" / "bin" / "coterie-server"
    done = subprocess.run([command, "settings"], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, markdown(Settings)), done.stderr
