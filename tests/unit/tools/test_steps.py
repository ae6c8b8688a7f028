"""What `make` installs and builds again, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import steps
from steps import SetupError, Step

Once = Callable[[], None]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one source file."""
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    monkeypatch.setattr(steps, "STAMPS", tmp_path / ".make")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("one")
    return tmp_path


@pytest.fixture
def ran(root: Path) -> list[str]:
    """What the step built so far: the source as it was each time."""
    return []


@pytest.fixture
def go(root: Path, ran: list[str]) -> Once:
    """Run the one step, if it is not up to date."""

    def build() -> None:
        ran.append((root / "source" / "a.txt").read_text())
        (root / "built.whl").write_text(ran[-1])

    return lambda: steps.run_steps([Step("build it", build, inputs=("source",), outputs=("*.whl",))])


def test_a_step_runs_once(go: Once, ran: list[str]) -> None:
    go()
    go()
    assert ran == ["one"]


def test_another_content_runs_it_again_and_another_time_does_not(
    root: Path, go: Once, ran: list[str]
) -> None:
    go()
    (root / "source" / "a.txt").touch()
    go()
    (root / "source" / "a.txt").write_text("two")
    go()
    assert ran == ["one", "two"]


def test_a_new_file_and_a_renamed_one_run_it_again(root: Path, go: Once, ran: list[str]) -> None:
    go()
    (root / "source" / "b.txt").write_text("")
    go()
    (root / "source" / "b.txt").rename(root / "source" / "c.txt")
    go()
    assert ran == ["one"] * 3


def test_what_building_leaves_behind_is_no_input(root: Path, go: Once, ran: list[str]) -> None:
    go()
    (root / "source" / "__pycache__").mkdir()
    (root / "source" / "__pycache__" / "a.pyc").write_text("")
    (root / "source" / "_native.abi3.so").write_text("")
    go()
    assert ran == ["one"]


def test_an_output_that_is_gone_is_made_again(root: Path, go: Once, ran: list[str]) -> None:
    go()
    (root / "built.whl").unlink()
    go()
    assert ran == ["one", "one"]


def test_a_step_that_failed_runs_again(root: Path) -> None:
    times: list[int] = []

    def break_off() -> None:
        times.append(len(times))
        (root / "built.whl").write_text("half")
        raise SetupError("no network")

    for _ in range(2):
        with pytest.raises(SetupError, match="no network"):
            steps.run_steps([Step("build it", break_off, outputs=("built.whl",))])
    assert times == [0, 1]


def test_a_step_that_was_up_to_date_and_then_failed_runs_again(root: Path, go: Once, ran: list[str]) -> None:
    go()
    (root / "source" / "a.txt").write_text("two")
    with pytest.raises(SetupError):
        steps.run_steps([Step("build it", lambda: steps.command("false"), inputs=("source",))])
    (root / "source" / "a.txt").write_text("one")
    go()
    assert ran == ["one", "one"]


def test_a_step_without_its_output_is_an_error(root: Path) -> None:
    with pytest.raises(SetupError, match=r"made no dist/x\.whl"):
        steps.run_steps([Step("build it", lambda: None, outputs=("dist/x.whl",))])


def test_programs_that_fail_or_are_missing_are_named(root: Path) -> None:
    with pytest.raises(SetupError, match=r"`false` failed \(status 1\)"):
        steps.command("false")
    with pytest.raises(SetupError, match="no-such-program could not be started"):
        steps.command("no-such-program")
