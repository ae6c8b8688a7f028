"""The Python in README.md runs as it stands there: blocks fenced as ```python run, each in a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Service

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python run(?P<how>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = {found["how"].strip(): found["code"] for found in BLOCK.finditer(README)}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path, {})
    running.start()
    yield running
    running.close()


def run(code: str, **environment: str) -> str:
    """What the code prints; a warning fails it as an error does."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_every_python_block_is_run() -> None:
    assert sorted(BLOCKS) == ["", "with a service"]
    assert len(re.findall(r"^```python", README, re.MULTILINE)) == len(BLOCKS)


def test_the_binding(tmp_path: Path) -> None:
    code = BLOCKS[""]
    promised = re.search(r"print\(.*\)  # (.*)", code)
    assert promised
    assert run(code) == f"{promised[1]}\n"


def test_the_client(service: Service) -> None:
    printed = run(BLOCKS["with a service"], COTERIE_SERVER=service.url)
    assert "'text': 'hello'" in printed
    assert "'mine': False" in printed
