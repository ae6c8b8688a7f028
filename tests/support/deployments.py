"""Ways to run the service: on the embedded Postgres, on Debian's, in two processes behind nginx."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from edge_functions.postgres import EmbeddedPostgres
from tests.support.server import ROOT, Service, free_port, start_service

_LIMITS = ("ADDRESS", "CLAIMS", "COMMITS", "GUESSES", "INVITES", "JOINS", "LOOKUPS", "SIGN_UPS", "SOCKETS")
UNLIMITED = {f"COTERIE_LIMIT_{name}": "1000000" for name in _LIMITS}
"""A test asks more in a minute, from one address, than people do."""
DEBIAN_POSTGRES = Path("/usr/lib/postgresql/15/bin")
_START_SECONDS = 60


@contextlib.contextmanager
def on_embedded_postgres(**settings: str) -> Iterator[str]:
    """One process with its own Postgres, as `make run` starts it; its address."""
    with temporary_folder() as folder, start_service(folder, **UNLIMITED, **settings) as service:
        yield service.url


@contextlib.contextmanager
def on_debian_postgres(**settings: str) -> Iterator[str]:
    """One process on a PostgreSQL 15 of Debian's package; its address."""
    with (
        temporary_folder() as folder,
        debian_postgres(folder / "cluster") as database,
        start_service(folder, DATABASE_URL=database, **UNLIMITED, **settings) as service,
    ):
        yield service.url


@contextlib.contextmanager
def behind_nginx(**settings: str) -> Iterator[str]:
    """Two processes on one database behind nginx, with the configuration in deploy/nginx; nginx's address."""
    with temporary_folder() as folder, EmbeddedPostgres(folder / "postgres") as postgres:
        settings = {
            "DATABASE_URL": postgres.url,
            "COTERIE_TRUSTED_PROXIES": "127.0.0.1",
            **UNLIMITED,
            **settings,
        }
        (folder / "first").mkdir()
        (folder / "second").mkdir()
        with (
            start_service(folder / "first", **settings) as first,
            start_service(folder / "second", **settings) as second,
            nginx(folder, first, second) as url,
        ):
            yield url


@contextlib.contextmanager
def debian_postgres(folder: Path) -> Iterator[str]:
    """A new cluster of Debian's PostgreSQL 15 while the block lasts; the URL of its superuser."""
    identity: dict[str, Any] = {}
    folder.mkdir()
    if os.geteuid() == 0:  # which Postgres refuses to run as; the package has made this user
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    data = folder / "data"
    initialise: list[Path | str] = [
        DEBIAN_POSTGRES / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "--auth=trust",
        "--locale=C",
    ]
    subprocess.run([*initialise, "--encoding=UTF8"], check=True, capture_output=True, cwd="/", **identity)
    options = {"listen_addresses": "", "unix_socket_directories": str(folder), "max_connections": "200"}
    arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with (folder.parent / "postgres.log").open("wb") as log:
        process = subprocess.Popen(
            [DEBIAN_POSTGRES / "postgres", "-D", data, *arguments],
            stdout=log, stderr=log, cwd="/", **identity,
        )  # fmt: skip
    url = f"postgresql://postgres@/postgres?host={quote(str(folder), safe='')}"
    try:
        _wait(lambda: asyncio.run(_connect(url)), process)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


async def _connect(url: str) -> None:
    await (await asyncpg.connect(url, timeout=5)).close()


@contextlib.contextmanager
def nginx(folder: Path, *services: Service, port: int = 0, certificate: Path | None = None) -> Iterator[str]:
    """The proxy in front of two services, as deploy/nginx has it but for ports and places; its address.

    `certificate`: a PEM file with its key, for TLS.
    """
    port = port or free_port()
    tls = "" if certificate is None else f"ssl_certificate {certificate}; ssl_certificate_key {certificate};"
    upstream = (ROOT / "deploy/nginx/upstream.conf").read_text()
    for documented, service in zip(("127.0.0.1:8080", "127.0.0.1:8081"), services, strict=True):
        assert documented in upstream
        upstream = upstream.replace(documented, f"127.0.0.1:{service.port}")
    (folder / "upstream.conf").write_text(upstream)
    (folder / "nginx.conf").write_text(f"""
        daemon off;
        pid {folder}/nginx.pid;
        error_log {folder}/nginx.log warn;
        worker_processes 2;
        worker_rlimit_nofile 16384;
        events {{ worker_connections 8192; }}
        http {{
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            include {folder}/upstream.conf;
            server {{
                listen 127.0.0.1:{port}{" ssl http2" if certificate else ""} backlog=4096;
                {tls}
                include {ROOT}/deploy/nginx/proxy.conf;
            }}
        }}
    """)
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen(
        [program, "-p", folder, "-e", folder / "nginx.log", "-c", folder / "nginx.conf"]
    )
    url = f"{'http' if certificate is None else 'https'}://localhost:{port}"
    trusted = ssl.create_default_context(cafile=certificate)
    try:
        _wait(lambda: httpx.get(f"{url}/health", timeout=5, verify=trusted), process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def caddy(folder: Path, *services: Service, port: int) -> Iterator[tuple[str, Path]]:
    """The proxy in front of services, with the configuration in deploy/caddy and a certificate of its own authority.

    Its address, and the authority's certificate.
    """
    url = f"https://localhost:{port}"
    (folder / "Caddyfile").write_text(f"""
        {{
            admin off
            skip_install_trust
            auto_https disable_redirects
            storage file_system {folder}/storage
        }}
        import {ROOT}/deploy/caddy/Caddyfile
    """)
    upstreams = " ".join(f"127.0.0.1:{service.port}" for service in services)
    with (folder / "caddy.log").open("wb") as log:
        process = subprocess.Popen(
            [shutil.which("caddy") or "caddy", "run", "--config", folder / "Caddyfile"],
            env={**os.environ, "SITE": url, "UPSTREAMS": upstreams, "HOME": str(folder)},
            stdout=log, stderr=log,
        )  # fmt: skip
    authority = folder / "storage/pki/authorities/local/root.crt"
    try:
        _wait(lambda: ssl.create_default_context(cafile=authority), process)
        trusted = ssl.create_default_context(cafile=authority)
        _wait(lambda: httpx.get(f"{url}/health", timeout=5, verify=trusted).raise_for_status(), process)
        yield url, authority
    finally:
        process.terminate()
        process.wait(30)


def self_signed(folder: Path) -> Path:
    """A PEM file with a certificate for localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, SHA256())
    )
    file = folder / "localhost.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + pem)
    return file


def _wait(attempt: Any, process: "subprocess.Popen[bytes]") -> None:
    """Until `attempt` does not fail."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            attempt()
        except (OSError, asyncpg.PostgresError, httpx.HTTPError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} did not start") from error
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that other users may pass through, unlike pytest's: Postgres and nginx's workers are not root."""
    with tempfile.TemporaryDirectory(prefix="coterie-deployment-") as name:
        Path(name).chmod(0o711)
        yield Path(name)
