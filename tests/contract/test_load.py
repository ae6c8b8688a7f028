"""The programs of bench/service run, small: what they measure is for an idle machine, not for a test."""

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent.parent / "bench" / "service"
SECONDS = 300


def run(program: str, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """One of them, to its end."""
    return subprocess.run(
        [sys.executable, FOLDER / program, *words],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip


def test_every_part_measures_something() -> None:
    done = run("run.py", "--small")
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1]
    for figure in (
        "send, 1,000 groups / bare insert ",
        "send, hot group / bare insert ",
        "send, hot group / pgbench ",
        "fan-out, last of 1,000 sockets, median ",
        "fan-out, last of 1,000 sockets, p99 ",
        "memory per idle socket ",
        "read, with / without row-level security ",
        "database per user with 100 key packages ",
        "database per group of one ",
        "database per message beyond its ciphertext ",
        "send, 2 processes / one ",
        "NOTIFY alone, 2 processes listening ",
    ):
        assert float(line.split(figure)[1].split()[0].rstrip(";").replace(",", "")) > 0, figure


def test_a_soak_finds_every_message_again() -> None:
    """It may find growth in so short a run, but nothing missing and no error."""
    done = run("soak.py", SECONDS="1")
    line = done.stdout.splitlines()[-1]
    assert line.startswith("soak ("), done.stderr
    assert "acknowledged" not in line
    assert "status" not in line


def test_a_figure_that_falls_short_ends_with_1_and_growth_is_found() -> None:
    script = """
import figures, run, soak
from figures import Figure
good, short = Figure("a", 0.8, hold=0.7, least=True), Figure("b", 60, " ms", hold=50)
assert run._told([good]) == 0
assert run._told([good, short]) == 1
flat = [(100.0, 30.0, 10.0, 5.0)] * 60
assert soak.grown(flat) == []
for number, size in enumerate((160.0, 40.0, 20.0, 50.0)):
    rising = [tuple(size if index == number else one for index, one in enumerate(row)) for row in flat[40:]]
    assert len(soak.grown(flat[:40] + rising)) == 1, number
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "FALLS SHORT" in done.stdout
