"""The terminal client, run with a scripted client behind it; a system with a keyring."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest

from coterie import cli, native
from coterie.key_sources import GIVEN_BY
from tests.support.keeping import Keyring
from tests.support.terminal import Run, Script


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    played = Script()
    monkeypatch.setattr(native, "open_client", played.open)
    monkeypatch.setenv("COTERIE_DATA", str(tmp_path))
    monkeypatch.delenv("COTERIE_SERVER", raising=False)
    return played


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """`run(arguments, typed="…")`: exit status, standard output, standard error."""
    ends: list[Any] = []

    def call(*argv: str, typed: str = "") -> tuple[int, str, str]:
        reading, writing = os.pipe()
        os.write(writing, typed.encode())
        os.close(writing)
        ends.append(os.fdopen(reading))
        monkeypatch.setattr(sys, "stdin", ends[-1])
        status = cli.main(argv)
        shown = capfd.readouterr()
        return status, shown.out, shown.err

    yield call
    for thread in threading.enumerate():
        if thread.name == "coterie-stdin":  # it would read from whatever gets this descriptor's number next
            thread.join()
    for end in ends:
        end.close()


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyring]:
    """A system with a keyring, and no key in its environment."""
    for name in GIVEN_BY:
        monkeypatch.delenv(name, raising=False)
    before, found = keyring.get_keyring(), Keyring()
    keyring.set_keyring(found)
    yield found
    keyring.set_keyring(before)
