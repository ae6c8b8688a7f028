"""What goes wrong between people: no WebSockets, a service that restarts, someone who must go."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.conftest import Meet
from tests.e2e.plain_proxy import without_websockets
from tests.support.server import Service


def test_everything_works_by_polling_where_websockets_are_blocked(service: Service, meet: Meet) -> None:
    with without_websockets(service.url) as origin:
        alice, bob, carol = (meet(name, origin) for name in ("Alice", "Bob", "Carol"))
        alice.start()
        alice.create("Friends")
        link = alice.invite()
        bob.join(link)
        carol.join(link)
        alice.connected("polling")
        alice.say("one")
        bob.sees("one")
        bob.say("two")
        carol.say("three")
        for person in (alice, bob, carol):
            expect(person.page.locator("ol.lines .line .text")).to_have_count(3)
        assert alice.texts() == bob.texts() == carol.texts()


def test_a_restart_of_the_service_in_mid_conversation_loses_nothing(own_service: Service, meet: Meet) -> None:
    alice, bob = (meet(name, own_service.url) for name in ("Alice", "Bob"))
    alice.start()
    alice.create("Friends")
    bob.join(alice.invite())
    alice.say("before")
    bob.sees("before")
    own_service.stop()
    alice.connected("offline")
    alice.say("while it was down")
    bob.connected("offline")
    own_service.start()
    bob.sees("before", "while it was down")
    bob.say("after")
    alice.sees("before", "while it was down", "after")
    alice.all_sent()


def test_a_removed_member_reads_nothing_that_follows_and_the_old_link_is_dead(meet: Meet) -> None:
    alice, bob, carol = meet("Alice"), meet("Bob"), meet("Carol")
    alice.start()
    alice.create("Friends")
    link = alice.invite()
    bob.join(link)
    alice.say("with Bob")
    bob.sees("with Bob")
    alice.remove("Bob")
    alice.sees_notice("removed")
    bob.sees_notice("removed_self")
    alice.say("without Bob")
    alice.all_sent()
    bob.reload()
    bob.sees("with Bob")
    expect(bob.composer).to_be_hidden()
    for person in (bob, carol):
        person.page.goto(link)
        expect(person.page.get_by_role("heading", name="This link can't be used")).to_be_visible()
    carol.join(alice.invite())
    alice.say("hello Carol")
    carol.sees("hello Carol")


def test_a_join_can_be_left_and_taken_back(meet: Meet) -> None:
    alice, bob = meet("Alice"), meet("Bob")
    alice.start()
    alice.create("Friends")
    link = alice.invite()
    alice.page.close()
    bob.ask(link)
    waiting = bob.page.get_by_role("heading", name="Waiting to be let in to “Friends”")
    expect(waiting).to_be_visible()
    bob.page.reload()
    bob.page.goto(link)  # a second time: it leads to the same place
    expect(waiting).to_be_visible()
    bob.page.get_by_role("button", name="Take my request back").click()
    expect(bob.page.get_by_role("heading", name="You took this request back")).to_be_visible()
    bob.page.get_by_role("button", name="All right").click()
    alice.page = alice.new_page()
    alice.page.goto(alice.origin)
    alice.open("Friends")
    alice.connected("online")
    assert "joined" not in alice.codes()


def test_leaving(meet: Meet) -> None:
    alice, bob = meet("Alice"), meet("Bob")
    alice.start()
    alice.create("Friends")
    bob.join(alice.invite())
    alice.sees_notice("joined")
    bob.page.get_by_role("button", name="Members and more").click()
    bob.page.get_by_role("button", name="Leave the group…").click()
    bob.page.get_by_role("dialog").get_by_role("button", name="Leave", exact=True).click()
    alice.sees_notice("left")
    bob.sees_notice("left_self")
    expect(bob.composer).to_be_hidden()
