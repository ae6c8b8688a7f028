"""get_messages in a group of 10,000 messages: under row-level security against the same query without."""

from __future__ import annotations

from figures import Figure
from stage import POOL, Stage, pgbench

MESSAGES = 10_000
PAGE = 100
FILL = """
insert into coterie.messages (group_id, seq, epoch, kind, message_id, sender_device, body, hash, size, server_time)
select $1::uuid, n, 0, 'application', gen_random_uuid(), $2::uuid, decode(repeat('ab', 430), 'hex'),
  sha256(n::text::bytea), 430, now() from generate_series(1, $3::bigint) n
"""
CLAIMS = '{{"sub":"user-{0}","session_id":"session-{0}"}}'
OURS = (
    "\\set after random(0, {most})\nselect coterie.get_messages_v1('{claims}', '{group}', :after, {page});\n"
)
PLAIN = """\\set after random(0, {most})
select json_build_object('envelopes', coalesce(json_agg(coterie.envelope(m) order by m.seq), '[]'),
  'last_seq', (select last_seq from coterie.group_seq where group_id = '{group}'))
from (select * from coterie.messages where group_id = '{group}' and seq > :after order by seq limit {page}) m;
"""


async def measure(stage: Stage, *, rounds: int = 5, seconds: float = 5) -> list[Figure]:
    """Pages of 100 at random places, through as many connections as a process of the service has."""
    stage.service().close()  # applies the schema
    people = await stage.people(200)
    *_, group = await stage.groups(*[people for _ in range(20)])
    await stage.query(FILL, group, people[0].device_id, MESSAGES)
    await stage.query("update coterie.group_seq set last_seq = $2 where group_id = $1", group, MESSAGES)
    await stage.query("analyze")
    claims = CLAIMS.format(people[7].number)
    values = {"group": group, "claims": claims, "page": PAGE, "most": MESSAGES - PAGE}
    rates: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(rounds):
        for name, url, script in (("with", stage.api_url, OURS), ("without", stage.url, PLAIN)):
            rates[name].append(pgbench(url, script.format(**values), clients=POOL, seconds=seconds))
    for name, found in rates.items():
        print(f"  {name} row-level security: {', '.join(f'{one:,.0f}' for one in found)} pages/s")
    return [
        Figure.ratio("read, with / without row-level security", rates["with"], rates["without"], hold=0.70)
    ]
