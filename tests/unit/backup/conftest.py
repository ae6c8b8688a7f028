"""Clients with backups, and a passphrase that costs nothing to stretch."""

import hashlib
from typing import Any

from coterie.backup import Backups
from coterie.errors import CoterieError
from tests.support.exchange import Person
from tests.unit.client.conftest import exchange

__all__ = ["PASSPHRASE", "Stretched", "back_up", "exchange", "refusal", "restore"]

PASSPHRASE = "correct horse battery"


class Stretched:
    """`ports.Stretch` that is cheap and counts."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, secret: bytes, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
        self.calls += 1
        return hashlib.sha256(b"%d %d %d" % (memory_kib, passes, lanes) + salt + secret).digest()


async def back_up(person: Person, passphrase: str = PASSPHRASE) -> bytes:
    """The whole file."""
    backups = person.client.backups(Stretched())
    begun = await backups.backup_begin(passphrase=passphrase)
    file = b""
    while piece := await backups.backup_read(**begun):
        file += piece
    return file


async def restore(
    person: Person,
    file: bytes,
    passphrase: str = PASSPHRASE,
    *,
    mine: bool = False,
    step: int = 100_000,
    backups: Backups | None = None,
) -> dict[str, Any]:
    """Hand it over in pieces of `step` bytes."""
    backups = backups or person.client.backups(Stretched())
    begun = await backups.restore_begin(passphrase=passphrase, mine=mine)
    for take in (backups.restore_check, backups.restore_write):
        for at in range(0, len(file), step):
            await take(**begun, data=file[at : at + step])
    return await backups.restore_end(**begun)


async def refusal(
    person: Person, file: bytes, passphrase: str = PASSPHRASE, **options: Any
) -> tuple[str, str]:
    """The code and the sentence with which a file is refused; nothing was changed."""
    rows, events = person.store.rows(), len(person.events)
    try:
        await restore(person, file, passphrase, **options)
    except CoterieError as error:
        assert (person.store.rows(), len(person.events)) == (rows, events), "a refused file changed something"
        return error.code, error.sentence
    raise AssertionError("the file was taken")
