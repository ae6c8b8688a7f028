"""A terminal's profile after a conversation: what can be found in its files, and what the present key opens of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import coterie_mls
from coterie.core import keys
from coterie.keeping import ProfileKey, Way
from coterie.ports import Changes
from coterie.storage.sqlite import SqliteStore
from tests.support.exchange import Exchange, Person, settle
from tests.support.search import Found, consumed, files, pages

PASSPHRASE = "correct horse battery staple"
NAMES = ("Annabella Quorsum", "Bartholomew Zwischen")
GROUP = "The Friday conspiracy"
TEXT = "the umbrella stands behind the third door, number {}"


@dataclass
class Run:
    """What a device wrote, in order, and what was said."""

    log: list[dict[tuple[str, bytes], bytes | None]]
    plaintexts: list[bytes]

    @property
    def present(self) -> dict[tuple[str, bytes], bytes]:
        """Its rows at the end."""
        rows: dict[tuple[str, bytes], bytes] = {}
        for changes in self.log:
            for row, value in changes.items():
                if value is None:
                    rows.pop(row, None)
                else:
                    rows[row] = value
        return rows

    def secrets(self) -> list[bytes]:
        """MLS rows of the present state."""
        return [value for (table, _), value in self.present.items() if table == "mls"]

    def history(self) -> list[bytes]:
        """Every value that an MLS row ever had."""
        return [
            value for changes in self.log for (table, _), value in changes.items() if table == "mls" and value
        ]


def watch(person: Person) -> list[dict[tuple[str, bytes], bytes | None]]:
    """All that this person's device commits from here on."""
    log: list[dict[tuple[str, bytes], bytes | None]] = [dict(person.store.rows())]
    commit = person.store.commit

    async def noted(changes: Changes) -> None:
        await commit(changes)
        log.append(dict(changes))

    person.store.commit = noted  # type: ignore[method-assign]
    return log


async def converse(lines: int) -> Run:
    """Two clients, a group, lines both ways."""
    exchange = Exchange()
    ann = await exchange.person(NAMES[0])
    log = watch(ann)
    group_id = str((await ann.client.create_group(name=GROUP))["group_id"])
    link = (await ann.client.create_invite(group_id=group_id))["link"]
    bob = await exchange.person(NAMES[1])
    await bob.client.join(link=link, name=NAMES[1])
    await settle()
    texts = []
    for number in range(lines):
        texts.append(TEXT.format(number))
        await (ann, bob)[number % 2].client.send_text(group_id=group_id, text=texts[-1])
        await settle()
    assert sorted(await ann.texts(group_id)) == sorted(texts)
    await exchange.close()
    return Run(log, [text.encode() for text in (*texts, *NAMES, GROUP, link.rpartition(".")[2])])


class NoKey:
    """Encryption switched off."""

    async def key(self) -> bytes | None:
        return None


async def ask(_: str) -> str:
    """Who is asked for a passphrase."""
    return PASSPHRASE


@dataclass
class Profile:
    """A profile that was written as the client writes it: one transaction for each of its steps."""

    folder: Path
    master: bytes

    @property
    def key(self) -> bytes:
        """The data file's."""
        return keys.derive(coterie_mls, self.master, keys.AT_REST)


async def write(
    run: Run, folder: Path, *, way: Way = "passphrase", encrypted: bool = True, planted: bytes = b""
) -> Profile:
    """The profile of a run. `planted` is kept in a row of its own, against all rules."""
    path = folder / "state.sqlite"
    folder.mkdir(parents=True)  # noqa: ASYNC240  nothing else runs here
    wrap = ProfileKey(coterie_mls, path, {"COTERIE_KEY": "ab" * 32}, ask)
    if encrypted:
        await wrap.keep(way)
    store = await SqliteStore.open(path, wrap if encrypted else NoKey())
    for changes in run.log:
        await store.commit(changes)
    if planted:
        await store.commit({("mls", b"kept on purpose"): planted})
    await store.close()
    return Profile(folder, await wrap.master() if encrypted else coterie_mls.random_bytes(32))


def search(run: Run, profile: Profile, seed: int, *, encrypted: bool = True) -> Found:
    """All that must not be there: anything at all in the files, and what was used in what the present key opens."""
    found = Found()
    gone = consumed(run.history(), run.present.values(), seed)
    assert gone, "nothing was used up: this would show nothing"
    here = consumed(run.secrets(), [], seed)
    for name, data in files(profile.folder):
        found.look(name, data, {"plaintext": run.plaintexts, "key": [profile.master, profile.key]})
        found.look_for_rows("present secret", name, data, here)
        found.look_for_rows("consumed secret", name, data, gone)
    data = (profile.folder / "state.sqlite").read_bytes()
    if encrypted:
        found.look_for_rows("consumed secret", "what the present key opens", pages(data, profile.key), gone)
    return found
