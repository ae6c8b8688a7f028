"""The browser's storage: full, cleared, evicted; and a backup that outlives it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserType, expect

from tests.at_rest.chromium import profile
from tests.e2e.conftest import Meet
from tests.e2e.people import Person
from tests.support.server import Service

PASSPHRASE = "four words that nobody says"
BLOCK = 2
"""Chromium's CONTENT_SETTING_BLOCK."""
BLOCK_SIZE = 32 * 1024
"""Of LevelDB's log (github.com/google/leveldb, doc/log_format.md)."""
TORN = 2_000
"""Bytes that the torn record was to have."""
QUOTA = 8_000_000
"""Bytes, for all databases of the origin."""
FILL = """async () => {
  const opening = indexedDB.open("filler");
  opening.onupgradeneeded = () => opening.result.createObjectStore("bytes", { autoIncrement: true });
  await new Promise((done) => (opening.onsuccess = done));
  const db = opening.result;
  const put = (size) =>
    new Promise((done) => {
      const transaction = db.transaction("bytes", "readwrite");
      transaction.objectStore("bytes").put(crypto.getRandomValues(new Uint8Array(size)));
      transaction.oncomplete = () => done(true);
      transaction.onabort = () => done(false);
    });
  for (const size of [65536, 4096, 256, 1]) while (await put(size));
  db.close();
}"""
"""Uses up what is left, to the last byte."""
FLIP = """async () => {
  const opening = indexedDB.open("coterie");
  await new Promise((done) => (opening.onsuccess = done));
  const transaction = opening.result.transaction("groups", "readwrite");
  const cursor = transaction.objectStore("groups").openCursor();
  cursor.onsuccess = () => {
    const value = cursor.result.value;
    value[value.length - 1] ^= 1;
    cursor.result.update(value);
  };
  await new Promise((done) => (transaction.oncomplete = done));
  opening.result.close();
}"""
"""Changes a bit of the first group's row."""


def settings(person: Person, button: str) -> None:
    """Open the settings and press a button there."""
    person.page.get_by_role("button", name="Settings").click()
    person.page.get_by_role("dialog").get_by_role("button", name=button).click()


def back_up(person: Person, file: Path) -> None:
    """A backup, by the keyboard, in `file`."""
    settings(person, "Back up…")
    dialog = person.page.get_by_role("dialog")
    keys = person.page.keyboard
    expect(dialog.get_by_label("Passphrase")).to_be_focused()
    keys.type(PASSPHRASE)
    keys.press("Tab")
    keys.type("something else")
    expect(dialog.get_by_role("button", name="Make the backup")).to_be_disabled()
    expect(dialog.get_by_label("The same again")).to_have_accessible_description("Not the same yet.")
    dialog.get_by_label("The same again").fill(PASSPHRASE)
    with person.page.expect_download() as download:
        keys.press("Enter")
    download.value.save_as(file)
    said = dialog.get_by_role("status")
    expect(said).to_contain_text("The backup is in your downloads")
    expect(dialog.locator(".dialog-foot").get_by_role("button", name="Close")).to_be_focused()
    keys.press("Enter")
    expect(dialog).to_be_hidden()


def restored(person: Person, file: Path) -> None:
    """Restore it on the first page, after a wrong passphrase."""
    person.page.get_by_role("button", name="Restore a backup…").click()
    dialog = person.page.get_by_role("dialog")
    dialog.get_by_label("Backup file").set_input_files(file)
    dialog.get_by_label("Passphrase of the backup").fill("not this one")
    person.page.keyboard.press("Enter")
    expect(dialog.locator("form").get_by_role("alert")).to_contain_text("not the passphrase")
    dialog.get_by_label("Passphrase of the backup").fill(PASSPHRASE)
    person.page.keyboard.press("Enter")
    expect(dialog.get_by_text("Restored: 4 lines, in 1 group.")).to_be_visible()
    dialog.get_by_role("button", name="Close", exact=True).last.click()


def clear(person: Person, kinds: str) -> None:
    """As "clear site data" in the browser's settings, or an eviction (`indexeddb` alone)."""
    session = person.context.new_cdp_session(person.page)
    session.send("Storage.clearDataForOrigin", {"origin": person.origin, "storageTypes": kinds})


