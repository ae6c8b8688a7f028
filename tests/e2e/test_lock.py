"""Locking this device: by a passphrase and by a passkey, from the keyboard, in every tab."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Meet
from tests.e2e.people import Person
from tests.support import at_rest

PASSPHRASE = "correct horse battery staple"
AUTHENTICATOR = {
    "protocol": "ctap2",
    "ctap2Version": "ctap2_1",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
    "hasPrf": True,
}


def settings(page: Page) -> Locator:
    page.get_by_role("button", name="Settings").click()
    section = page.get_by_role("region", name="Lock this device")
    expect(section).to_be_visible()
    return section


def locked(page: Page) -> None:
    expect(page.get_by_role("heading", name="This device is locked")).to_be_visible()


def talking(meet: Meet) -> Person:
    ann = meet("Ann")
    ann.start()
    ann.create("Tea")
    ann.say("before the lock")
    ann.sees("before the lock")
    ann.all_sent()
    return ann


def lock_with_passphrase(person: Person) -> None:
    section = settings(person.page)
    section.get_by_label("Passphrase", exact=True).fill(PASSPHRASE)
    section.get_by_label("The same again").fill(PASSPHRASE)
    section.get_by_role("button", name="Lock with a passphrase").click()
    expect(section.get_by_role("status")).to_contain_text("From now on")


def test_a_passphrase_locks_every_tab_and_unlocks_them(meet: Meet) -> None:
    ann = talking(meet)
    before = at_rest.Keys.of(ann.page)
    lock_with_passphrase(ann)
    after = at_rest.Keys.of(ann.page, before.master)
    assert before.seed != after.seed, "what was wrapped before can't be opened any more"
    assert at_rest.rows(ann.page, "mls", after), "MLS rows are under the new seed's key"

    other = ann.new_page()
    other.goto(ann.origin)
    expect(other.get_by_role("navigation").get_by_role("button", name="Tea")).to_be_visible()
    ann.page.get_by_role("region", name="Lock this device").get_by_role("button", name="Lock now").click()
    for page in (ann.page, other):
        locked(page)
        assert "Tea" not in page.content()
        assert "before the lock" not in page.content()

    field = ann.page.get_by_label("Passphrase")
    expect(field).to_be_focused()
    ann.page.keyboard.type("wrong horse")
    ann.page.keyboard.press("Enter")
    expect(ann.page.locator(".wrong")).to_have_text("This is not the passphrase.")
    locked(other)
    field.fill(PASSPHRASE)
    ann.page.keyboard.press("Enter")
    for page in (ann.page, other):
        expect(page.get_by_role("navigation").get_by_role("button", name="Tea")).to_be_visible()

    ann.page.close()  # another worker goes on, and has the key from the one that is gone
    ann.page = other
    ann.open("Tea")
    ann.say("after it")
    ann.sees("before the lock", "after it")
    ann.all_sent()


def test_a_passphrase_is_asked_for_by_every_start_and_can_be_changed_and_removed(meet: Meet) -> None:
    ann = talking(meet)
    lock_with_passphrase(ann)
    ann.page.reload()
    locked(ann.page)
    ann.page.get_by_label("Passphrase").fill(PASSPHRASE)
    ann.page.get_by_role("button", name="Unlock").click()
    expect(ann.lines).to_be_visible()

    section = settings(ann.page)
    section.get_by_text("Change the passphrase").click()
    for label, text in (
        ("Passphrase now", "wrong"),
        ("New passphrase", "another one"),
        ("The same again", "another one"),
    ):
        section.get_by_label(label).first.fill(text)
    section.get_by_role("button", name="Change", exact=True).click()
    expect(section.get_by_role("alert")).to_have_text("This is not the passphrase.")
    section.get_by_label("Passphrase now").first.fill(PASSPHRASE)
    section.get_by_role("button", name="Change", exact=True).click()
    expect(section.get_by_role("status")).to_contain_text("The new passphrase holds")
    section.get_by_text("Remove the lock").first.click()
    section.get_by_label("Passphrase now").last.fill("another one")
    section.get_by_role("button", name="Remove the lock").click()
    expect(section.get_by_role("status")).to_contain_text("The lock is gone")
    ann.page.keyboard.press("Escape")
    ann.reload()
    ann.sees("before the lock")


def test_a_passkey_that_gives_a_secret_locks_and_unlocks(meet: Meet) -> None:
    ann = talking(meet)
    devtools = ann.context.new_cdp_session(ann.page)
    devtools.send("WebAuthn.enable", {"enableUI": False})
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    section = settings(ann.page)
    ann.page.get_by_role("button", name="Add a passkey").click()
    expect(ann.page.get_by_role("button", name="Rename Passkey")).to_be_visible()
    section.get_by_role("button", name="Lock with a passkey").click()
    expect(section.get_by_role("status")).to_contain_text("From now on")
    section.get_by_role("button", name="Lock now").click()
    locked(ann.page)
    ann.page.get_by_role("button", name="Unlock with your passkey").click()
    expect(ann.lines).to_be_visible()
    ann.sees("before the lock")
