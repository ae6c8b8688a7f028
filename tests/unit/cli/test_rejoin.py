"""`/rejoin` in the terminal."""

from typing import Any

from coterie import cli
from coterie.errors import StateError
from tests.support.terminal import GROUP, Run, Script, a_group

BEHIND: dict[str, Any] = {
    "why": "This device's state is older than what it sent before.",
    "can_send": False,
    "can_rejoin": True,
}


def test_a_group_that_is_stuck_says_what_can_be_tried(script: Script, run: Run) -> None:
    script.groups = [a_group(**BEHIND)]
    script.answers["rejoin"] = {}
    status, out, _ = run("chat", typed="/rejoin\n")
    assert status == 0
    assert "-- This device's state is older than what it sent before. /rejoin tries to get back in." in out
    assert ("rejoin", {"group_id": GROUP}) in script.asked
    assert script.texts() == []


def test_one_that_works_says_so(script: Script, run: Run) -> None:
    script.answers["rejoin"] = StateError("not_stuck", "This group works.")
    status, out, err = run("chat", typed="/rejoin\nstill here\n")
    assert (status, err) == (cli.FAILED, "This group works.\n")
    assert "/rejoin" not in out
    assert script.texts() == ["still here"]
