"""Two tabs, or a dialog that was opened again: the later backup or restore is whole, the earlier one is told."""

import pytest

from coterie.backup import Backups
from coterie.errors import BackupError, StateError
from tests.support.exchange import Exchange, Person, settle
from tests.unit.backup.conftest import PASSPHRASE, Stretched, back_up, restore


async def talked(exchange: Exchange) -> Person:
    group_id, (alice, _) = await exchange.friends("Alice", "Bob")
    await alice.client.send_text(group_id=group_id, text="one")
    await settle()
    return alice


class Meanwhile(Stretched):
    """Begins another restore while the key of a first one is made."""

    def __init__(self) -> None:
        super().__init__()
        self.backups: Backups | None = None
        self.later: dict[str, str] = {}

    async def __call__(self, secret: bytes, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
        if self.backups and not self.later:
            self.later = await self.backups.restore_begin(passphrase=PASSPHRASE)
        return await super().__call__(secret, salt, memory_kib, passes, lanes)


async def test_a_later_backup_is_whole_and_the_earlier_one_ends(exchange: Exchange) -> None:
    alice = await talked(exchange)
    backups = alice.client.backups(Stretched())
    first = await backups.backup_begin(passphrase=PASSPHRASE)
    assert await backups.backup_read(**first)
    second = await backups.backup_begin(passphrase=PASSPHRASE)
    with pytest.raises(StateError, match="interrupted") as ended:
        await backups.backup_read(**first)
    assert ended.value.code == "no_backup"
    file = b""
    while piece := await backups.backup_read(**second):
        file += piece
    assert (await restore(alice, file)) == {"groups": 0, "lines": 0}


async def test_a_later_restore_is_whole_and_the_earlier_one_ends(exchange: Exchange) -> None:
    alice = await talked(exchange)
    file = await back_up(alice)
    backups = alice.client.backups(Stretched())
    first = await backups.restore_begin(passphrase=PASSPHRASE)
    await backups.restore_check(**first, data=file[:50])
    second = await backups.restore_begin(passphrase=PASSPHRASE)
    for take in (backups.restore_check, backups.restore_write):
        await take(**second, data=file)
    calls = (backups.restore_check, backups.restore_write)
    for call in (*(call(**first, data=file[50:]) for call in calls), backups.restore_end(**first)):
        with pytest.raises(StateError, match="interrupted") as ended:
            await call
        assert ended.value.code == "no_restore"
    assert await backups.restore_end(**second) == {"groups": 0, "lines": 0}


async def test_an_earlier_restore_that_fails_late_leaves_the_later_one_alone(exchange: Exchange) -> None:
    alice = await talked(exchange)
    file = await back_up(alice)
    stretch = Meanwhile()
    stretch.backups = backups = alice.client.backups(stretch)
    first = await backups.restore_begin(passphrase="not this one")
    await backups.restore_check(**first, data=file)
    with pytest.raises(BackupError, match="passphrase"):
        await backups.restore_write(**first, data=file)
    for take in (backups.restore_check, backups.restore_write):
        await take(**stretch.later, data=file)
    assert await backups.restore_end(**stretch.later) == {"groups": 0, "lines": 0}


async def test_a_backup_that_failed_has_no_end(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read up to then is not taken for a whole file."""
    alice = await talked(exchange)
    backups = alice.client.backups(Stretched())
    begun = await backups.backup_begin(passphrase=PASSPHRASE)
    assert await backups.backup_read(**begun)
    with monkeypatch.context() as broken:
        broken.setattr(alice.store, "page", None)
        with pytest.raises(TypeError):
            await backups.backup_read(**begun)
    with pytest.raises(StateError, match="interrupted"):
        await backups.backup_read(**begun)
