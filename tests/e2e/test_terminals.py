"""Terminals that talk: `coterie chat` as people and scripts run it, on the real service."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.server import Service

ROOT = Path(__file__).parents[2]
SOON = 30.0
LINK = re.compile(r"http://localhost:\d+/\?join=[\w-]{22}#1\.[\w-]{22}")
COLOURS_AND_MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")


class Terminal:
    """One `coterie` in a process of its own; what it prints is kept and can be waited for."""

    def __init__(self, service: str, data: Path, *arguments: str, tty: bool = False) -> None:
        self.output = ""
        self._seen = 0
        self._more = threading.Condition()
        self._end: int | None = None
        command = [sys.executable, "-m", "coterie.cli", *arguments, "--server", service, "--data", str(data)]
        environment = {**os.environ, "TERM": "xterm", "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8"}
        environment["PROMPT_TOOLKIT_NO_CPR"] = "1"  # nobody answers where the cursor is
        ours, theirs = os.openpty() if tty else (None, subprocess.PIPE)
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs if tty else subprocess.STDOUT,
            start_new_session=tty,
        )
        if ours is not None:
            os.close(theirs)
            self._read = self._write = ours
        else:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self._read, self._write = self.process.stdout.fileno(), self.process.stdin.fileno()
        self._reader = threading.Thread(target=self._copy, daemon=True)
        self._reader.start()

    def _copy(self) -> None:
        with contextlib.suppress(OSError):  # a terminal whose program has ended
            while data := os.read(self._read, 1 << 16):
                with self._more:
                    self.output += COLOURS_AND_MOVES.sub("", data.decode(errors="replace"))
                    self._more.notify_all()
        with self._more:
            self._end = 1
            self._more.notify_all()

    def until(self, wanted: str | re.Pattern[str]) -> str:
        """Wait until this stands in what was printed since the last `until`, and give it back."""
        pattern = re.compile(re.escape(wanted)) if isinstance(wanted, str) else wanted

        def found() -> re.Match[str] | None:
            return pattern.search(self.output, self._seen)

        with self._more:
            self._more.wait_for(lambda: found() or self._end, timeout=SOON)
            match = found()
            assert match, f"{pattern.pattern!r} is not in:\n{self.output}"
            self._seen = match.end()
            return match[0]

    def type(self, text: str, end: str = "\n") -> None:
        os.write(self._write, (text + end).encode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def ended(self) -> int:
        """Its exit status, once it has ended by itself."""
        status = self.process.wait(SOON)
        self._reader.join(SOON)
        return status

    def end_of_input(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.ended()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


Run = Callable[..., Terminal]


@pytest.fixture
def coterie(service: Service, tmp_path: Path) -> Iterator[Run]:
    """`coterie("Ann", "chat", …)`: a terminal with Ann's data."""
    terminals: list[Terminal] = []

    def run(person: str, *arguments: str, tty: bool = False, at: str = service.url) -> Terminal:
        terminals.append(Terminal(at, tmp_path / person, *arguments, tty=tty))
        return terminals[-1]

    yield run
    for terminal in terminals:
        terminal.close()


def create(coterie: Run, name: str = "Tea", **where: str) -> tuple[Terminal, str]:
    """Ann's terminal with a new group, and the link to it."""
    ann = coterie("Ann", "chat", "--new", name, "--name", "Ann", **where)
    link = ann.until(LINK)
    ann.until(f"-- {name}")
    return ann, link


def test_two_terminals_talk_and_one_comes_back_to_what_it_missed(coterie: Run) -> None:
    ann, link = create(coterie)
    bob = coterie("Bob", "chat", link, "--name", "Bob")
    bob.until("Ann invites you to Tea.")
    bob.until("-- Tea: 2 members")
    ann.until("Bob joined")
    ann.type("hello Bob")
    bob.until("Ann: hello Bob")
    bob.type("hello Ann")
    ann.until("Bob: hello Ann")
    bob.type("/quit")
    assert bob.ended() == 0
    ann.type("while you were away")
    ann.until("Ann: while you were away")
    again = coterie("Bob", "chat")
    again.until("Ann: hello Bob")
    again.until("Bob: hello Ann")
    again.until("Ann: while you were away")
    assert again.end_of_input() == 0
    assert ann.end_of_input() == 0
    assert ann.output.count("hello Ann") == 1


def test_a_wait_can_be_left_and_come_back_to(coterie: Run) -> None:
    ann, link = create(coterie)
    assert ann.end_of_input() == 0
    bob = coterie("Bob", "chat", link, "--name", "Bob")
    bob.until("Waiting until a member")
    bob.interrupt()
    assert bob.ended() == 130
    assert "come back with the same link" in bob.output
    bob = coterie("Bob", "chat", link)
    bob.until("Waiting until a member")
    ann = coterie("Ann", "chat")
    ann.until("Bob joined")
    bob.until("-- Tea: 2 members")
    bob.type("at last")
    ann.until("Bob: at last")


