"""What encryption at rest costs: p50 of one message sent and one received, with and without it, in turn in one run.

    python bench/chat/at_rest.py [messages]

The core makes each step (encrypts or decrypts, makes lines, keeps the outbox) and saves it before the next: natively in
SQLite and in SQLCipher; in Chromium in the page's Pyodide, through `web/store.js` and through a copy of it that leaves
rows as they are. Then the bytes per message in groups of 2, 100 and 1,000, of MLS's own rows and of all rows.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT))

from conversation import TEXT, Conversation, Costs, in_turn  # noqa: E402

from coterie.ports import Changes, Store  # noqa: E402
from coterie.storage.memory import MemoryStore  # noqa: E402
from coterie.storage.sqlite import SqliteStore  # noqa: E402

MEMBERS = {2: 1.7, 100: 6, 1000: 24}
"""Sizes of groups, and what MLS's rows hold there: KB per message."""
SEALED = 28
"""Bytes that AES-GCM adds to a row in a browser: nonce and tag."""

UNUSED = ("*.br", "*.gz", "*.snapshot", "wheels")
"""Parts of the site that a first visit over loopback does without."""
IN_PAGE = "return python.pyimport("
"""The last line of web/boot.js, which starts the client; here the conversation is started instead."""
SEAL = "seal(table === MLS ? this.#mls : this.#rows, value, join(table, ZERO, key))"
OPEN = "await open(table === MLS ? this.#mls : this.#rows, value, join(table, ZERO, key))"
"""What web/at_rest.js does to a row."""
MEASURE = """([module, given]) => new Promise((resolve, reject) => {
  const worker = new Worker(module, { type: "module" });
  worker.onerror = ({ message }) => reject(new Error(message));
  worker.onmessage = ({ data: { found, error } }) => (error ? reject(new Error(error)) : resolve(found));
  worker.postMessage(given);
})"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing. Isolated pages have a finer clock."""

    def log_message(self, *_: object) -> None:
        """No line for each request."""

    def end_headers(self) -> None:
        """As every other answer, and isolated."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


class Key:
    """A store's key, or none."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key

    async def key(self) -> bytes | None:
        return self._key


def written() -> int:
    """Bytes that this process has written so far."""
    text = Path("/proc/self/io").read_text(encoding="ascii")
    return int(text.split("wchar: ")[1].split()[0])


async def natively(messages: int, folder: Path) -> Costs:
    """In SQLite and in SQLCipher."""
    stores: list[Store] = []

    async def begin(kind: str, key: bytes | None) -> Conversation:
        async def opened(name: str) -> Store:
            stores.append(await SqliteStore.open(folder / kind / name / "state.sqlite", Key(key)))
            return stores[-1]

        return await Conversation.begin(opened, written)

    found = await in_turn(await begin("plain", None), await begin("sealed", os.urandom(32)), messages)
    for store in stores:
        await store.close()
    return found


def edited(path: Path, old: str, new: str) -> None:
    """Another text in a file; it must be there once."""
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise SystemExit(f"{path.name} is not what this benchmark knows: build the page, or look at {old!r}.")
    path.write_text(text.replace(old, new), encoding="utf-8")


def build_site(site: Path) -> str:
    """A copy of the built page with the benchmark's worker, and beside it the modules of a store that seals nothing."""
    shutil.copytree(ROOT / "dist/site", site, ignore=shutil.ignore_patterns(*UNUSED))
    page = (site / "index.html").read_text(encoding="utf-8")
    app = site / page.split('src="/')[1].split("/start.js")[0]
    plain = app.parent / "plain"
    shutil.copytree(app, plain)
    edited(plain / "at_rest.js", SEAL, "value")
    edited(plain / "at_rest.js", OPEN, "value")
    edited(app / "boot.js", IN_PAGE, f"return python;\n  {IN_PAGE}")
    shutil.copy(HERE / "at_rest.js", app / "bench.js")
    return f"/{app.relative_to(site)}/bench.js"


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The files of a folder; where they are."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()


