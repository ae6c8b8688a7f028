"""Adding somebody known, without a link."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.e2e.conftest import Meet
from tests.e2e.people import Person


def acquainted(meet: Meet) -> tuple[Person, Person]:
    """Alice and Bob, who are in one group; Alice has made a second."""
    alice, bob = meet("Alice"), meet("Bob")
    alice.start()
    alice.create("First")
    bob.join(alice.invite())
    bob.say("I am Bob")  # a name is known once its owner has said something
    alice.sees("I am Bob")
    bob.can_be_added()
    alice.create("Second")
    return alice, bob


def add(adder: Person, name: str) -> None:
    """Add somebody from the list of those who are known to the open group."""
    adder.page.get_by_role("button", name="Members and more").click()
    adder.page.get_by_role("button", name="Add someone").click()
    dialog = adder.page.get_by_role("dialog")
    dialog.get_by_role("button", name=f"Add {name}").click()
    expect(dialog.get_by_text("Added", exact=True)).to_be_visible()
    adder.page.keyboard.press("Escape")


def invitation(person: Person) -> Locator:
    return person.page.get_by_role("navigation").get_by_role("button", name=re.compile("^Invitation to "))


def test_a_known_person_is_added_without_a_link(meet: Meet) -> None:
    alice, bob = acquainted(meet)
    add(alice, "Bob")
    invitation(bob).click()
    expect(bob.page.get_by_role("heading", name="Alice added you to a group")).to_be_visible()
    bob.page.get_by_role("button", name="Enter the group").click()
    expect(bob.composer).to_be_visible()
    alice.say("Welcome, Bob")
    bob.sees("Welcome, Bob")
    bob.say("Thank you")
    alice.sees("Welcome, Bob", "Thank you")
    expect(bob.page.get_by_role("navigation").get_by_role("button", name="Second")).to_be_visible()
    expect(invitation(bob)).to_have_count(0)


def test_an_invitation_waits_for_whoever_was_away_and_may_be_declined(meet: Meet) -> None:
    alice, bob = acquainted(meet)
    bob.page.goto("about:blank")
    add(alice, "Bob")
    bob.page.goto(bob.origin)
    invitation(bob).click()
    bob.page.get_by_role("button", name="No, thanks").click()
    expect(invitation(bob)).to_have_count(0)
    # the page goes back to its list, which would end a reload
    bob.page.wait_for_function("!history.state?.pushed")
    bob.posted()
    bob.page.reload()
    expect(bob.page.get_by_role("navigation").get_by_role("button", name="First")).to_be_visible()
    bob.connected("online")
    expect(invitation(bob)).to_have_count(0)
