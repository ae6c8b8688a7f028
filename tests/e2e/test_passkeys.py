"""Passkeys on the page, with a virtual authenticator (WebAuthn level 3, section 11)."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.conftest import Meet
from tests.e2e.people import Person, answer
from tests.support.server import execute, start_service

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}

END_SESSIONS_OF_USERS = """update coterie.auth_sessions set ended_at = now()
where user_id in (select user_id from coterie.auth_users where not is_anonymous)"""


def give_authenticator(person: Person) -> None:
    """A device with a screen lock, as far as the page can tell."""
    devtools = person.context.new_cdp_session(person.page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})


def add_passkey(person: Person) -> None:
    """From a guest to a user, in the settings."""
    person.page.get_by_role("button", name="Settings").click()
    dialog = person.page.get_by_role("dialog")
    expect(dialog.get_by_text("You are here as a guest")).to_be_visible()
    dialog.get_by_role("button", name="Add a passkey").click()
    expect(dialog.get_by_role("button", name="Rename Passkey")).to_be_visible()
    expect(dialog.get_by_text("You are here as a guest")).to_have_count(0)
    person.page.keyboard.press("Escape")


def devices(person: Person) -> int:
    """How many devices the settings list."""
    person.page.get_by_role("button", name="Settings").click()
    part = person.page.get_by_role("region", name="Your devices")
    expect(part.get_by_text("this device")).to_be_visible()
    return part.get_by_role("listitem").count()


def test_a_guest_gets_a_passkey_and_signs_in_on_a_new_device(meet: Meet) -> None:
    alice = meet("Alice")
    give_authenticator(alice)
    alice.start()
    alice.create("Friends")
    add_passkey(alice)
    alice.page.get_by_role("button", name="Settings").click()
    alice.page.get_by_role("button", name="Sign out…").click()
    alice.page.get_by_role("button", name="Sign out and delete").click()
    alice.page.get_by_role("button", name="Sign in with a passkey").click()
    expect(alice.page.get_by_text("You are signed in on a new device")).to_be_visible()
    alice.page.get_by_label("What should others call you?").fill("Alice")
    alice.page.get_by_role("button", name="Start", exact=True).click()
    assert devices(alice) == 2
    alice.page.get_by_role("button", name="Remove the device Browser").click()
    alice.page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    part = alice.page.get_by_role("region", name="Your devices")
    expect(part.get_by_role("listitem")).to_have_count(1)


def test_a_device_that_lost_its_session_signs_in_again_and_goes_on(
    meet: Meet, database: str, tmp_path: Path
) -> None:
    with start_service(tmp_path, DATABASE_URL=database) as service:
        alice, bob = meet("Alice", service.url), meet("Bob", service.url)
        give_authenticator(alice)
        alice.start()
        alice.create("Friends")
        bob.join(alice.invite())
        add_passkey(alice)
        execute(database, END_SESSIONS_OF_USERS)
        alice.say("kept until then")
        ended = alice.page.get_by_text("The service has ended this device's session")
        expect(ended.first).to_be_visible()
        alice.page.get_by_role("button", name="Sign in again").click()
        bob.sees("kept until then")
        bob.say("there you are")
        alice.sees("kept until then", "there you are")
        expect(ended).to_have_count(0)
        assert devices(alice) == 1


def test_a_device_that_was_taken_out_of_use_says_so_and_asks_for_no_passkey(meet: Meet) -> None:
    alice = meet("Alice")
    give_authenticator(alice)
    alice.start()
    alice.create("Friends")
    add_passkey(alice)
    alice.connected("online")
    answer(alice.page, "send_message", 403, "device_revoked")
    alice.say("too late")
    said = alice.page.locator(".signed-out:visible")
    expect(said).to_contain_text("This device was taken out of use")
    expect(said.get_by_role("button", name="Sign out…")).to_be_visible()
    expect(alice.page.get_by_role("button", name="Sign in again")).to_have_count(0)
    expect(alice.composer).to_be_hidden()
    alice.connected("offline")
