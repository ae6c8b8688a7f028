"""What the database keeps: bytes per user with 100 key packages, per group, per message beyond its ciphertext."""

from __future__ import annotations

from figures import Figure
from load import run, senders
from stage import CIPHERTEXT, Stage, body

PACKAGES = """
insert into coterie.key_packages (device_id, ref, key_package, suite, last_resort, not_after)
select d.device_id, sha256((d.device_id::text || n)::bytea), decode(repeat('ab', 330), 'hex'), 1, n = 0,
  now() + interval '80 days' from coterie.devices d, generate_series(0, 100) n
"""
TABLES = """
select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint from pg_class c
where c.relnamespace = 'coterie'::regnamespace and c.relkind = 'r'
"""


async def measure(stage: Stage, *, users: int = 500, groups: int = 2000, seconds: float = 20) -> list[Figure]:
    """Sizes of tables and indexes, divided by what was put in. Key packages are 330 bytes, as ours are."""
    service = stage.service()

    async def size() -> int:
        return int((await stage.query(TABLES))[0][0])

    empty = await size()
    people = await stage.people(users)
    await stage.query(PACKAGES)
    with_people = await size()
    ids = await stage.groups(*[[people[number % users]] for number in range(groups)])
    with_groups = await size()
    pairs = [(people[number % users], ids[number]) for number in range(users)]
    text = body()
    result = await run(service.port, senders(pairs, text, 16, seconds))
    result.rate()
    await stage.query("vacuum analyze coterie.messages")
    grown = (await size()) - with_groups
    messages = len(result.seconds)
    print(f"  {messages} messages of {len(text) // 2} bytes, {CIPHERTEXT} of them ciphertext")
    return [
        Figure("database per user with 100 key packages", (with_people - empty) / users / 1024, " KiB"),
        Figure("database per group of one", (with_groups - with_people) / groups / 1024, " KiB"),
        Figure(
            "database per message beyond its ciphertext", grown / messages - CIPHERTEXT, " bytes", hold=1024
        ),
    ]
