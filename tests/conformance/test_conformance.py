"""A share of the conformance suite against the real service; `make conformance` runs it at full size."""

import ast
import os
import secrets
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from coterie_conformance import CHECKS, Check, Sizes, Verdict, World, open_world
from coterie_conformance.runner import judge
from tests.support.deployments import UNLIMITED
from tests.support.server import Service

PACKAGE = Path(__file__).parent.parent.parent / "conformance"
SEED = int(os.environ.get("CONFORMANCE_SEED") or secrets.randbits(32))
"""Of schedules; told with a failure."""
SHARE = Sizes(rounds=3, committers=100, racers=30, messages=80, seed=SEED)


@pytest.fixture(scope="module")
def unlimited(make_service: Callable[..., Service]) -> Service:
    """A service that lets one address ask so much; claims lapse soon."""
    return make_service(COTERIE_CLAIM_SECONDS="3", **UNLIMITED)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(unlimited: Service) -> AsyncIterator[World]:
    """One run's devices and connections."""
    async with open_world(unlimited.url, SHARE) as opened:
        yield opened


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
async def test_promise(world: World, check: Check) -> None:
    result = await judge(world, check)
    assert result.verdict is Verdict.HELD, f"{result.line()}\nCONFORMANCE_SEED={SEED}"


def test_it_shares_no_code_with_what_it_tests() -> None:
    """It imports the standard library, itself, and exactly what its pyproject.toml names."""
    needs = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]["dependencies"]
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    strangers = imported - set(sys.stdlib_module_names) - {"coterie_conformance"}
    assert strangers == {one.partition(">")[0] for one in needs}


def test_every_check_says_what_it_promises() -> None:
    for check in CHECKS.values():
        assert check.promise.endswith("."), check.name
        assert check.reference, check.name
