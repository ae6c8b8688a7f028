"""The ways to deploy that docs/deploy.md names, each of them run: TLS, proxies, one function, AWS Lambda, systemd."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from tests.support.caller import Device, Http
from tests.support.deployments import caddy, nginx, self_signed, temporary_folder
from tests.support.server import ROOT, Service, free_port, start_service
from tests.support.socket_client import SocketClient


@dataclass
class Site:
    """A deployment under https: its address, and what proves its certificate."""

    url: str
    authority: Path


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where programs may read that give up root's rights."""
    with temporary_folder() as one:
        yield one


@contextlib.contextmanager
def by_itself(folder: Path, database: str) -> Iterator[Site]:
    """The service with a certificate of its own."""
    file = self_signed(folder)
    with start_service(folder, DATABASE_URL=database, COTERIE_TLS_CERTIFICATE=str(file)) as service:
        yield Site(service.url.replace("http", "https", 1), file)


@contextlib.contextmanager
def two_processes(folder: Path, database: str, port: int) -> Iterator[tuple[Service, Service]]:
    """As they stand behind a proxy on `port`."""
    settings = {
        "DATABASE_URL": database,
        "PUBLIC_URL": f"https://localhost:{port}",
        "COTERIE_TRUSTED_PROXIES": "127.0.0.1",
    }
    for name in ("first", "second"):
        (folder / name).mkdir()
    with (
        start_service(folder / "first", **settings) as first,
        start_service(folder / "second", **settings) as second,
    ):
        yield first, second


@contextlib.contextmanager
def behind_nginx(folder: Path, database: str) -> Iterator[Site]:
    """Two processes behind nginx."""
    port, file = free_port(), self_signed(folder)
    with (
        two_processes(folder, database, port) as services,
        nginx(folder, *services, port=port, certificate=file) as url,
    ):
        yield Site(url, file)


@contextlib.contextmanager
def behind_caddy(folder: Path, database: str) -> Iterator[Site]:
    """Two processes behind Caddy."""
    port = free_port()
    with (
        two_processes(folder, database, port) as services,
        caddy(folder, *services, port=port) as (url, authority),
    ):
        yield Site(url, authority)


def needs(program: str) -> pytest.MarkDecorator:
    """Skipped where it is not installed."""
    return pytest.mark.skipif(
        shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None,
        reason=f"{program} is not installed (on Debian: apt-get install {program})",
    )


@pytest.mark.parametrize(
    "deployment",
    [
        by_itself,
        pytest.param(behind_nginx, marks=needs("nginx")),
        pytest.param(behind_caddy, marks=needs("caddy")),
    ],
)
async def test_under_https_with_sockets(
    deployment: Callable[[Path, str], contextlib.AbstractContextManager[Site]],
    make_database: Callable[[], str],
    folder: Path,
) -> None:
    with deployment(folder, make_database()) as site:
        trusted = ssl.create_default_context(cafile=site.authority)
        async with httpx.AsyncClient(verify=trusted, timeout=30) as client:
            page = await client.get(f"{site.url}/health", headers={"x-request-id": "a-client-chose-this"})
        assert page.headers["x-request-id"] not in ("", "a-client-chose-this")
        assert page.headers["strict-transport-security"]
        assert (
            f"connect-src 'self' {site.url.replace('https', 'wss', 1)};"
            in page.headers["content-security-policy"]
        )
        alice, bob = await Device.guest(site.url), await Device.guest(site.url)
        group = await alice.create_group()
        await alice.add(group, bob)
        address = f"{site.url.replace('https', 'wss', 1)}/functions/v1/deliver"
        async with websockets.connect(address, ssl=trusted) as websocket:
            socket = SocketClient(websocket)
            await socket.send("hello", token=bob.token, cursors={})
            await socket.until("caught_up")
            (await alice.send(group)).ok()
            await socket.until_seq(group.group_id, 2)