def programs() -> dict[str, str]:
    """What runs in the page's Python beside the client: texts by their paths."""
    support = (ROOT / "tests/support").glob("*.py")
    own = (HERE / "at_rest_page.py", HERE / "conversation.py")
    paths = {str(path.relative_to(ROOT)): path for path in support} | {path.name: path for path in own}
    return {name: path.read_text(encoding="utf-8") for name, path in paths.items()}


def in_chromium(messages: int, folder: Path) -> Costs:
    """In IndexedDB, with values sealed and as they are."""
    module = build_site(folder / "site")
    given = {"programs": programs(), "messages": messages, "text": TEXT}
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with served(folder / "site") as origin, sync_playwright() as play:
        browser = play.chromium.launch_persistent_context(
            str(folder / "profile"), executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(f"{origin}/favicon.svg")
        found: Costs = page.evaluate(MEASURE, [module, given])
        browser.close()
    return found


def tell(where: str, found: Costs) -> None:
    """One line for what is sent and one for what is received."""
    for kind, stores in found.items():
        plain, sealed = (
            median(milliseconds for milliseconds, _ in stores[name]) for name in ("plain", "sealed")
        )
        print(f"{where:8} {kind:8}: p50 {plain:6.2f} ms plain, {sealed:6.2f} ms sealed", end="")
        print(f" ({sealed / plain:.2f} times)", end="")
        sizes = [sum(size for _, size in stores[name]) / len(stores[name]) for name in ("plain", "sealed")]
        if all(sizes):
            print(f"; {sizes[0] / 1000:.1f} and {sizes[1] / 1000:.1f} KB to the disk", end="")
        print(flush=True)


class Counting(MemoryStore):
    """A store that counts what it is given: bytes of keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.all = self.mls = self.rows_written = 0

    async def commit(self, changes: Changes) -> None:
        """As ever."""
        sizes = {row: len(row[1]) + len(value or b"") for row, value in changes.items()}
        self.all += sum(sizes.values())
        self.mls += sum(size for (table, _), size in sizes.items() if table == "mls")
        self.rows_written += sum(value is not None for value in changes.values())
        await super().commit(changes)


async def rows(members: int, messages: int = 20) -> dict[str, tuple[float, float, float]]:
    """Per message, by kind: KB of MLS's own rows, KB of all rows, and how many rows these are."""
    stores: dict[str, Counting] = {}

    async def opened(name: str) -> Store:
        return stores.setdefault(name, Counting())

    talk = await Conversation.begin(opened, lambda: 0, members)
    for store in stores.values():
        store.all = store.mls = store.rows_written = 0
    for _ in range(messages):
        await talk.message()
    return {
        kind: (store.mls / messages / 1000, store.all / messages / 1000, store.rows_written / messages)
        for kind, store in zip(("sent", "received"), stores.values(), strict=True)
    }


def tell_rows() -> bool:
    """The bytes in groups of all sizes; whether MLS's rows hold what they should."""
    print(f"KB per message before encryption, which adds {SEALED} bytes to each row in a browser:")
    holds = True
    for members, hold in MEMBERS.items():
        for kind, (mls, everything, count) in asyncio.run(rows(members)).items():
            print(f"{members:5} members, {kind:8}: {mls:5.2f} in MLS's rows alone (hold {hold}),", end=" ")
            print(f"{everything:5.2f} in all {count:.1f} rows", flush=True)
            holds &= mls <= hold
    return holds


def main() -> int:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"one message of {len(TEXT)} characters, every step of it saved; p50 of {messages}, in turn")
    with tempfile.TemporaryDirectory() as folder:
        tell("native", asyncio.run(natively(messages, Path(folder))))
    with tempfile.TemporaryDirectory() as folder:
        tell("Chromium", in_chromium(messages, Path(folder)))
    return 0 if tell_rows() else 1


if __name__ == "__main__":
    sys.exit(main())
