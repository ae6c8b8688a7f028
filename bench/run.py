"""All benchmarks, one after the other; each prints its own figures. What counts is an idle machine.

make bench, or: python bench/run.py [part of a name ...]
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
BENCHES = (
    "mls/run.py",
    "boot/boot.py",
    "chat/latency.py",
    "chat/rows.py",
    "chat/at_rest.py",
    "chat/contention.py",
    "abuse/run.py",
)


def main() -> int:
    """Run those that are asked for; the number of those that failed."""
    wanted = [name for name in BENCHES if not sys.argv[1:] or any(word in name for word in sys.argv[1:])]
    failed = 0
    for name in wanted:
        print(f"\n=== bench/{name}", flush=True)
        began = time.monotonic()
        failed += subprocess.run([sys.executable, str(HERE / name)], check=False).returncode != 0
        print(f"({time.monotonic() - began:.0f} s)")
    return failed


if __name__ == "__main__":
    sys.exit(main())
