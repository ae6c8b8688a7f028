"""People, invitations and own devices in the terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coterie import cli
from tests.support.terminal import AN_ADDITION, GROUP, KEY, Run, Script, an_invitation


def test_people_are_listed_and_added_by_their_number(script: Script, run: Run) -> None:
    status, out, _ = run("chat", typed="/people\n/add 2\n")
    assert status == 0
    assert "1  Bob[2J (11223344) - here" in out
    assert "2  Carol (11223344)\n" in out
    assert "3  Someone (11223344) - in no group with you any more" in out
    assert ("add_person", {"group_id": GROUP, "user_id": "w", "accept": []}) in script.asked


def test_a_device_never_met_is_added_only_with_the_digits_of_its_key(script: Script, run: Run) -> None:
    script.answers["add_person"] = AN_ADDITION | {"new_keys": [{"device_id": "x", "key": KEY}]}
    status, out, err = run(
        "chat", typed=f"/add 2\n/add 2 {KEY[:32].upper()}\n/add 2 {KEY[:31]}\n/add 2 {'f' * 32}\n"
    )
    assert status == cli.FAILED
    assert f"add it with: /add 2 {KEY[:32]}\n" in out
    accepted = [data["accept"] for operation, data in script.asked if operation == "add_person"]
    assert accepted == [[], [KEY]], "31 digits are too few, others are wrong"
    assert err.count("No new device of this person") == 2


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({}, "can't be reached"),
        (AN_ADDITION | {"members": ["w#x"]}, "Carol is in this group already."),
    ],
)
def test_what_became_of_an_addition_is_said(told: Any, says: str, script: Script, run: Run) -> None:
    script.answers["add_person"] = told
    status, out, _ = run("chat", typed="/add 2\n")
    assert (status, says in out) == (0, True)


def test_an_addition_that_adds_nobody_is_an_error(script: Script, run: Run) -> None:
    script.answers["add_person"] = AN_ADDITION | {"why": "Carol has no device that can be added now."}
    status, _, err = run("chat", typed="/add 2\n")
    assert (status, err) == (cli.FAILED, "Carol has no device that can be added now.\n")


def test_invitations_are_told_at_the_start_accepted_and_declined(script: Script, run: Run) -> None:
    script.waiting = [an_invitation(), an_invitation(group_id="3" * 8, state="failed", why="Too old.")]
    status, out, _ = run("chat", typed="/invitations\n/accept 1\n/decline 2\n")
    assert status == 0
    assert "-- 1 invitation to a group: /invitations" in out
    assert "1  Bob added you to a group" in out
    assert "Too old." in out
    assert "coterie chat --group 22222222" in out
    assert ("accept_invitation", {"group_id": "2" * 8}) in script.asked
    assert ("decline_invitation", {"group_id": "3" * 8}) in script.asked


def test_an_invitation_that_does_not_hold_is_an_error(script: Script, run: Run) -> None:
    script.waiting = [an_invitation()]
    script.answers["accept_invitation"] = {"invitation": an_invitation(state="failed", why="Not from Bob.")}
    assert run("chat", typed="/accept 1\n")[2] == "Not from Bob.\n"


def test_an_invitation_that_comes_is_said(script: Script, run: Run) -> None:
    script.after["send_text"] = [{"event": "invitation", "invitation": an_invitation()}]
    assert "-- Bob added you to a group: /invitations" in run("chat", typed="hi\n")[1]


def test_devices_are_listed_and_revoked(script: Script, run: Run) -> None:
    status, out, _ = run("chat", typed="/devices\n/revoke 2\n")
    assert status == 0
    assert "1  Here, 2 groups with this one - this one" in out
    assert out.count(f"its key begins with {KEY[:32]}\n") == 1
    assert "2  Old, 1 group with this one - out of use" in out
    assert ("revoke_device", {"device_id": "e"}) in script.asked


@pytest.mark.parametrize("typed", ["/add", "/add 9", "/accept x", "/decline 0", "/revoke -1"])
def test_a_number_that_is_not_in_the_list_does_nothing(typed: str, script: Script, run: Run) -> None:
    status, _, err = run("chat", typed=typed + "\n")
    assert status == cli.FAILED
    assert "by its number in /" in err
    assert not {"add_person", "revoke_device"} & {operation for operation, _ in script.asked}


def test_a_session_that_ended_is_said_at_the_start(script: Script, run: Run) -> None:
    script.why = "The service has ended this device's session."
    assert "-- The service has ended this device's session." in run("chat")[1]


def test_programs_get_the_lists_as_events(script: Script, run: Run) -> None:
    _, out, _ = run("chat", "--json", typed="/people\n/devices\n/invitations\n/add 2\n")
    events = {event["event"]: event for event in map(json.loads, out.splitlines())}
    assert len(events["people"]["people"]) == 3
    assert len(events["devices"]["devices"]) == 2
    assert events["invitations"]["invitations"] == []
    assert events["addition"]["addition"]["added"] == ["w#x"]
