"""Makes backup.json: one backup file of version 1, which every later version must restore. Run once."""

import asyncio
import json
from pathlib import Path

from coterie.stretching import stretch
from tests.support.exchange import Exchange, settle

PASSPHRASE = "a passphrase of the vectors"


async def made() -> dict[str, object]:
    """A conversation of two, and the file that one of them made of it."""
    exchange = Exchange()
    group_id, (alice, bob) = await exchange.friends("Alice", "Bob")
    for person, text in ((alice, "hello Bob"), (bob, "hello Alice ✓")):
        await person.client.send_text(group_id=group_id, text=text)
        await settle()
    backups = alice.client.backups(stretch)
    begun = await backups.backup_begin(passphrase=PASSPHRASE)
    file = b""
    while piece := await backups.backup_read(**begun):
        file += piece
    user_id = alice.wire.user_id
    opened = await alice.client.open_group(group_id=group_id)
    await exchange.close()
    lines = [[line["kind"], line["name"], line["text"], line["mine"]] for line in opened["lines"]]
    return {
        "passphrase": PASSPHRASE,
        "user_id": user_id,
        "group_id": group_id,
        "name": "Alice",
        "lines": lines,
        "file": file.hex(),
    }


if __name__ == "__main__":
    path = Path(__file__).with_name("backup.json")
    path.write_text(json.dumps(asyncio.run(made()), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
