"""The terminal client: command line, exit status, what is shown, what is sent.

The client behind it is scripted here; tests/e2e lets two terminals talk through the real service.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coterie import cli
from coterie.cli.screen import _piped, clean, clock_time
from coterie.errors import (
    CoterieError,
    InviteError,
    LinkError,
    Refused,
    StateError,
    StorageError,
    Unreachable,
)
from tests.support.terminal import BOB, GROUP, LINK, ME, Run, Script, a_group, a_line

# ---------------------------------------------------------------------------------------- command line


def test_the_service_is_the_links_own(script: Script, run: Run, tmp_path: Path) -> None:
    script.answers["preview_link"] = {"kind": "member", "group_id": GROUP}
    assert run("chat", LINK)[0] == 0
    assert script.opened == [("https://chat.example", tmp_path / "client" / "chat.example" / "state.sqlite")]


def test_server_data_and_profile_can_be_named(script: Script, run: Run, tmp_path: Path) -> None:
    arguments = ("--server", "http://localhost:9000", "--data", str(tmp_path / "d"), "--profile", "p")
    assert run("chat", *arguments)[0] == 0
    assert script.opened == [("http://localhost:9000", tmp_path / "d" / "client" / "p" / "state.sqlite")]


def test_without_a_link_the_environment_names_the_service(
    script: Script, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COTERIE_SERVER", "https://other.example:8443")
    assert run("chat")[0] == 0
    assert script.opened[0][0] == "https://other.example:8443"
    assert script.opened[0][1].parent.name == "other.example_8443"


@pytest.mark.parametrize(
    "argv", [(), ("sing",), ("chat", LINK, "--new", "Tea"), ("chat", "--no-such-option")]
)
def test_wrong_usage_is_status_2(argv: tuple[str, ...], run: Run) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(*argv)
    assert stopped.value.code == cli.USAGE


@pytest.mark.parametrize(
    "link", ["hello", "ftp://host/?join=x#1.y", "https://", "http://[", "file:///etc/passwd"]
)
def test_what_is_no_link_is_said_before_anything_is_opened(link: str, script: Script, run: Run) -> None:
    status, _, err = run("chat", link)
    assert (status, err) == (cli.FAILED, "This is not an invite link.\n")
    assert script.opened == []


@pytest.mark.parametrize(
    ("where", "error", "status"),
    [
        ("open", StorageError("storage_in_use", "Another Coterie is using this data."), cli.STORAGE),
        ("open", StorageError("storage_corrupt", "Damaged."), cli.STORAGE),
        ("start", Unreachable("unreachable", "No service."), cli.UNREACHABLE),
        ("preview_link", Refused("invite_unavailable", "No.", 404), cli.FAILED),
        ("preview_link", InviteError("bad_preview", "No."), cli.FAILED),
        ("preview_link", LinkError("bad_link", "No."), cli.FAILED),
    ],
)
def test_every_kind_of_error_has_its_status_and_sentence(
    where: str, error: CoterieError, status: int, script: Script, run: Run
) -> None:
    script.answers[where] = error
    assert run("chat", LINK) == (status, "", error.sentence + "\n")
    assert script.closed == (0 if where == "open" else 1)


def test_errors_are_events_for_programs(script: Script, run: Run) -> None:
    script.answers["start"] = Unreachable("unreachable", "No service.")
    status, out, err = run("chat", "--json")
    assert (status, err) == (cli.UNREACHABLE, "")
    assert json.loads(out) == {"event": "error", "code": "unreachable", "sentence": "No service."}


# ---------------------------------------------------------------------------------------- finding a group


def test_the_only_group_is_opened(script: Script, run: Run) -> None:
    status, out, _ = run("chat")
    assert status == 0
    assert "-- Tea: 2 members." in out
    assert "Bob: hello" in out


def test_several_groups_are_listed_and_one_is_asked_for(script: Script, run: Run) -> None:
    script.groups = [a_group("Tea"), a_group("Coffee", group_id="2" * 8, unread=4)]
    status, out, err = run("chat")
    assert status == cli.FAILED
    assert "1  Tea, 2 members" in out
    assert "2  Coffee, 2 members, 4 unread" in out
    assert "--group" in err
    for wanted in ("Coffee", "2" * 8):
        assert run("chat", "--group", wanted)[0] == 0
        assert script.asked[-2][1]["group_id"] == "2" * 8
    assert run("chat", "--group", "Cocoa")[0] == cli.FAILED


def test_no_groups_at_all(script: Script, run: Run) -> None:
    script.groups = []
    status, _, err = run("chat")
    assert status == cli.FAILED
    assert "--new" in err


def test_a_new_group_prints_its_link(script: Script, run: Run) -> None:
    status, out, _ = run("chat", "--new", "Tea", "--name", "Ann")
    assert status == 0
    assert LINK in out
    assert ("create_group", {"name": "Tea"}) in script.asked


def test_a_name_is_needed_once(script: Script, run: Run) -> None:
    script.name = None
    status, _, err = run("chat")
    assert status == cli.FAILED
    assert "--name" in err
    assert run("chat", "--name", "Ann")[0] == 0
    assert ("set_name", {"name": "Ann"}) in script.asked


# ---------------------------------------------------------------------------------------- joining

PREVIEW = {"kind": "preview", "group_name": "Tea", "inviter_name": "Bob\x1b[2J", "expires_at": 0}
WAITING = {"join_id": "j", "group_name": "Tea", "inviter_name": "Bob", "state": "waiting", "why": ""}


def joined(state: str, **more: Any) -> dict[str, Any]:
    return {"event": "join", "join": WAITING | {"state": state} | more}


def test_joining_shows_where_the_link_leads_waits_and_talks(script: Script, run: Run) -> None:
    script.answers |= {"preview_link": PREVIEW, "join": WAITING}
    other = {"event": "join", "join": WAITING | {"join_id": "another", "state": "refused"}}
    script.after["join"] = [
        {"event": "connection", "state": "offline"},
        {"event": "connection", "state": "online"},
        other,
        joined("waiting"),
        joined("joined", group_id=GROUP),
    ]
    status, out, _ = run("chat", LINK, typed="hi\n")
    assert status == 0
    assert "Bob[2J invites you to Tea." in out, "control characters must not reach the terminal"
    assert "Waiting until a member" in out
    assert "Offline" in out
    assert script.texts() == ["hi"]
    assert ("join", {"link": LINK, "name": "Ann"}) in script.asked


@pytest.mark.parametrize("state", ["refused", "expired", "cancelled", "failed"])
def test_a_join_that_ends_otherwise_is_status_5(state: str, script: Script, run: Run) -> None:
    script.answers |= {"preview_link": PREVIEW, "join": WAITING}
    script.after["join"] = [joined(state, why="The link was revoked.")]
    status, _, err = run("chat", LINK)
    assert (status, err) == (cli.NOT_LET_IN, "The link was revoked.\n")
    assert script.closed == 1


def test_coming_back_to_a_join_that_waits_does_not_join_again(script: Script, run: Run) -> None:
    script.answers["preview_link"] = {"kind": "waiting", "join_id": "j"}
    script.after["preview_link"] = [joined("joined", group_id=GROUP)]
    assert run("chat", LINK)[0] == 0
    assert "join" not in [operation for operation, _ in script.asked]


def test_interrupting_the_wait_says_that_one_may_come_back(
    script: Script, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.answers |= {"preview_link": PREVIEW, "join": WAITING}

    def stop(*_: Any, **__: Any) -> dict[str, Any]:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), 2)
        return WAITING

    monkeypatch.setattr(Script, "on_join", stop, raising=False)
    del script.answers["join"]
    status, out, _ = run("chat", LINK)
    assert status == cli.INTERRUPTED
    assert "come back with the same link" in out
    assert script.closed == 1


# ---------------------------------------------------------------------------------------- talking


def test_what_is_typed_is_sent_as_it_is(script: Script, run: Run) -> None:
    status, out, _ = run("chat", typed="one\n\n  two \n//three /x\nfour")
    assert status == 0
    assert script.texts() == ["one", "  two ", "/three /x", "four"]
    assert out.count("Ann: one") == 1, "a line is shown once, whatever becomes of it"


def test_quit_ends_before_the_rest_is_read(script: Script, run: Run) -> None:
    assert run("chat", typed="one\n/quit\ntwo\n")[0] == 0
    assert script.texts() == ["one"]


def test_commands(script: Script, run: Run) -> None:
    status, out, _ = run("chat", typed="/help\n/members\n/invite\n")
    assert status == 0
    assert "/leave" in out
    assert "Ann - me, owner" in out
    assert LINK in out


def test_a_terminal_says_that_it_has_no_passkeys(script: Script, run: Run) -> None:
    status, out, _ = run("chat", typed="/passkey\n")
    assert status == 0
    assert "A terminal can neither make nor use a passkey: open the page in a browser for that." in out


def test_leaving_ends_when_it_was_told(script: Script, run: Run) -> None:
    assert run("chat", typed="/leave\nnever sent\n")[0] == 0
    assert ("leave_group", {"group_id": GROUP}) in script.asked
    assert script.texts() == []


def test_an_unknown_command_is_not_sent_to_the_group(script: Script, run: Run) -> None:
    status, _, err = run("chat", typed="/levae\nstill here\n")
    assert status == cli.FAILED
    assert "no command /levae" in err
    assert script.texts() == ["still here"]


def test_a_refusal_does_not_end_the_conversation(script: Script, run: Run) -> None:
    script.answers["send_text"] = StateError("broken", "This group is broken.")
    status, _, err = run("chat", typed="one\ntwo\n")
    assert (status, err) == (cli.FAILED, "This group is broken.\n" * 2)


def test_a_line_that_failed_is_said(script: Script, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = a_line("f1", "one", ME, state="failed", why="Not sent: too large.")
    monkeypatch.setattr(Script, "on_send_text", lambda *_, **__: a_line("f1", "one", ME, state="pending"))
    script.after["send_text"] = [{"event": "line", "group_id": GROUP, "line": failed}]
    status, out, _ = run("chat", typed="one\n")
    assert status == cli.FAILED
    assert "Not sent: too large. (one)" in out


def test_lines_of_other_groups_and_repeated_lines_are_not_shown(script: Script, run: Run) -> None:
    again, elsewhere = a_line("01", "hello"), a_line("02", "elsewhere")
    script.after["open_group"] = [
        {"event": "line", "group_id": GROUP, "line": again},
        {"event": "line", "group_id": "another", "line": elsewhere},
        {"event": "line", "group_id": GROUP, "line": a_line("03", "new")},
        {"event": "group_gone", "group_id": GROUP},
    ]
    _, out, _ = run("chat", typed="")
    assert out.count("hello") == 1
    assert "elsewhere" not in out


def test_a_notice_is_shown_again_when_it_names_somebody(script: Script, run: Run) -> None:
    nobody = a_line("01", "Someone new joined.", None, kind="notice")
    talk = a_line("02", "hello")
    shown = {"group": a_group(), "members": [ME, BOB], "more": False}
    script.pages = [
        shown | {"lines": [nobody, talk]},
        shown | {"lines": [nobody | {"text": "Bob joined."}, talk]},
    ]
    script.after["create_invite"] = [{"event": "refresh", "group_id": GROUP}]
    _, out, _ = run("chat", typed="/invite\n")
    assert [out.count(part) for part in ("* Someone new joined.", "* Bob joined.", "Bob: hello")] == [1, 1, 1]


def test_two_equal_names_are_told_apart(script: Script, run: Run) -> None:
    eve = BOB | {"identity": "w#f", "fingerprint": "99999999"}
    nobody = BOB | {"identity": "x#g", "fingerprint": "77777777", "name": None}
    lines = [a_line("01", "a"), a_line("02", "b", eve), a_line("03", "c", nobody)]
    shown = {"group": a_group(), "members": [ME, BOB, eve, nobody], "lines": lines, "more": False}
    script.answers["open_group"] = shown
    _, out, _ = run("chat")
    assert [
        part in out for part in ("Bob (11223344): a", "Bob (99999999): b", "Someone new (77777777): c")
    ] == [True] * 3


def test_every_event_is_one_json_object_a_line(script: Script, run: Run) -> None:
    status, out, err = run("chat", "--json", typed="Grüße 🎈\n/invite\n/members\n/nothing\n")
    events = [json.loads(line) for line in out.splitlines()]
    assert (status, err) == (cli.FAILED, "")
    assert [event["event"] for event in events] == [
        "snapshot", "open", "line", "line", "invite", "members", "error",
    ]  # fmt: skip
    assert events[0]["snapshot"]["name"] == "Ann"
    assert events[3]["line"]["text"] == "Grüße 🎈"
    assert events[3]["was"] == events[2]["line"]["key"]


# ---------------------------------------------------------------------------------------- small parts


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain Grüße 👨‍👩‍👧", "plain Grüße 👨‍👩‍👧"),
        ("\x1b]0;title\x07\x1b[31mred", "]0;title[31mred"),
        ("a\rb\x00c\x7fd\x9be\tf", "abcde f"),
        ("evil\u202etxt.exe\u2066", "eviltxt.exe"),
        ("two\nlines", "two\n    lines"),
        ("half \ud83d", "half "),
    ],
)
def test_what_others_wrote_can_not_steer_the_terminal(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_lines_of_another_day_carry_their_date() -> None:
    now = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
    at = int(now.timestamp() * 1000)
    assert clock_time(at, now) == now.astimezone().strftime("%H:%M")
    assert clock_time(at, now + timedelta(days=3)) == now.astimezone().strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize("at", [2**53, 253_402_300_799_000])
def test_a_time_that_never_was_does_not_end_the_chat(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are the service's, and a link's end is whoever's who made it; the second is too late east of Greenwich."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert clock_time(at) == "--:--"
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_piped_input_keeps_characters_whole() -> None:
    reading, writing = os.pipe()
    text = "Grüße 🎈"
    for byte in text.encode():
        os.write(writing, bytes([byte]))
    os.write(writing, b"\nrest")
    os.close(writing)
    assert [line async for line in _piped(reading)] == [text, "rest"]
    os.close(reading)


def test_a_file_can_be_the_input(script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    typed = tmp_path / "typed"
    typed.write_text("from a file\n")
    with typed.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert cli.main(["chat"]) == 0
    assert script.texts() == ["from a file"]


def test_a_line_that_could_not_be_read_says_what_follows(script: Script, run: Run) -> None:
    lost = a_line("01", "It was changed.", None, kind="notice", code="tampered", advice="Ask for it again.")
    script.pages = [{"group": script.groups[0], "members": [ME, BOB], "lines": [lost], "more": False}]
    assert "It was changed. Ask for it again." in run("chat", "--group", "Tea")[1]


def test_doctor_does_not_make_a_device(script: Script, run: Run) -> None:
    status, out, _ = run("doctor", "--json", "--server", "http://127.0.0.1:1")
    assert status == cli.FAILED
    findings = {finding["what"]: finding for finding in json.loads(out)["findings"]}
    assert "can't be reached" in findings["service"]["text"]
    assert not findings["service"]["good"]
    assert findings["device"]["text"].startswith("none yet")
    assert script.opened == []


def test_doctor_tells_device_and_groups(script: Script, run: Run, tmp_path: Path) -> None:
    state = tmp_path / "client" / "127.0.0.1_1" / "state.sqlite"
    state.parent.mkdir(parents=True)
    state.touch()
    _, out, _ = run("doctor", "--server", "http://127.0.0.1:1")
    assert "ok   device   d\n" in out
    assert f"ok   group    {GROUP[:8]} state: active\n" in out
    assert "ok   causes   in all groups: gap 5\n" in out
    assert "connection" not in out
    assert "Ann" not in out
    assert "Tea" not in out
    script.groups = [a_group("Gone wrong", state="broken")]
    status, out, _ = run("doctor", "--server", "http://127.0.0.1:1")
    assert f"BAD  group    {GROUP[:8]} state: broken\n" in out
    assert status == cli.FAILED
    assert "session" not in out
    script.why = "The service has ended this device's session."
    assert "BAD  session  The service has ended" in run("doctor", "--server", "http://127.0.0.1:1")[1]
