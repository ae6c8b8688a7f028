"""One person in several places: tabs, the terminal, a copy in another profile."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
from pathlib import Path

from playwright.sync_api import expect

from coterie.core.records import Group
from tests.e2e.conftest import Meet
from tests.e2e.people import SOON_MS, Person
from tests.support.server import ROOT


def test_two_tabs_show_and_act_and_one_goes_on_when_the_other_is_closed(meet: Meet) -> None:
    alice = meet("Alice")
    alice.start()
    alice.create("Friends")
    first, second = alice.page, alice.new_page()
    second.goto(alice.origin)
    alice.page = second
    alice.open("Friends")
    alice.say("from the second tab")
    alice.page = first
    alice.sees("from the second tab")
    alice.say("from the first tab")
    alice.composer.fill("half a line")
    alice.page = second
    alice.composer.fill("half another line")
    alice.sees("from the second tab", "from the first tab")
    alice.all_sent()
    first.close()  # it owned the state
    alice.composer.press("Enter")
    alice.sees("from the second tab", "from the first tab", "half another line")
    alice.all_sent()


def test_a_client_that_died_makes_way_for_another_tab(meet: Meet) -> None:
    """What died of a panic stays dead, and its worker would go on answering whoever reloads."""
    alice = meet("Alice")
    alice.start()
    alice.create("Friends")
    alice.say("before")
    alice.sees("before")
    alice.all_sent()
    first, second = alice.page, alice.new_page()
    second.goto(alice.origin)
    alice.page = second
    alice.open("Friends")
    # from now on no answer of Python's is read
    first.workers[0].evaluate("() => void (JSON.parse = () => { throw new TypeError(); })")
    alice.reload()
    alice.say("after")
    alice.sees("before", "after")
    alice.all_sent()
    alice.page = first
    alice.sees("before", "after")
    assert any("operation start" in complaint for complaint in alice.complaints), "the client had not died"
    alice.complaints.clear()


def test_what_one_tab_changes_of_the_person_the_others_know(meet: Meet) -> None:
    alice = meet("Alice")
    first, second = alice.page, alice.new_page()
    second.goto(alice.origin)
    expect(second.get_by_label("What should others call you?")).to_be_visible()
    alice.start()
    expect(second.get_by_role("button", name="New group")).to_be_enabled()
    alice.page = second
    alice.create("Friends")
    second.get_by_role("button", name="Settings").click()
    second.get_by_role("button", name="Sign out…").click()
    second.get_by_role("dialog").get_by_role("button", name=re.compile("^Sign out")).click()
    for page in (first, second):
        expect(page.get_by_label("What should others call you?")).to_be_visible()


def test_a_link_of_a_group_one_is_in_opens_the_group(meet: Meet) -> None:
    alice, bob = meet("Alice"), meet("Bob")
    alice.start()
    alice.create("Friends")
    link = alice.invite()
    bob.join(link)
    for person in (alice, bob):
        person.page.goto(link)
        expect(person.composer).to_be_visible()
        assert "#1." not in person.page.url, "the secret must leave the address bar"
    assert alice.page.get_by_role("navigation").get_by_role("button", name="Friends").count() == 1


def test_two_profiles_never_share_a_key_and_equal_names_are_told_apart(meet: Meet) -> None:
    alice, twin = meet("Sam"), meet("Sam")
    alice.start()
    alice.create("Friends")
    twin.join(alice.invite())
    alice.sees_notice("joined")
    seen = []
    for person in (alice, twin):
        person.page.get_by_role("button", name="Members and more").click()
        keys = person.page.get_by_role("dialog").locator("li code")
        expect(keys).to_have_count(2)
        seen.append(sorted(keys.all_inner_texts()))
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 2


class Terminal:
    """`coterie chat --json` in a process of its own."""

    def __init__(self, *arguments: str, data: Path) -> None:
        self.events: queue.Queue[dict[str, object]] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coterie.cli", "chat", "--json", "--data", str(data), *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.events.put(json.loads(line))

    def until(self, **fields: object) -> dict[str, object]:
        """The next event that has these fields."""
        while True:
            event = self.events.get(timeout=SOON_MS / 1000)
            if fields.items() <= event.items():
                return event

    def until_line(self, text: str) -> None:
        while True:
            line = self.until(event="line").get("line")
            if isinstance(line, dict) and line.get("text") == text:
                return

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def close(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        status = self.process.wait(30)
        self.reader.join()
        return status


def test_a_browser_and_a_terminal_talk(meet: Meet, tmp_path: Path) -> None:
    alice = meet("Alice")
    alice.start()
    alice.create("Friends")
    terminal = Terminal(alice.invite(), "--name", "Terry", data=tmp_path)
    alice.sees_notice("joined")
    alice.say("hello terminal")
    terminal.until_line("hello terminal")
    terminal.say("hello browser")
    alice.sees("hello terminal", "hello browser")
    assert terminal.close() == 0


def epoch_authenticator(person: Person) -> bytes:
    """Of the one group that is saved there (RFC 9420 section 8.7)."""
    found = Group.decode(*person.stored("groups")).epoch_authenticator
    assert found
    return found


def test_a_copy_in_another_profile_reads_and_never_sends(meet: Meet, tmp_path: Path) -> None:
    alice, bob, copy = meet("Alice"), meet("Bob"), meet("Alice again")
    alice.start()
    alice.create("Friends")
    bob.join(alice.invite())
    alice.say("kept")
    bob.sees("kept")
    alice.page.get_by_role("button", name="Settings").click()
    alice.page.get_by_text("Advanced", exact=True).click()
    before = epoch_authenticator(alice)
    with alice.page.expect_download() as download:
        alice.page.get_by_role("button", name="Save a copy…").click()
    file = tmp_path / "copy.bin"
    download.value.save_as(file)
    after = epoch_authenticator(alice)  # keys are renewed soon after somebody came in, perhaps meanwhile
    copy.page.goto(copy.origin)
    copy.page.get_by_text("I have an exported copy").click()
    with copy.page.expect_file_chooser() as chooser:
        copy.page.get_by_text("Open a copy…").click()
    chooser.value.set_files(file)
    copy.page.get_by_role("navigation").get_by_role("button", name="Friends").click()
    copy.sees("kept")
    assert epoch_authenticator(copy) in (before, after)
    expect(copy.composer).to_be_hidden()
    expect(copy.page.get_by_text("It can read, but it never sends")).to_be_visible()
