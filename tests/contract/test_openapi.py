"""The published description: true to OpenAPI, and schemathesis finds nothing in the service that is not in it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from edge_functions.app import FUNCTIONS
from edge_functions.errors import SENTENCES
from edge_functions.identity import ROUTES
from tests.support.bodies import BODIES
from tests.support.figures import SEED, WHOLE, report
from tests.support.server import ROOT, Service
from tests.support.unlimited import UNLIMITED
from tests.support.world import World

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
CHOICE = SEED if WHOLE else 1
"""The share of every run is the same: what turns it red is a change of the service."""
EXAMPLES = 60 if WHOLE else 2
"""Requests of each kind that it makes up for each operation."""
PHASES = "examples,coverage,fuzzing" if WHOLE else "examples,fuzzing"
ENDS_THE_SESSION = ("/auth/v1/logout", "/functions/v1/device_revoke")
"""Not for a member who is needed for the rest; nobody may try."""


@pytest.fixture(scope="module")
def described(make_service: Callable[..., Service]) -> Service:
    """A service that asks nobody to wait."""
    return make_service(**UNLIMITED)


def fetch(service: Service) -> dict[str, Any]:
    """The description as anybody gets it."""
    answer = httpx.get(f"{service.url}/functions/v1/openapi.json", verify=False, timeout=30)  # noqa: S501 - no TLS here
    assert answer.headers["access-control-allow-origin"] == "*"
    document: dict[str, Any] = answer.json()
    return document


def test_it_describes_every_function_and_route_and_no_other(described: Service) -> None:
    paths = fetch(described)["paths"]
    functions = {f"/functions/v1/{name}": function.methods for name, function in FUNCTIONS.items()}
    routes = {f"/auth/v1{one.path}": tuple(one.operations) for one in ROUTES if ":path" not in one.path}
    assert {path: {key.upper() for key in one if key != "parameters"} for path, one in paths.items()} == {
        path: set(methods) for path, methods in {**functions, **routes}.items()
    }


def test_every_code_that_it_names_stands_in_the_protocol() -> None:
    protocol = (ROOT / "docs" / "protocol.md").read_text()
    declared = [one for function in FUNCTIONS.values() for one in (function.common, function.errors)]
    codes = {code for errors in declared for several in errors.values() for code in several}
    assert {code for code in codes if f"`{code}`" not in protocol} == set()
    assert {code for code in codes if code not in SENTENCES} == set()


async def seeded(service: Service, document: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The same, with ids that are there and a request that succeeds for each function; and a token."""
    db = await asyncpg.connect(service._environment["DATABASE_URL"])
    try:
        async with httpx.AsyncClient(base_url=service.url, timeout=30, verify=False) as client:  # noqa: S501 - no TLS here
            world = await World.make(client, db)
            things, member = world.things, world.people["member"]
            spare = await member.create_group()
    finally:
        await db.close()
    known = {
        "group_id": [things.group.group_id],
        "invite_id": [things.invite.hex()],
        "join_id": [things.join.join_id],
        "device_id": [things.device_id],
    }
    for name, function in FUNCTIONS.items():
        for method in function.methods:
            operation = document["paths"][f"/functions/v1/{name}"][method.lower()]
            ids = {**known, "group_id": [spare.group_id]} if name == "group_leave" else known
            if method == "POST":
                content = operation["requestBody"]["content"]["application/json"]
                content["example"] = {
                    **BODIES[name](world, things, member),
                    **({"group_id": spare.group_id} if name == "group_leave" else {}),
                }
                for field, values in ids.items():
                    if field in content["schema"]["properties"]:
                        content["schema"]["properties"][field] = {"enum": values}
    return document, member.token


def schemathesis(service: Service, folder: Path, document: dict[str, Any], *options: str) -> None:
    """One run, which finds nothing."""
    file = folder / "openapi.json"
    file.write_text(json.dumps(document))
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        *("run", str(file), "--url", service.url, "--no-color", "--warnings", "off", "--workers", "2"),
        *(
            "--checks",
            ",".join(CHECKS),
            "--phases",
            PHASES,
            "--max-examples",
            str(EXAMPLES),
            "--seed",
            str(CHOICE),
        ),
        *("--continue-on-failure", *options),
    ]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    cases = re.search(r"([\d,]+) generated", done.stdout)
    assert cases, done.stdout + done.stderr
    report(cases=int(cases[1].replace(",", "")), server_errors=done.stdout.count("- Server error"))
    assert done.returncode == 0, f"SEED={CHOICE}\n{done.stdout[-20000:]}{done.stderr[-2000:]}"


async def test_a_member_finds_nothing_that_is_not_described(described: Service, tmp_path: Path) -> None:
    document, token = await seeded(described, fetch(described))
    excluded = [part for path in ENDS_THE_SESSION for part in ("--exclude-path", path)]
    schemathesis(described, tmp_path, document, "-H", f"Authorization: Bearer {token}", *excluded)


def test_nobody_finds_nothing_that_is_not_described(described: Service, tmp_path: Path) -> None:
    schemathesis(described, tmp_path, fetch(described))
