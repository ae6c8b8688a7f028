"""`make authz`: everything that asks whether the service can be talked into something, and one line of figures.

Exits 1 when a test fails or a figure falls short. SEED chooses what schemathesis makes up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from steps import ROOT

TESTS = (
    "tests/db/test_access.py",
    "tests/db/test_catalog.py",
    "tests/db/test_catalog_faults.py",
    "tests/contract/test_authorization.py",
    "tests/contract/test_bad_input.py",
    "tests/contract/test_forgeries.py",
    "tests/contract/test_openapi.py",
)
AT_LEAST = {"probes": 1000, "kinds": 22, "forgeries": 22 * 20, "endpoints": 20, "allowed": 100, "cases": 1000}
AT_MOST = {"accepted": 0, "server_errors": 0}


def run(folder: Path) -> tuple[int, Counter[str]]:
    """The tests in full; pytest's status and the sum of the figures."""
    file = folder / "figures"
    file.touch()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "WHOLE": "1", "FIGURES": str(file)}, check=False
    )
    figures: Counter[str] = Counter()
    for line in file.read_text().splitlines():
        figures.update(json.loads(line))
    return done.returncode, figures


def main() -> int:
    """Run, judge, say."""
    with tempfile.TemporaryDirectory(prefix="coterie-authz-") as folder:
        status, figures = run(Path(folder))
    short = [name for name, least in AT_LEAST.items() if figures[name] < least]
    short += [name for name, most in AT_MOST.items() if figures[name] > most]
    print(
        f"authz: {figures['probes']} probes of {figures['endpoints']} endpoints ({figures['allowed']} allowed), "
        f"{figures['forgeries']} forged tokens of {figures['kinds']} kinds, {figures['accepted']} accepted; "
        f"{figures['cases']} requests by schemathesis, {figures['server_errors']} server errors"
        + ("" if status == 0 and not short else f" — FAILED {' '.join(short)}".rstrip())
    )
    return int(status != 0 or bool(short))


if __name__ == "__main__":
    sys.exit(main())
