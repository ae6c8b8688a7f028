"""Run suites and gates by name or group: `python tools/suites.py lint unit db`; `all` is every one of them.

Goes on after a failure, prints each one's result and time at the end, and exits 1 if any failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from enum import StrEnum

import machine
from steps import ROOT

VENV = ROOT / ".venv" / "bin"
PYTEST = f"{VENV}/python -m pytest -p no:cacheprovider"
BESIDE_SUPABASE = f"{ROOT}/build/supabase-venv/bin/python -m pytest -p no:cacheprovider"
SKIPPED = 77
"""The exit status by which a gate says that it could not be asked here (as automake's tests do)."""


@dataclass(frozen=True)
class Suite:
    """One command, with globs of files in it; `group` is the name of its make target without `test-`."""

    name: str
    group: str
    command: str
    folder: str = "."


class Result(StrEnum):
    """How a suite ended."""

    PASSED = "passed"
    FAILED = "FAILED"
    SKIPPED = "skipped"


SUITES = (
    Suite("tree", "lint", f"{VENV}/python tools/check_tree.py"),
    Suite("ruff", "lint", f"{VENV}/ruff check --no-cache ."),
    Suite("format", "lint", f"{VENV}/ruff format --check --quiet --no-cache ."),
    Suite("mypy", "lint", f"{VENV}/mypy"),
    Suite("imports", "lint", f"{VENV}/lint-imports --no-cache"),
    Suite("stub", "lint", f"{VENV}/stubtest --ignore-disjoint-bases coterie_mls"),
    Suite("javascript", "lint", "npm run --silent lint"),
    Suite("rustfmt", "lint", "cargo fmt --check", "wasm"),
    Suite("clippy", "lint", "cargo clippy --locked --all-targets -- -D warnings", "wasm"),
    Suite("cargo-deny", "lint", f"{VENV}/python tools/audit.py cargo"),
    Suite("npm-audit", "lint", f"{VENV}/python tools/audit.py npm"),
    Suite("pip-audit", "lint", f"{VENV}/python tools/audit.py pip"),
    Suite("unit", "unit", f"{PYTEST} tests/unit"),
    Suite("contract", "contract", f"{PYTEST} tests/contract"),
    Suite("vectors", "vectors", f"{PYTEST} tests/vectors"),
    Suite("db", "db", f"{PYTEST} tests/db"),
    Suite("conformance", "conformance", f"{PYTEST} tests/conformance"),
    Suite("chaos", "conformance", f"{PYTEST} tests/chaos"),
    Suite("supabase", "supabase", f"{BESIDE_SUPABASE} tests/contract/test_transport.py"),
    Suite("pyodide", "pyodide", "node --test tests/pyodide/**/*.test.mjs"),
    Suite("pyodide-browser", "pyodide", f"{PYTEST} tests/pyodide"),
    Suite("web", "web", "node --test tests/web/**/*.test.mjs"),
    Suite("torture", "torture", f"{PYTEST} tests/torture"),
    Suite("disorder", "disorder", f"{PYTEST} tests/disorder"),
    Suite("e2e", "e2e", f"{PYTEST} tests/e2e"),
    Suite("tabs", "e2e", f"{PYTEST} tests/tabs"),
)


def environment() -> dict[str, str]:
    """The venv's programs first, and the browser for those who need one."""
    path = os.pathsep.join([str(VENV), os.environ["PATH"]])
    jobs = os.environ.get("CARGO_BUILD_JOBS", "2")
    browsers = {"CHROMIUM": machine.chromium() or "", "FIREFOX": machine.firefox() or ""}
    return {**os.environ, "PATH": path, "CARGO_BUILD_JOBS": jobs, **browsers}


def run(suite: Suite) -> Result:
    """Run one suite with its output shown."""
    print(f"\n=== {suite.name}: {suite.command.replace(f'{ROOT}/', '')}", flush=True)
    words = [word for given in suite.command.split() for word in expand(given)]
    try:
        done = subprocess.run(words, cwd=ROOT / suite.folder, env=environment(), check=False)
    except OSError as error:
        print(f"{suite.name} could not be started: {error}")
        return Result.FAILED
    if done.returncode == SKIPPED:
        return Result.SKIPPED
    return Result.PASSED if done.returncode == 0 else Result.FAILED


def expand(word: str) -> list[str]:
    """The files that a glob names: Node before 21 knows no globs. One that names nothing stays, and fails."""
    found = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(word)) if "*" in word else []
    return found or [word]


def report(rows: list[tuple[Suite, Result, float]]) -> None:
    """The table at the end, and one line that counts."""
    print("\n=== summary")
    for suite, result, seconds in rows:
        print(f"{suite.name:<16} {result:<8} {seconds:7.1f} s")
    print(f"{'total':<16} {'':<8} {sum(seconds for _, _, seconds in rows):7.1f} s")
    counts = {result: sum(row[1] is result for row in rows) for result in Result}
    passed, failed, skipped = counts[Result.PASSED], counts[Result.FAILED], counts[Result.SKIPPED]
    print(f"suites: {passed} passed, {failed} failed, {skipped} skipped", flush=True)


def main(names: list[str]) -> int:
    """Run what was named, in the order of the table."""
    known = {suite.name for suite in SUITES} | {suite.group for suite in SUITES} | {"all"}
    if not names or not known.issuperset(names):
        print(f"usage: suites.py NAME…, of: {' '.join(sorted(known))}", file=sys.stderr)
        return 2
    rows = []
    for suite in SUITES:
        if {"all", suite.name, suite.group} & set(names):
            began = time.monotonic()
            rows.append((suite, run(suite), time.monotonic() - began))
    report(rows)
    return int(any(result is Result.FAILED for _, result, _ in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
