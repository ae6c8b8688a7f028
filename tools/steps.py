"""Steps of a set-up: each runs once and again only when what it reads has changed.

A step's stamp in `.make/` holds the SHA-256 of its inputs (paths and contents). A step whose stamp matches
and whose outputs are there is skipped, so that a second `make run` starts in seconds.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
STAMPS = ROOT / ".make"
NOT_INPUTS = {"__pycache__", "node_modules", "target"}


class SetupError(Exception):
    """Something is missing or failed; the message says what, and what to do."""


@dataclass(frozen=True)
class Step:
    """One step: `inputs` and `outputs` are paths or globs from the root of the checkout."""

    name: str
    action: Callable[[], None]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def run_steps(steps: list[Step]) -> None:
    """Run those that are not up to date, in order, saying which and how long each took."""
    for number, step in enumerate(steps, start=1):
        stamp = STAMPS / step.name.replace(" ", "-").lower()
        if _is_current(step, stamp):
            continue
        print(f"[{number}/{len(steps)}] {step.name} …", flush=True)
        began = time.monotonic()
        stamp.unlink(missing_ok=True)
        step.action()
        _require_outputs(step)
        STAMPS.mkdir(exist_ok=True)
        stamp.write_text(_digest(step.inputs))
        print(f"[{number}/{len(steps)}] {step.name}: done in {time.monotonic() - began:.0f} s", flush=True)


def command(*words: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a program in the root of the checkout, its output shown. Raises SetupError when it fails."""
    line = [str(word) for word in words]
    try:
        status = subprocess.run(line, cwd=ROOT, env=env, check=False).returncode
    except OSError as error:
        raise SetupError(f"{line[0]} could not be started: {error.strerror}.") from error
    if status:
        raise SetupError(f"`{' '.join(line)}` failed (status {status}); its output is above.")


def fail(error: SetupError) -> None:
    """End the program with the error in plain words."""
    print(f"\nCoterie can't be set up: {error}", file=sys.stderr)
    raise SystemExit(1)


def _is_current(step: Step, stamp: Path) -> bool:
    outputs_there = all(any(ROOT.glob(pattern)) for pattern in step.outputs)
    return outputs_there and stamp.is_file() and stamp.read_text() == _digest(step.inputs)


def _require_outputs(step: Step) -> None:
    for pattern in step.outputs:
        if not any(ROOT.glob(pattern)):
            raise SetupError(f"step “{step.name}” ended without an error but made no {pattern}.")


def _digest(patterns: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for path in sorted(_files(patterns)):
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        for found in ROOT.glob(pattern):
            candidates = found.rglob("*") if found.is_dir() else (found,)
            for path in candidates:
                below = path.relative_to(ROOT).parts
                if path.is_file() and not NOT_INPUTS & set(below) and path.suffix not in {".pyc", ".so"}:
                    yield path
