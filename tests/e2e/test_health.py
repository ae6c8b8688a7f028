"""Something that could not be read, in a real page: its line says why and what follows, the group counts it."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from coterie.looking import END
from tests.e2e.conftest import Meet
from tests.e2e.people import Person
from tests.e2e.plain_proxy import without_websockets
from tests.support.server import Service


class Meddler:
    """Changes the next message of somebody else that comes through it, or keeps how far a group goes to itself."""

    def __init__(self) -> None:
        self.armed = False
        self.mute = False
        self.own: list[str] = []

    def __call__(self, function: str, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if function == "device_register":
            self.own.append(answer["device_id"])
        page = answer.get("envelopes", []) if function == "get_messages" and self.armed else []
        for envelope in [one for one in page if one["sender_device"] not in self.own]:
            body = envelope["mls_bytes"]
            envelope["mls_bytes"] = f"{body[:-2]}{int(body[-2:], 16) ^ 1:02x}"
            self.armed = False
            break
        if self.mute and request.get("after") == END:
            del answer["last_seq"]
        return answer


def test_a_message_that_was_changed_is_explained_counted_and_reported(service: Service, meet: Meet) -> None:
    meddler = Meddler()
    with without_websockets(service.url, meddler) as origin:
        alice, bob = meet("Alice"), meet("Bob", origin)
        alice.start()
        alice.create("Friends")
        bob.join(alice.invite().replace(service.url, origin))
        bob.comes_to_rest()
        alice.say("before")
        bob.sees("before")
        meddler.armed = True
        alice.say("never read")
        bob.sees_notice("tampered")
        alice.say("after")
        bob.sees("before", "after")
        explained(bob)
        reported(bob)
        meddler.mute = True
        not_told(bob)
        bob.reload()
        bob.sees_notice("tampered")


def explained(bob: Person) -> None:
    """The line opens, by the keyboard too."""
    line = bob.page.locator("ol.lines .notice[data-code=tampered]")
    follows = line.get_by_text("Coterie did not open it and goes on. Whoever wrote it can send it again.")
    expect(follows).to_be_hidden()
    line.locator("summary").press("Enter")
    expect(follows).to_be_visible()
    expect(line.locator("code")).to_have_text("tampered")


def reported(bob: Person) -> None:
    """From the group's menu, and as text that may be handed on."""
    opener = bob.page.get_by_role("button", name="Members and more")
    opener.click()
    bob.page.get_by_role("button", name="Health of this group").click()
    dialog = bob.page.get_by_role("dialog", name="Health of Friends")
    expect(dialog.get_by_text("All is well.")).to_be_visible()
    expect(
        dialog.locator("summary", has_text="A message was changed on the way").locator(".tag")
    ).to_contain_text("1")
    expect(dialog).to_contain_text("Connected, a little slower")
    bob.context.grant_permissions(["clipboard-read", "clipboard-write"])
    dialog.get_by_role("button", name="Copy as text").click()
    expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    report: str = bob.page.evaluate("navigator.clipboard.readText()")
    assert "\nstate: active\n" in report
    assert re.search(r"^cursor: \d+ of \d+$", report, re.MULTILINE), "the service said how far the group goes"
    assert "\ncauses: tampered 1\n" in report
    assert not [told for told in ("Alice", "Bob", "Friends", "before", "after") if told in report]
    bob.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


def not_told(bob: Person) -> None:
    """A look that the service does not answer never says that all is well."""
    bob.page.get_by_role("button", name="Members and more").click()
    bob.page.get_by_role("button", name="Health of this group").click()
    dialog = bob.page.get_by_role("dialog", name="Health of Friends")
    expect(dialog.get_by_role("status").first).to_have_text(
        "Nothing wrong is known here, but the service could not be asked."
    )
    expect(dialog).to_contain_text("The service did not say how far the group goes.")
    bob.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
