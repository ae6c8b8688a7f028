"""A browser's profile after a conversation: what can be found in its files, and what the present keys open of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import BrowserType, expect

from coterie.ports import TABLES
from tests.at_rest.native import GROUP, NAMES, PASSPHRASE, TEXT
from tests.e2e.conftest import FLAGS
from tests.e2e.people import Person
from tests.support import at_rest
from tests.support.leveldb import arrays, binary_key, records
from tests.support.search import Found, consumed, files

SEED_FILE = ("seed", "Default/File System/000")
"""The present seed, in the file that is overwritten when another takes its place; worth nothing alone."""
OPENED = "what the present keys open"
RECORDS = "the records of IndexedDB, decompressed"
CONSUMED = "consumed secret"
PLANTED = {("plaintext", RECORDS), (CONSUMED, RECORDS)}

PLANT = """async ([text, row]) => {
  const opened = indexedDB.open("planted", 1);
  opened.onupgradeneeded = () => opened.result.createObjectStore("rows");
  const db = await new Promise((done) => (opened.onsuccess = () => done(opened.result)));
  const transaction = db.transaction("rows", "readwrite", { durability: "strict" });
  transaction.objectStore("rows").put(text, "a plaintext");
  transaction.objectStore("rows").put(Uint8Array.from(row), "a consumed secret");
  await new Promise((done) => (transaction.oncomplete = done));
  db.close();
}"""


@dataclass
class Watched:
    """What was seen of a device while it talked."""

    plaintexts: list[bytes] = field(default_factory=list)
    history: list[bytes] = field(default_factory=list)
    """Values of its MLS rows, whenever it was looked."""
    present: list[bytes] = field(default_factory=list)
    """All its rows in the end."""
    keys: at_rest.Keys = field(default_factory=lambda: at_rest.Keys(b"", b""))

    def look(self, person: Person) -> None:
        """What it holds now."""
        self.keys = at_rest.Keys.of(person.page, self.keys.master or None)
        for table in TABLES:
            rows = at_rest.rows(person.page, table, self.keys)
            if table == "mls":
                self.history += rows.values()
            self.present = ([] if table == TABLES[0] else self.present) + [*rows.values()]


def executable() -> str:
    """The browser that is here."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome") or ""


@contextmanager
def profile(kind: BrowserType, folder: Path, origin: str) -> Iterator[Person]:
    """Ann's browser, with a profile that stays."""
    context = kind.launch_persistent_context(folder, executable_path=executable(), args=FLAGS)
    person = Person(context.browser, origin, NAMES[0], context=context)  # type: ignore[arg-type]
    try:
        yield person
    finally:
        context.close()


def converse(ann: Person, bob: Person, lines: int) -> Watched:
    """A group, lines both ways, and a look at Ann's rows after each of them."""
    watched = Watched()
    ann.start()
    ann.create(GROUP)
    link = ann.invite()
    bob.join(link)
    ann.comes_to_rest()  # else keys are used up, by something else, under the renewed ones
    texts: list[str] = []
    for number in range(lines):
        watched.look(ann)
        texts.append(TEXT.format(number))
        (ann, bob)[number % 2].say(texts[-1])
        ann.sees(*texts)
        ann.all_sent()
    watched.look(ann)
    watched.plaintexts = [text.encode() for text in (*texts, *NAMES, GROUP, link.rpartition(".")[2])]
    return watched


def lock(ann: Person, watched: Watched) -> None:
    """Set a passphrase, which renews the keys of the MLS rows."""
    ann.page.goto(ann.origin)
    ann.page.get_by_role("button", name="Settings").click()
    section = ann.page.get_by_role("region", name="Lock this device")
    section.get_by_label("Passphrase", exact=True).fill(PASSPHRASE)
    section.get_by_label("The same again").fill(PASSPHRASE)
    section.get_by_role("button", name="Lock with a passphrase").click()
    expect(section.get_by_role("status")).to_contain_text("From now on")
    watched.look(ann)


def plant(ann: Person, watched: Watched) -> None:
    """A plaintext, and the longest value of a row that was used up, in a database beside ours."""
    ann.page.goto(f"{ann.origin}/favicon.svg")
    used = max((value for value in watched.history if value not in watched.present), key=len)
    ann.page.evaluate(PLANT, [watched.plaintexts[0].decode(), list(used)])


def compact(ann: Person) -> None:
    """Have Chromium read its database again: what was in the log goes into a table, which is compressed."""
    ann.page.goto(f"{ann.origin}/favicon.svg")
    ann.page.evaluate("async () => (await indexedDB.databases()).length")


def opened(folder: Path, keys: at_rest.Keys) -> Iterator[bytes]:
    """Every row that the present keys open, of all that LevelDB still has."""
    for database in folder.rglob("*.indexeddb.leveldb"):
        for key, value in records(database):
            row = binary_key(key)
            if row is not None:
                yield from _clear(keys, row, value)


def _clear(keys: at_rest.Keys, row: bytes, value: bytes) -> Iterator[bytes]:
    for array in arrays(value):
        for table in TABLES:
            clear = keys.open(table, row, array)
            if clear is not None:
                yield clear
                return


def search(folder: Path, watched: Watched, seed: int) -> Found:
    """All that must not be there, in every file of the profile and in what the present keys open."""
    found = Found()
    gone = consumed(watched.history, watched.present, seed)
    assert gone, "nothing was used up: this would show nothing"
    keys = watched.keys.named()
    needles = {"seed": [keys.pop("seed")], "key": list(keys.values()), "plaintext": watched.plaintexts}
    databases = [record for database in folder.rglob("*.indexeddb.leveldb") for record in records(database)]
    places = [(_place(name), data) for name, data in files(folder)]
    for where, data in (*places, (RECORDS, b"\0".join(part for record in databases for part in record))):
        found.look(where, data, needles)
        found.look_for_rows(CONSUMED, where, data, gone)
    clear = list(opened(folder, watched.keys))
    assert len(clear) >= len(watched.present), "the present rows were not all found: this would show nothing"
    found.look_for_rows(CONSUMED, OPENED, b"\0".join(clear), gone)
    return found


def _place(name: str) -> str:
    """A folder of the profile; the names of files in it are made up."""
    return "/".join(name.split("/")[:3])
