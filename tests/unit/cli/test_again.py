"""`/again` in the terminal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coterie import cli
from coterie.cli.again import meaning, start_again
from coterie.errors import LocalError, StateError
from tests.support.terminal import GROUP, Run, Script, a_group

NEW = "2" * 8
BROKEN: dict[str, Any] = {"state": "broken", "why": "This group is broken.", "can_send": False}


def test_a_broken_group_is_started_again(script: Script, run: Run) -> None:
    script.groups = [a_group(**BROKEN, again={"without": ["Bob"], "people": 2})]
    script.answers["start_again"] = a_group(group_id=NEW)
    status, out, _ = run("chat", typed="/again\nnever sent\n")
    assert status == 0
    assert ("start_again", {"group_id": GROUP}) in script.asked
    assert f"coterie chat --group {NEW}" in out
    assert script.texts() == []


def test_one_that_works_is_not(script: Script, run: Run) -> None:
    script.groups = [a_group(again=None)]
    script.answers["start_again"] = StateError("not_broken", "This group is not broken.")
    status, _, err = run("chat", typed="/again\nstill here\n")
    assert (status, err) == (cli.FAILED, "This group is not broken.\n")
    assert script.texts() == ["still here"]


def test_where_the_service_has_lost_a_change_it_is_offered(script: Script, run: Run) -> None:
    why = "The service has lost a change."
    script.groups = [a_group(why=why, can_send=False, can_rejoin=True, again={"without": [], "people": 2})]
    _, out, _ = run("chat", typed="")
    assert "-- The service has lost a change. /rejoin tries to get back in. /again starts it again." in out


@pytest.mark.parametrize(("state", "first"), [("active", True), ("broken", False)])
def test_where_others_may_go_on_they_are_asked_first(script: Script, state: str, first: bool) -> None:  # noqa: FBT001
    script.groups = [a_group(state=state, can_send=False, again={"without": [], "people": 2})]
    screen: Any = Asked("no")
    client: Any = script
    with pytest.raises(LocalError, match="Not started again"):
        asyncio.run(start_again(client, screen, GROUP))
    assert ("if some can still write here" in screen.said[0]) is first


class Asked:
    """A terminal at which a person answers."""

    interactive = True

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    async def ask(self, question: str, _: LocalError) -> str:
        self.said.append(question)
        return self.answer


@pytest.mark.parametrize(("answer", "goes_on"), [("yes", True), ("Y", True), ("", False), ("no", False)])
def test_a_person_is_told_who_is_left_out_and_asked(script: Script, answer: str, goes_on: bool) -> None:  # noqa: FBT001
    script.groups = [a_group(**BROKEN, again={"without": ["Bob\x1b[2J"], "people": 1})]
    script.answers["start_again"] = a_group(group_id=NEW)
    screen: Any = Asked(answer)
    client: Any = script
    if goes_on:
        assert asyncio.run(start_again(client, screen, GROUP)) == NEW
    else:
        with pytest.raises(LocalError, match="Not started again"):
            asyncio.run(start_again(client, screen, GROUP))
    assert screen.said[0].endswith("Left out, by the service's word: Bob[2J.")
    assert "1 other asked" in screen.said[0]
    assert any(called == "start_again" for called, _ in script.asked) == goes_on


def test_where_nobody_is_to_blame_nobody_is_left_out() -> None:
    assert "Left out" not in meaning({"without": [], "people": 3})