def test_a_link_opened_again_goes_to_the_group(coterie: Run) -> None:
    ann, link = create(coterie)
    bob = coterie("Bob", "chat", link, "--name", "Bob")
    bob.until("-- Tea: 2 members")
    assert bob.end_of_input() == 0
    bob = coterie("Bob", "chat", link)
    bob.until("-- Tea: 2 members")
    assert ann.end_of_input() == 0


def test_a_pipe_sends_before_it_ends(coterie: Run) -> None:
    ann, link = create(coterie)
    bob = coterie("Bob", "chat", link, "--name", "Bob")
    bob.type("one\ntwo\nthree")
    assert bob.end_of_input() == 0
    for text in ("one", "two", "three"):
        ann.until(f"Bob: {text}")


def test_leaving_is_seen_by_the_others(coterie: Run) -> None:
    ann, link = create(coterie)
    bob = coterie("Bob", "chat", link, "--name", "Bob")
    bob.until("-- Tea: 2 members")
    bob.type("/leave")
    assert bob.ended() == 0
    ann.until("Bob left.")
    ann.type("/members")
    ann.until("Ann - me, owner")


def test_what_was_written_without_a_service_goes_out_later(
    coterie: Run, make_service: Callable[..., Service]
) -> None:
    service = make_service()
    ann, link = create(coterie, at=service.url)
    bob = coterie("Bob", "chat", link, "--name", "Bob", at=service.url)
    ann.until("Bob joined")
    service.stop()
    ann.until("Offline")
    ann.type("written in the dark")
    ann.until("Ann: written in the dark")
    ann.type("/quit")
    assert ann.ended() == 0
    service.start()
    ann = coterie("Ann", "chat", at=service.url)
    bob.until("Ann: written in the dark")
    assert ann.end_of_input() == 0
    assert bob.end_of_input() == 0
    assert bob.output.count("written in the dark") == 1


def test_the_same_data_twice_is_refused_with_words(coterie: Run) -> None:
    create(coterie)
    second = coterie("Ann", "chat")
    assert second.ended() == 4
    assert second.output == "Another Coterie is using this data.\n"


def test_no_service_and_no_group(coterie: Run) -> None:
    down = coterie("Ann", "chat", "--new", "Tea", "--name", "Ann", at="http://localhost:1")
    assert (down.ended(), down.output) == (3, "The service can't be reached.\n")
    nowhere = coterie("Ann", "chat", "--name", "Ann")
    assert nowhere.ended() == 1
    assert "no group yet" in nowhere.output


def test_a_link_that_does_not_work(coterie: Run, service: Service) -> None:
    unknown = f"{service.url}/?join={'A' * 22}#1.{'B' * 22}"
    bob = coterie("Bob", "chat", unknown, "--name", "Bob")
    assert bob.ended() == 1
    assert bob.output.count("\n") == 1, "one plain sentence"
    no_secret = coterie("Bob", "chat", f"{service.url}/?join={'A' * 22}", "--name", "Bob")
    assert no_secret.ended() == 1
    assert "Traceback" not in no_secret.output


def test_doctor(coterie: Run) -> None:
    ann, _ = create(coterie)
    assert ann.end_of_input() == 0
    doctor = coterie("Ann", "doctor", "--json")
    doctor.ended()
    findings = {found["what"]: found["text"] for found in json.loads(doctor.output)["findings"]}
    assert findings["service"].endswith("answers (200)")
    assert findings["group"].endswith(" causes: none")
    assert findings["causes"] == "in all groups: none"
    told = [text for what, text in findings.items() if what != "data"]  # a profile's folder has its name
    assert not [text for text in told if "Ann" in text or "Tea" in text]


def test_in_a_real_terminal(coterie: Run) -> None:
    """A name is asked for, lines arrive above the one being typed, Ctrl-C stops."""
    ann, link = create(coterie)
    bob = coterie("Bob", "chat", link, tty=True)
    bob.until("Your name:")
    bob.type("Bob", "\r")
    bob.until("-- Tea: 2 members")
    bob.type("half a li", "")
    bob.until("half a li")
    ann.type("excuse me")
    bob.until("Ann: excuse me")
    bob.type("ne", "\r")
    ann.until("Bob: half a line")
    bob.type("/leave", "\r")
    bob.until("(yes/no)")
    bob.type("no", "\r")
    bob.until("Not left.")
    bob.until(">")  # before the prompt is there a terminal throws Ctrl-C away
    bob.type("\x03", "")
    assert bob.ended() == 1, "something that was typed was not carried out"