def test_a_certificate_that_cannot_be_used_is_said_in_a_sentence(tmp_path: Path, database: str) -> None:
    settings = {"DATABASE_URL": database, "COTERIE_TLS_CERTIFICATE": str(tmp_path / "none.pem")}
    done = subprocess.run(
        [sys.executable, "-m", "edge_functions", "serve"], cwd=ROOT, check=False, capture_output=True, text=True,
        env={**os.environ, **settings, "PORT": str(free_port())}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("COTERIE_TLS_CERTIFICATE or COTERIE_TLS_KEY cannot be used")


@contextlib.contextmanager
def one_function(name: str, database: str, log: Path) -> Iterator[str]:
    """`functions/<name>.py` alone, in any ASGI server; its address."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"edge_functions.functions.{name}:app", f"--port={port}"]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "DATABASE_URL": database}, stdout=output, stderr=output
        )
    try:
        while "Uvicorn running on" not in log.read_text():
            assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


async def test_one_function_alone(
    make_service: Callable[..., Service], make_database: Callable[[], str], tmp_path: Path
) -> None:
    """The others are served elsewhere; they share the database and nothing else."""
    database = make_database()
    service = make_service(DATABASE_URL=database)
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    (await alice.send(group)).ok()
    with one_function("get_messages", database, tmp_path / "log") as url:
        http = Http(url)
        for path in ("/", "/functions/v1/get_messages"):
            answer = await http.post(
                path,
                json={"group_id": group.group_id, "after": 0},
                headers={"authorization": f"Bearer {alice.token}"},
            )
            assert [one["seq"] for one in answer.json()["envelopes"]] == [1]
        assert (await http.post("/", json={})).json()["code"] == "no_session"


def event(body: dict[str, Any], token: str | None) -> dict[str, Any]:
    """What AWS Lambda is called with by a function URL or an HTTP API: payload format 2.0."""
    path = "/functions/v1/get_messages"
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "content-type": "application/json",
            "host": "id.lambda-url.eu-central-1.on.aws",
            "x-forwarded-for": "203.0.113.7",
            **({} if token is None else {"authorization": f"Bearer {token}"}),
        },
        "requestContext": {
            "accountId": "anonymous",
            "domainName": "id.lambda-url.eu-central-1.on.aws",
            "http": {
                "method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "x",
            },
            "requestId": "0a6b3d1e",
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": 1795279383878,
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }  # fmt: skip


async def test_a_function_on_aws_lambda(
    make_service: Callable[..., Service], make_database: Callable[[], str]
) -> None:
    """In a process of its own, which gets one event a line, as the runtime hands them over one after the other."""
    database = make_database()
    alice = await Device.guest(make_service(DATABASE_URL=database).url)
    group = await alice.create_group()
    (await alice.send(group)).ok()
    asked = {"group_id": group.group_id, "after": 0}
    events = [event(asked, alice.token), event(asked, None), event(asked, alice.token)]
    runtime = (
        "import json, sys; from handler import handler\n"
        "for line in sys.stdin: print(json.dumps(handler(json.loads(line), None)), flush=True)"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", runtime], input="".join(f"{json.dumps(one)}\n" for one in events),
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        env={
            **os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/deploy/aws_lambda", "COTERIE_FUNCTION": "get_messages",
            "DATABASE_URL": database,
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, refused, second = (json.loads(line) for line in done.stdout.splitlines())
    for answer in (first, second):
        assert answer["statusCode"] == 200
        assert [one["seq"] for one in json.loads(answer["body"])["envelopes"]] == [1]
    assert (refused["statusCode"], json.loads(refused["body"])["code"]) == (401, "no_session")
    assert refused["headers"]["access-control-allow-origin"] == "*"


@needs("systemd-analyze")
def test_the_unit_of_systemd_is_one(tmp_path: Path) -> None:
    unit = (ROOT / "deploy/systemd/coterie@.service").read_text()
    command = "/opt/coterie/.venv/bin/coterie-server"
    assert command in unit
    file = tmp_path / "coterie@8080.service"
    file.write_text(unit.replace(command, "/bin/true"))  # it asks whether the program is there
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


CONTAINER = ROOT / "deploy/container/Containerfile"


@needs("hadolint")
def test_the_file_of_the_container_is_clean() -> None:
    done = subprocess.run(["hadolint", str(CONTAINER)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_container_copies_is_enough_to_serve(folder: Path, database: str) -> None:
    """Its steps in a folder, but for what needs a registry: the base image and the packages, which are this venv's."""
    steps = [line.split(maxsplit=1) for line in CONTAINER.read_text().splitlines() if re.match("[A-Z]", line)]
    given = {name: rest for name, rest in steps if name in {"ENV", "CMD"}}
    for source, target in (rest.split() for name, rest in steps if name == "COPY"):
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        if source == "dist/site" and not (ROOT / source).exists():
            continue  # the page has a test of its own
        assert (ROOT / source).exists(), source
        (folder / target).symlink_to(ROOT / source)
    environment = dict(word.split("=", 1) for word in given["ENV"].split())
    port = free_port()
    environment |= {
        "PORT": str(port),
        "COTERIE_DATA": str(folder),
        "DATABASE_URL": database,
        "HOST": "127.0.0.1",
    }
    environment |= {"COTERIE_DRAIN_SECONDS": "0"}
    program, *words = json.loads(given["CMD"])
    assert program == "python"
    with subprocess.Popen(
        [sys.executable, "-P", *words], cwd=folder, stdout=subprocess.PIPE, text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), **environment},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == f"Coterie is ready: open http://localhost:{port}\n"
        assert httpx.get(f"http://127.0.0.1:{port}/ready", timeout=30).json() == {"ready": True}
        process.terminate()
    assert process.returncode == 0