def test_a_backup_is_read_in_another_browser(meet: Meet, tmp_path: Path) -> None:
    alice, bob, again = meet("Alice"), meet("Bob"), meet("Alice anew")
    alice.start()
    alice.create("Friends")
    link = alice.invite()
    bob.join(link)
    alice.say("hello Bob")
    bob.sees("hello Bob")
    bob.say("hello Alice")
    alice.sees("hello Bob", "hello Alice")
    file = tmp_path / "backup"
    back_up(alice, file)
    assert b"hello" not in file.read_bytes()

    again.page.goto(again.origin)
    restored(again, file)
    again.page.get_by_role("navigation").get_by_role("button", name="Friends").click()
    again.sees("hello Bob", "hello Alice")
    expect(again.composer).to_be_hidden()
    expect(again.page.get_by_role("main").get_by_text("This is history from a backup")).to_be_visible()

    again.page.reload()
    again.sees("hello Bob", "hello Alice")
    again.page.goto(link)
    again.page.get_by_role("button", name="Join", exact=True).click()
    expect(again.composer).to_be_visible()
    bob.say("welcome back")
    again.sees("hello Bob", "hello Alice", "welcome back")


def test_storage_that_is_cleared_while_one_writes_is_said_at_once(meet: Meet) -> None:
    alice, bob = meet("Alice"), meet("Bob")
    alice.start()
    alice.create("Friends")
    link = alice.invite()
    bob.join(link)
    alice.sees_notice("joined")
    clear(alice, "all")
    expect(alice.page.get_by_role("heading", name="What Coterie kept here is gone")).to_be_visible()
    alice.page.get_by_role("button", name="Reload the page").click()
    expect(alice.page.get_by_text("no longer holds your groups")).to_be_visible()
    alice.join(link)
    bob.page.get_by_role("button", name="Members and more").click()
    keys = bob.page.get_by_role("dialog").locator("li code")  # shown where two have one name
    expect(keys).to_have_count(2)
    assert len(set(keys.all_inner_texts())) == 2, "a device that lost its storage has come with its old key"


def test_storage_that_was_evicted_is_begun_anew_from_whichever_tab(meet: Meet) -> None:
    """Its owner is another tab, where the client of the old storage still runs."""
    alice = meet("Alice")
    alice.start()
    alice.create("Friends")
    other = alice.page.context.new_page()
    other.goto(alice.origin)
    expect(other.get_by_text("Friends").first).to_be_visible()
    clear(alice, "indexeddb")
    expect(other.get_by_role("heading", name="What Coterie kept here is gone")).to_be_visible()
    other.get_by_role("button", name="Reload the page").click()
    expect(other.get_by_text("no longer holds your groups")).to_be_visible()
    expect(other.get_by_role("heading", name="What Coterie kept here is gone")).to_have_count(0)
    expect(other.get_by_text("Friends")).to_have_count(0)


def test_storage_that_was_evicted_is_said_at_the_start(meet: Meet) -> None:
    alice = meet("Alice")
    alice.start()
    alice.create("Friends")
    link = alice.invite()
    alice.page.goto("about:blank")
    clear(alice, "indexeddb")
    alice.page.goto(link)
    expect(alice.page.get_by_role("heading", name="Join “Friends”")).to_be_visible()
    expect(alice.page.get_by_text("no longer holds your groups")).to_be_visible()
    alice.page.get_by_role("button", name="Not now").click()
    expect(alice.page.get_by_text("no longer holds your groups")).to_be_visible()
    expect(alice.page.get_by_role("button", name="Restore a backup…")).to_be_enabled()


def test_a_damaged_row_costs_its_group_and_no_other(meet: Meet) -> None:
    alice = meet("Alice")
    alice.start()
    for group in ("One", "Two"):
        alice.create(group)
        alice.say(f"said in {group}")
        alice.sees(f"said in {group}")
        alice.all_sent()
    alice.page.goto(f"{alice.origin}/favicon.svg")  # of the same origin, without a client
    alice.page.evaluate(FLIP)
    alice.page.goto(alice.origin)
    said = alice.page.get_by_role("alert").get_by_text("is damaged and set aside: the group")
    expect(said).to_be_visible()
    damaged = "One" if "“One”" in said.inner_text() else "Two"
    alice.page.get_by_role("navigation").get_by_role("button", name=damaged).click()
    alice.sees(f"said in {damaged}")
    expect(alice.composer).to_be_hidden()
    whole = "Two" if damaged == "One" else "One"
    alice.open(whole)
    alice.say("goes on")
    alice.sees(f"said in {whole}", "goes on")
    alice.all_sent()


def test_a_full_storage_keeps_the_line_and_lets_one_try_again(meet: Meet) -> None:
    alice, bob = meet("Alice"), meet("Bob")
    session = alice.context.new_cdp_session(alice.page)
    session.send("Storage.overrideQuotaForOrigin", {"origin": alice.origin, "quotaSize": QUOTA})
    alice.start()
    alice.create("Friends")
    bob.join(alice.invite())
    alice.say("before")
    bob.sees("before")
    alice.page.evaluate(FILL)
    alice.page.get_by_role("button", name="Members and more").click()
    bob.say("for a full disk")
    dialog = alice.page.get_by_role("dialog")
    expect(dialog.get_by_role("alert").get_by_text("no space left")).to_be_visible()
    # it is within reach, not behind the dialog
    dialog.get_by_role("button", name="Put this message away").click()
    expect(dialog.get_by_text("no space left")).to_be_hidden()
    alice.page.keyboard.press("Escape")
    alice.say("no room for this")
    expect(alice.page.get_by_role("alert").get_by_text("no space left")).to_be_visible()
    expect(alice.composer).to_have_value("no room for this")
    alice.sees("before")
    alice.page.evaluate("indexedDB.deleteDatabase('filler')")
    session.send("Storage.overrideQuotaForOrigin", {"origin": alice.origin})
    alice.sees("before", "for a full disk")
    alice.composer.press("Enter")
    alice.sees("before", "for a full disk", "no room for this")
    alice.all_sent()
    bob.sees("before", "for a full disk", "no room for this")


