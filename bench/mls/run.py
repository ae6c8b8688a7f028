"""The wheels against OpenMLS in plain Rust: `python bench/mls/run.py [--rounds N]`.

Each round runs plain Rust, the native wheel and the Pyodide wheel one after the other, so that whatever else
the machine does falls on all three. Printed are the medians over the rounds, and their ratios to plain Rust.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLAIN = ROOT / "wasm/target/release/examples/plain"
HOLD = {"native": {"encrypt": 1.1, "decrypt": 1.1}, "pyodide": {"encrypt": 2.5, "decrypt": 2.5}}
REST = 4.0
"""What Pyodide may take for everything else, as a multiple of plain Rust."""
HOLD_500 = {"encrypt": 1_000.0, "process_commit": 15_000.0, "join": 150_000.0}
"""Microseconds in Pyodide in a group of 500."""

Figures = dict[str, float]


def commands(messages: int, size: int, members: int) -> dict[str, list[str]]:
    arguments = [str(messages), str(size), str(members)]
    return {
        "plain": [str(PLAIN), *arguments],
        "native": [sys.executable, str(HERE / "wheel.py"), *arguments],
        "pyodide": ["node", str(HERE / "pyodide.mjs"), *arguments],
    }


def measure(rounds: int, messages: int, size: int, members: int) -> dict[str, Figures]:
    """Median microseconds of each operation for each of the three."""
    environment = {**os.environ, "RAYON_NUM_THREADS": "1"}  # Pyodide has one thread: compare like with like
    seen: dict[str, list[Figures]] = {}
    for _ in range(rounds):
        for name, command in commands(messages, size, members).items():
            output = subprocess.run(
                command, check=True, capture_output=True, text=True, env=environment
            ).stdout
            seen.setdefault(name, []).append(json.loads(output))
    return {
        name: {what: statistics.median(run[what] for run in runs) for what in runs[0]}
        for name, runs in seen.items()
    }


def table(title: str, figures: dict[str, Figures]) -> None:
    """Microseconds, and how many times plain Rust that is."""
    print(f"\n{title}\n{'':<16}{'Rust':>12}{'native':>12}{'':>8}{'Pyodide':>12}{'':>8}")
    for what, base in figures["plain"].items():
        native, pyodide = figures["native"][what], figures["pyodide"][what]
        row = f"{what:<16}{base:>9.1f} us{native:>9.1f} us{native / base:>7.2f}x"
        row += f"{pyodide:>9.1f} us{pyodide / base:>7.2f}x"
        print(row + verdict(what, native / base, pyodide / base))


def verdict(what: str, native: float, pyodide: float) -> str:
    """What is above the line, if anything is."""
    over = [] if native <= HOLD["native"].get(what, float("inf")) else ["native"]
    if pyodide > HOLD["pyodide"].get(what, REST):
        over.append("Pyodide")
    return f"   over: {', '.join(over)}" if over else ""


def main() -> None:
    """Build plain Rust, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    build = ["cargo", "build", "--quiet", "--locked", "--release", "--example", "plain"]
    subprocess.run(build, cwd=ROOT / "wasm", check=True)
    table("1,000 messages of 200 bytes, 2 members", measure(rounds, 1000, 200, 2))
    large = measure(max(1, rounds // 2), 100, 200, 500)
    table("100 messages of 200 bytes, 500 members", large)
    for what, hold in HOLD_500.items():
        print(
            f"Pyodide, 500 members, {what}: {large['pyodide'][what] / 1000:.1f} ms (hold {hold / 1000:.0f} ms)"
        )


if __name__ == "__main__":
    main()
