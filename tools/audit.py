"""Known vulnerabilities and licences of what we depend on: `audit.py cargo | npm | pip`.

What needs no network always counts. A database that can't be reached is said and skipped (status 77), because
it says nothing about the code; any other failure is a failure.
"""

from __future__ import annotations

import re
import subprocess
import sys

from steps import ROOT

SKIPPED = 77
UNREACHABLE = (
    "failed to fetch advisory database",
    "failed to clone",
    "error trying to connect",
    "ConnectionError",
    "Max retries exceeded",
    "Failed to resolve",
    "could not connect to",
    "timed out",
    "could not be audited",  # pip-audit, of a package index that gives files and no advisories
    "audit endpoint returned an error",  # npm, the same
)
CARGO_DENY = (
    "cargo-deny",
    "--manifest-path",
    "wasm/Cargo.toml",
    "--locked",
    "check",
    "--hide-inclusion-graph",
)


def cargo() -> int:
    """Licences, sources and bans from the lock file; then the RustSec advisories."""
    status = subprocess.run([*CARGO_DENY, "bans", "licenses", "sources"], cwd=ROOT, check=False).returncode
    return status or online(*CARGO_DENY, "advisories")


def npm() -> int:
    """What npm's advisories say of what the page ships and the tests run."""
    return online("npm", "audit")


def pip() -> int:
    """What PyPI's advisories say of the locked requirements; `run` is part of `test`."""
    words = ("pip-audit", "--disable-pip", "--require-hashes", "--progress-spinner=off", "-r")
    ends = [online(*words, f"requirements/{name}.txt") for name in ("test", "supabase")]
    return next((end for end in ends if end not in {0, SKIPPED}), max(ends))


def online(*words: str) -> int:
    """Run a check that asks a database; 77 when it can't be reached."""
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired:
        print(f"skipped: {words[0]} had no answer from its advisory database in 300 s")
        return SKIPPED
    output = done.stdout + done.stderr
    if not re.search(r"Found \d+ known", output) and any(sign in output for sign in UNREACHABLE):
        print(f"skipped: {words[0]} could not reach its advisory database")
        return SKIPPED
    print(output, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit({"cargo": cargo, "npm": npm, "pip": pip}[sys.argv[1]]())
