"""From an invite link to a conversation."""

from __future__ import annotations

from tests.e2e.conftest import Meet
from tests.e2e.people import Person


def test_two_people_by_link(meet: Meet) -> None:
    alice, bob = meet("Alice"), meet("Bob")
    alice.start()
    alice.create("Friends")
    bob.join(alice.invite())
    alice.say("Hello Bob")
    bob.sees("Hello Bob")
    bob.say("Hello Alice")
    for person in (alice, bob):
        person.sees("Hello Bob", "Hello Alice")
        person.all_sent()
    assert alice.codes() == ["created", "joined"]
    assert bob.codes() == ["joined_self"]


def test_a_third_is_let_in_by_another_member_while_the_inviter_is_away(meet: Meet) -> None:
    alice, bob, carol = meet("Alice"), meet("Bob"), meet("Carol")
    alice.start()
    alice.create("Friends")
    link = alice.invite()
    bob.join(link)
    alice.sees_notice("joined")
    alice.posted()  # so she has handed the invite over to Bob
    alice.page.close()
    carol.join(link)
    carol.say("Who let me in?")
    bob.sees("Who let me in?")
    bob.say("I did")
    carol.sees("Who let me in?", "I did")
    alice.page = alice.new_page()
    alice.page.goto(alice.origin)
    alice.open("Friends")
    alice.sees("Who let me in?", "I did")


def test_a_joiner_waits_until_a_member_opens_the_page(meet: Meet) -> None:
    alice, bob = meet("Alice"), meet("Bob")
    alice.start()
    alice.create("Friends")
    link = alice.invite()
    alice.page.close()
    bob.ask(link)
    bob.page.get_by_role("heading", name="Waiting to be let in to “Friends”").wait_for()
    alice.page = alice.new_page()
    alice.page.goto(alice.origin)  # and touches nothing
    bob.composer.wait_for()
    bob.say("Thanks")
    alice.open("Friends")
    alice.sees("Thanks")


def test_three_members_and_a_hundred_lines_each(meet: Meet) -> None:
    names = ("Alice", "Bob", "Carol")
    people = [meet(name) for name in names]
    people[0].start()
    people[0].create("Friends")
    link = people[0].invite()
    for person in people[1:]:
        person.join(link)
    for number in range(100):
        for person in people:
            person.say(f"{person.name} {number}")
    for person in people:
        person.all_sent()
    orders = [_all_texts(person) for person in people]
    assert orders[0] == orders[1] == orders[2]
    for name in names:
        own = [text for text in orders[0] if text.startswith(name)]
        assert own == [f"{name} {number}" for number in range(100)]


def _all_texts(person: Person) -> list[str]:
    """All 300, once all have come, after a reload so that it is what was stored."""
    person.page.wait_for_function("document.querySelectorAll('ol.lines .line .text').length >= 300")
    person.reload()
    older = person.page.get_by_role("button", name="Show earlier messages")
    while older.count():
        first = person.page.locator("ol.lines [data-key]").first.get_attribute("data-key")
        older.click()
        person.page.wait_for_function(
            "first => document.querySelector('ol.lines [data-key]').dataset.key !== first"
            " && !document.querySelector('ol.lines[aria-busy=true]')",
            arg=first,
        )
    return person.texts()


def test_a_reload_at_any_time_loses_nothing_and_repeats_nothing(meet: Meet) -> None:
    alice, bob = meet("Alice"), meet("Bob")
    alice.start()
    alice.create("Friends")
    bob.ask(alice.invite())
    bob.asked()
    bob.page.reload()  # while it waits, or has just been let in
    bob.page.get_by_role("navigation").get_by_role("button", name="Friends").click()
    bob.composer.wait_for()
    said = []
    for number in range(6):
        speaker, listener = (alice, bob) if number % 2 else (bob, alice)
        speaker.say(f"line {number}")
        said.append(f"line {number}")
        speaker.page.locator("ol.lines .text", has_text=f"line {number}").wait_for()
        (speaker if number % 3 else listener).reload()
    for person in (alice, bob):
        person.sees(*said)
        person.all_sent()
        person.reload()
        person.sees(*said)
