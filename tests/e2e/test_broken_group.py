"""A group that somebody's device broke: the page says so, and the others go on without them."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from playwright.sync_api import expect

from tests.e2e.conftest import Meet
from tests.e2e.people import Person
from tests.e2e.plain_proxy import without_websockets
from tests.support.server import Service


class Spoiler:
    """Damages every commit of the third device that registers, as if its own client had made it so."""

    def __init__(self) -> None:
        self.devices: list[str] = []

    def __call__(self, function: str, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if function == "device_register":
            self.devices = list(dict.fromkeys([*self.devices, answer["device_id"]]))
        spoilt = self.devices[2:3]
        for envelope in answer.get("envelopes", []):
            if envelope["kind"] == "commit" and envelope["sender_device"] in spoilt:
                raw = bytearray.fromhex(envelope["mls_bytes"])
                raw[-1] ^= 1
                envelope["mls_bytes"], envelope["hash"] = raw.hex(), hashlib.sha256(raw).hexdigest()
        return answer


def starts_again(alice: Person) -> None:
    """The broken group's notice, the question, and the new group."""
    expect(alice.page.get_by_text("Mallory made a change that cannot be accepted").last).to_be_visible()
    alice.page.get_by_role("button", name="Start again without Mallory…").click()
    question = alice.page.get_by_role("dialog")
    expect(question).to_contain_text("The other person of this one is asked to come.")
    expect(question).to_contain_text("Mallory is left out")
    question.get_by_role("button", name="Start again", exact=True).click()
    expect(alice.composer).to_be_visible()
    alice.sees_notice("left_out")


def comes_along(bob: Person) -> None:
    """Into the new group by its invitation."""
    listed = bob.page.get_by_role("navigation")
    listed.get_by_role("button", name=re.compile("^Invitation to ")).click()
    expect(bob.page.get_by_role("heading", name="Alice added you to a group")).to_be_visible()
    bob.page.get_by_role("button", name="Enter the group").click()
    expect(bob.composer).to_be_visible()


def goes_to_and_fro(person: Person) -> None:
    """To the history in the broken group, and back."""
    person.page.get_by_role("button", name="Members and more").click()
    dialog = person.page.get_by_role("dialog")
    expect(dialog.locator("li.member")).to_have_count(2)
    dialog.get_by_role("button", name="Earlier messages").click()
    person.sees("before")
    person.page.get_by_role("button", name="Go to the new group").click()
    person.sees("we go on")


def test_a_broken_group_is_started_again_without_who_broke_it(service: Service, meet: Meet) -> None:
    with without_websockets(service.url, Spoiler()) as origin:
        alice, bob, mallory = (meet(name, origin) for name in ("Alice", "Bob", "Mallory"))
        alice.start()
        alice.create("Friends")
        link = alice.invite()
        bob.join(link)
        bob.comes_to_rest()  # his renewal would put Mallory's off
        alice.say("before")
        bob.sees("before")
        mallory.join(link)
        alice.sees_notice("bad_commit")  # Mallory's device renews its leaf a moment after it came in
        bob.sees_notice("bad_commit")
        starts_again(alice)
        comes_along(bob)
        bob.say("we go on")
        alice.sees("we go on")
        goes_to_and_fro(alice)
        goes_to_and_fro(bob)
