"""A backup that was made once opens for ever."""

import json
from pathlib import Path

from coterie.core.backup import HEADER_SIZE, Header
from coterie.stretching import stretch
from tests.support.exchange import Exchange, Person

VECTOR = json.loads(Path(__file__).with_name("backup.json").read_text(encoding="utf-8"))


async def test_the_file_of_the_first_version_is_restored() -> None:
    exchange = Exchange()
    person = Person(exchange)
    exchange.people.append(person)
    await person.client.start()
    backups = person.client.backups(stretch)
    begun = await backups.restore_begin(passphrase=VECTOR["passphrase"])
    for take in (backups.restore_check, backups.restore_write):
        await take(**begun, data=bytes.fromhex(VECTOR["file"]))
    assert await backups.restore_end(**begun) == {"groups": 1, "lines": len(VECTOR["lines"])}
    opened = await person.client.open_group(group_id=VECTOR["group_id"])
    assert [[line["kind"], line["name"], line["text"], line["mine"]] for line in opened["lines"]] == VECTOR[
        "lines"
    ]
    assert person.client.snapshot()["name"] == VECTOR["name"]
    await exchange.close()


def test_its_header_says_whose_it_is_to_those_who_know() -> None:
    header = Header.parse(bytes.fromhex(VECTOR["file"])[:HEADER_SIZE])
    assert header.of(VECTOR["user_id"])
    assert not header.of("somebody else")
