"""The runner of suites: every one runs, the sum tells."""

from __future__ import annotations

import sys

import pytest
import suites
from suites import Suite


def exiting(name: str, status: int) -> Suite:
    return Suite(name, "group", f"{sys.executable} -c raise(SystemExit({status}))")


@pytest.mark.parametrize(
    ("statuses", "summary", "end"),
    [
        ((0, 0), "suites: 2 passed, 0 failed, 0 skipped", 0),
        ((1, 0), "suites: 1 passed, 1 failed, 0 skipped", 1),
        ((0, 77), "suites: 1 passed, 0 failed, 1 skipped", 0),
        ((0, 5), "suites: 1 passed, 1 failed, 0 skipped", 1),
        ((-9, 0), "suites: 1 passed, 1 failed, 0 skipped", 1),
    ],
)
def test_a_failure_stops_nothing_and_is_the_end(
    statuses: tuple[int, ...],
    summary: str,
    end: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    table = tuple(exiting(f"number{n}", status) for n, status in enumerate(statuses))
    monkeypatch.setattr(suites, "SUITES", table)
    assert suites.main(["all"]) == end
    assert summary in capfd.readouterr().out


def test_a_program_that_is_missing_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suites, "SUITES", (Suite("gone", "group", "no-such-program"),))
    assert suites.main(["gone"]) == 1
    assert "gone could not be started" in capfd.readouterr().out


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert suites.main(["no-such-suite"]) == 2
    assert suites.main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_globs_become_files_and_one_that_names_nothing_stays() -> None:
    assert "tools/suites.py" in suites.expand("tools/*.py")
    assert suites.expand("tests/none/**/*.test.mjs") == ["tests/none/**/*.test.mjs"]
    assert suites.expand("word") == ["word"]
