"""What encryption at rest costs: one message sent and one received, saved, with and without it, in turn in one run.

    python bench/chat/at_rest.py [messages]

Native: the steps of a conversation are saved one by one in SQLite and in SQLCipher. Chromium: transactions of the same
rows through `web/store.js`, and as they are. Then the bytes that MLS's own rows take per message, in groups of 2, 100
and 1,000.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import sys
import tempfile
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

import coterie_mls  # noqa: E402
from coterie.ports import Changes  # noqa: E402
from coterie.storage.sqlite import SqliteStore  # noqa: E402
from tests.support.friends import friends  # noqa: E402
from tests.support.post_office import PostOffice  # noqa: E402

TEXT = "x" * 200
SEALED = 28
"""Bytes that AES-GCM adds to a row in a browser: nonce and tag."""

COMMITS = """async ([rows, count]) => {
  const { openStore } = await import("/store.js");
  const { openDatabase, transact } = await import("/database.js");
  const bytes = (size) => crypto.getRandomValues(new Uint8Array(size));
  const some = () => rows.map(([table, key, size]) => [table, bytes(key), bytes(size)]);
  const store = await openStore("sealed");
  const db = await openDatabase("plain");
  const tables = [...new Set(rows.map(([table]) => table))];
  const plain = (values) =>
    transact(db, tables, "readwrite", (transaction) => {
      for (const [table, key, value] of values) transaction.objectStore(table).put(value, key);
    });
  const times = { plain: [], sealed: [] };
  for (let turn = 0; turn < count; turn += 1) {
    for (const [name, commit] of [["plain", plain], ["sealed", (values) => store.commit(values)]]) {
      const values = some();
      const began = performance.now();
      await commit(values);
      times[name].push(performance.now() - began);
    }
  }
  return times;
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """No line for each request."""


class Key:
    """A store's key, or none."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key

    async def key(self) -> bytes | None:
        return self._key


def conversation(messages: int) -> dict[str, list[Changes]]:
    """What is saved for each message: by who sends it, and by who receives it."""
    office = PostOffice()
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    office.pump()
    steps: dict[str, list[Changes]] = {"sent": [], "received": []}
    for _ in range(messages):
        marks = len(alice.writes), len(bob.writes)
        alice.send(group_id, TEXT)
        office.pump()
        for name, device, mark in (("sent", alice, marks[0]), ("received", bob, marks[1])):
            steps[name] += [step.changes for step in device.writes[mark:] if step.changes]
    return steps


def written() -> int:
    """Bytes that this process has written so far."""
    text = Path("/proc/self/io").read_text(encoding="ascii")
    return int(text.split("wchar: ")[1].split()[0])


async def natively(messages: int, folder: Path) -> dict[str, list[Changes]]:
    """Saved in both, in turn; milliseconds and bytes per message."""
    steps = conversation(messages)
    stores = {
        name: await SqliteStore.open(folder / name / "state.sqlite", Key(key))
        for name, key in (("plain", None), ("SQLCipher", os.urandom(32)))
    }
    for kind, changes in steps.items():
        times: dict[str, list[float]] = {name: [] for name in stores}
        sizes = dict.fromkeys(stores, 0)
        for change in changes:
            for name, store in stores.items():
                before, began = written(), time.perf_counter()
                await store.commit(change)
                times[name].append((time.perf_counter() - began) * 1000)
                sizes[name] += written() - before
        each = len(changes) / messages
        for name in stores:
            p50 = median(times[name]) * each
            kilobytes = sizes[name] / messages / 1000
            print(f"native, {kind:8} {name:9}: p50 {p50:6.2f} ms in {each:.0f} transactions,", end=" ")
            print(f"{kilobytes:5.1f} KB to the disk")
    for store in stores.values():
        await store.close()
    return steps


def in_chromium(messages: int, steps: dict[str, list[Changes]]) -> None:
    """The rows of one message's first transaction, through the store and past it."""
    handler = functools.partial(Quiet, directory=str(ROOT / "web"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        flags = ["--no-sandbox"]
        browser = play.chromium.launch_persistent_context(folder, executable_path=executable, args=flags)
        page = browser.new_page()
        page.goto(f"http://localhost:{server.server_port}/favicon.svg")
        for kind, changes in steps.items():
            rows = [[table, len(key), len(value)] for (table, key), value in changes[0].items() if value]
            times = page.evaluate(COMMITS, [rows, messages])
            plain, sealed = (median(times[name]) for name in ("plain", "sealed"))
            print(f"Chromium, {kind:8} {len(rows)} rows: p50 {plain:.2f} ms plain, {sealed:.2f} ms sealed")
        browser.close()
    server.shutdown()


def sizes(members: int, messages: int = 20) -> tuple[float, float]:
    """Bytes of MLS's own rows per message sent and received, in a group of so many."""
    people = [coterie_mls.Backend.create(f"user-{number:04}") for number in range(members)]
    for number, person in enumerate(people):
        person.bind_device(f"device-{number:04}")
    alice, bob = people[:2]
    group = alice.create_group(b"data")
    commit = alice.commit(group, add=[person.create_key_package().bytes for person in people[1:]])
    alice.merge_pending(group)
    bob.join(commit.welcome or b"")
    totals = [0, 0]
    for _ in range(messages):
        for person in (alice, bob):
            person.take_changes()
        bob.process(group, alice.encrypt(group, TEXT.encode()))
        for at, person in enumerate((alice, bob)):
            totals[at] += sum(len(key) + len(value or b"") for key, value in person.take_changes().items())
    return totals[0] / messages, totals[1] / messages


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        steps = asyncio.run(natively(messages, Path(folder)))
    in_chromium(messages, steps)
    for members, hold in ((2, 1.7), (100, 6), (1000, 24)):
        sent, received = sizes(members)
        print(f"{members:5} members: {sent / 1000:5.2f} KB sent, {received / 1000:5.2f} KB received", end=" ")
        print(f"(hold {hold}); in a browser {SEALED} bytes more for each row")


if __name__ == "__main__":
    main()
