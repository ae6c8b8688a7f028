"""A device that is behind its own record, at the page: it is told, tries to get back in, and what it wrote goes out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Meet
from tests.e2e.people import answer
from tests.support.server import Service, start_service


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Service]:
    """A service that takes a rejoin also when the device has just renewed its leaf."""
    with start_service(
        tmp_path, COTERIE_COMMIT_GROUP_SECONDS="0.1", COTERIE_COMMIT_DEVICE_SECONDS="0.2"
    ) as running:
        yield running


def test_the_way_back_into_a_group_that_is_stuck(quick: Service, meet: Meet) -> None:
    alice, bob = (meet(name, quick.url) for name in ("Alice", "Bob"))
    alice.start()
    alice.create("Friends")
    bob.join(alice.invite())
    alice.say("hello")
    bob.sees("hello")
    answer(bob.page, "send_message", 409, "state_behind")
    answer(bob.page, "group_info_get", 403, "not_a_member")
    bob.say("under new keys")
    bob.sees_notice("state_behind")
    bob.sees_notice("rejoin_refused")
    expect(bob.composer).to_be_hidden()
    button = bob.page.get_by_role("button", name="Try to get back in")
    expect(button).to_be_visible()
    bob.page.context.unroute_all()
    bob.page.context.route("**/functions/v1/group_info_get", lambda route: route.abort())
    button.focus()
    bob.page.keyboard.press("Enter")
    expect(bob.page.get_by_text("The service is asked, again and again")).to_be_visible()
    bob.page.context.unroute_all()
    bob.sees_notice("back_in")
    expect(bob.composer).to_be_visible()
    expect(button).to_be_hidden()
    alice.sees("hello", "under new keys")
    alice.sees_notice("rejoined")
    bob.say("and on")
    alice.sees("hello", "under new keys", "and on")
    bob.all_sent()