def test_the_settings_say_what_the_browser_promises(meet: Meet) -> None:
    alice = meet("Alice")
    alice.start()
    alice.create("Friends")
    hint = alice.page.get_by_role("region", name="Storage", exact=True)
    expect(hint.get_by_text("has not promised to keep")).to_be_visible()
    hint.get_by_role("button", name="Not now").click()
    expect(hint).to_be_hidden()
    alice.reload()
    expect(hint).to_be_hidden()
    alice.page.get_by_role("button", name="Settings").click()
    part = alice.page.get_by_role("dialog").get_by_role("region", name="Storage and backup")
    expect(part.get_by_text("may delete it when space is short")).to_be_visible()
    part.get_by_role("button", name="Ask the browser to keep it").click()
    expect(part.get_by_text("The browser did not agree")).to_be_visible()
    grant = alice.context.browser.new_browser_cdp_session() if alice.context.browser else None
    assert grant
    page = alice.context.new_cdp_session(alice.page)
    own = page.send("Target.getTargetInfo")["targetInfo"]["browserContextId"]
    grant.send("Browser.grantPermissions", {"permissions": ["durableStorage"], "browserContextId": own})
    part.get_by_role("button", name="Ask the browser to keep it").click()
    expect(part.get_by_text("has promised not to delete it")).to_be_visible()


def test_a_browser_that_may_keep_nothing_for_the_site_says_so(
    browser_type: BrowserType, browser_type_launch_args: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    """Its settings block cookies, and with them all site data: even to ask for it is an error then."""
    blocked = {"profile": {"default_content_setting_values": {"cookies": BLOCK}}}
    preferences = tmp_path / "Default" / "Preferences"
    preferences.parent.mkdir()
    preferences.write_text(json.dumps(blocked), encoding="utf-8")
    context = browser_type.launch_persistent_context(tmp_path, **browser_type_launch_args)
    try:
        page = context.new_page()
        page.goto(service.url)
        expect(page.get_by_text("does not let Coterie keep data")).to_be_visible()
    finally:
        context.close()


def test_what_a_kill_left_half_written_costs_nothing(
    browser_type: BrowserType, service: Service, meet: Meet, tmp_path: Path
) -> None:
    """Chromium writes on behind it, and at the start after that would delete the databases of the site."""
    folder = tmp_path / "profile"
    with profile(browser_type, folder, service.url) as ann:
        ann.start()
        ann.create("Friends")
        ann.say("before")
        ann.sees("before")
        ann.all_sent()
    tear(folder)
    said = ["before"]
    for text in ("after", "long after"):
        with profile(browser_type, folder, service.url) as ann:
            ann.page.goto(ann.origin)
            ann.open("Friends")
            ann.say(text)
            said.append(text)
            ann.sees(*said)
            ann.all_sent()
    with profile(browser_type, folder, service.url) as ann:
        ann.page.goto(ann.origin)
        ann.open("Friends")
        ann.sees(*said)


def test_why_the_browser_deleted_the_data_is_told(
    browser_type: BrowserType, service: Service, tmp_path: Path
) -> None:
    folder = tmp_path / "profile"
    with profile(browser_type, folder, service.url) as ann:
        ann.start()
    (log,) = folder.rglob("*.indexeddb.leveldb/*.log")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 0xFF
    log.write_bytes(data)
    with profile(browser_type, folder, service.url) as ann:
        ann.page.goto(ann.origin)
        expect(ann.page.get_by_label("What should others call you?")).to_be_visible()
        assert [said for said in ann.complaints if "the browser has deleted this device's data" in said]


def tear(folder: Path) -> None:
    """The first bytes of a record at the end of LevelDB's log, as a process killed while it writes leaves them."""
    (log,) = folder.rglob("*.indexeddb.leveldb/*.log")
    room = BLOCK_SIZE - log.stat().st_size % BLOCK_SIZE
    with log.open("ab") as file:
        if room < 2 * TORN:
            file.write(bytes(room))
        file.write(bytes(4) + TORN.to_bytes(2, "little") + b"\x01" + bytes(TORN // 2))
