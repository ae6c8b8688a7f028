"""The programs in docs/deploy.md run as they stand there."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.server import ROOT, Service

TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
PYTHON = ROOT / "build" / "supabase-venv" / "bin" / "python"


def block(fence: str) -> str:
    """The one block that is fenced like this."""
    (code,) = re.findall(rf"^```{fence}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(code)


def run(command: Sequence[str | Path], service: Service) -> str:
    """What the program prints."""
    environment = {
        **os.environ, "SERVICE": service.url, "COTERIE_SUPABASE_KEY": "sb_publishable_any", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_people_meet_by_a_link_through_supabase_py(service: Service) -> None:
    printed = run([PYTHON, "-c", block("python run beside supabase")], service)
    assert printed == f"{service.url}/ joined\n"


def test_a_link_is_made_and_joined_with_supabase_js(service: Service) -> None:
    words = ["node", "--experimental-websocket", "--input-type=module", "--eval", block("js run")]
    assert run(words, service) == "waiting\n"
