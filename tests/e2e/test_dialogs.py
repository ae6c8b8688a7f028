"""Dialogs are left when one means to, and hold on to what can't be taken back."""

from __future__ import annotations

from playwright.sync_api import Route, expect

from tests.e2e.conftest import Meet


def test_a_dialog_is_not_left_by_a_slip(meet: Meet) -> None:
    alice = meet("Alice")
    alice.page.goto(alice.origin)
    alice.page.get_by_role("button", name="Restore a backup…").click()
    dialog = alice.page.get_by_role("dialog")
    field = dialog.get_by_label("Passphrase of the backup")
    field.fill("typed with care")
    # the browser's own dialog was left without a choice
    dialog.get_by_label("Backup file").dispatch_event("cancel")
    expect(field).to_have_value("typed with care")
    inside, around = field.bounding_box(), dialog.bounding_box()
    assert inside
    assert around
    outside = around["x"] - 20
    alice.page.mouse.move(inside["x"] + 40, inside["y"] + 10)
    alice.page.mouse.down()
    alice.page.mouse.move(outside, inside["y"] + 10)  # to select what was typed
    alice.page.mouse.up()
    expect(field).to_have_value("typed with care")
    alice.page.mouse.click(outside, inside["y"])
    expect(dialog).to_be_hidden()


def test_what_cannot_be_taken_back_any_more_is_seen_to_its_end(meet: Meet) -> None:
    alice = meet("Alice")
    alice.start()
    alice.create("Friends")
    asked: list[Route] = []

    def hold(route: Route) -> None:
        asked.append(route)

    alice.context.route("**/auth/v1/logout*", hold)
    alice.page.get_by_role("button", name="Settings").click()
    alice.page.get_by_role("button", name="Sign out…").click()
    dialog = alice.page.get_by_role("dialog")
    with alice.page.expect_request("**/auth/v1/logout*"):
        dialog.get_by_role("button", name="Sign out and delete").click()
    for _ in range(3):  # the browser itself closes it at the second
        alice.page.keyboard.press("Escape")
    expect(dialog.get_by_role("button", name="One moment…")).to_be_visible()
    expect(dialog.get_by_role("button", name="Cancel")).to_be_disabled()
    for route in asked:
        route.continue_()
    expect(alice.page.get_by_label("What should others call you?")).to_be_visible()
