"""No tracked file names a machine's folders, a private registry or anything outside the repository."""

from __future__ import annotations

import re
import subprocess
import sys

from steps import ROOT

PATHS = re.compile(r"(?<![\w.~-])/(?:work|root|home/\w+|opt/wheels)/|/tmp/[\w]|\.\./shared/(?!vectors)")
"""Absolute folders of one machine, and the folder beside the checkout (but for the test vectors in it)."""
HOSTS = {
    "package-lock.json": re.compile(r'"resolved": "(?!https://registry\.npmjs\.org/)'),
    "Cargo.lock": re.compile(
        r'^source = "(?!registry\+https://github\.com/rust-lang/crates\.io-index")', re.MULTILINE
    ),
    "requirements": re.compile(r"https?://|--(?:extra-)?index-url|--find-links|file:"),
}
"""What a lock file must not hold: any registry but the public one."""


def tracked() -> list[str]:
    """Paths of all tracked files."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in listing.stdout.split("\0") if path and (ROOT / path).is_file()]


def faults(path: str) -> list[str]:
    """What is wrong with one file, a line each."""
    try:
        text = (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []  # a picture or a binary, which has no lines to judge
    patterns = [] if path == "tools/check_tree.py" else [PATHS]
    patterns += [pattern for part, pattern in HOSTS.items() if part in path and not path.endswith(".sh")]
    return [
        f"{path}:{text.count(chr(10), 0, found.start()) + 1}: {found[0]}"
        for pattern in patterns
        for found in pattern.finditer(text)
    ]


def main() -> int:
    """Print every fault; 1 if there is one."""
    found = [fault for path in tracked() for fault in faults(path)]
    print("\n".join(found) if found else "the tree names no machine and no private registry")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
