"""send_message per second on one process: over 1,000 groups and in one hot group, against a bare insert and pgbench.

Rounds of the four alternate, so that a busy machine slows all of them; the ratios are taken within a round.
"""

from __future__ import annotations

from figures import Figure
from load import run, senders
from stage import POOL, Stage, body, pgbench

CONNECTIONS = 64
HOT_SENDERS = 64
PGBENCH = """
select coterie.send_message_v1(format('{{"sub":"user-%s","session_id":"session-%s"}}', {first} + :client_id,
  {first} + :client_id)::jsonb, '{group}', 0, gen_random_uuid(),
  (extract(epoch from clock_timestamp()) * 1000000)::bigint, '\\x{body}', null);
"""


async def measure(stage: Stage, *, groups: int = 1000, rounds: int = 7, seconds: float = 2) -> list[Figure]:
    """The three ratios of this part."""
    service = stage.service()
    bare = stage.bare()
    people = await stage.people(groups + HOT_SENDERS + POOL)
    many = people[:groups]
    hot, others = people[groups : groups + HOT_SENDERS], people[groups + HOT_SENDERS :]
    *spread, one = await stage.groups(*[[person] for person in many], hot + others)
    text = body()
    spread_pairs = list(zip(many, spread, strict=True))
    hot_pairs = [(person, one) for person in hot]
    script = PGBENCH.format(first=others[0].number, group=one, body=text)
    await run(service.port, senders(spread_pairs, text, CONNECTIONS, seconds))  # warms caches: tokens, plans

    rates: dict[str, list[float]] = {"bare": [], "1,000 groups": [], "hot group": [], "pgbench": []}
    for _ in range(rounds):
        for name, port, pairs in (
            ("bare", bare, spread_pairs),
            ("1,000 groups", service.port, spread_pairs),
            ("hot group", service.port, hot_pairs),
        ):
            result = await run(port, senders(pairs, text, CONNECTIONS, seconds))
            rates[name].append(result.rate())
        rates["pgbench"].append(pgbench(stage.api_url, script, clients=POOL, seconds=seconds))
    for name, values in rates.items():
        print(f"  {name}: {', '.join(f'{value:,.0f}' for value in values)} /s")
    return [
        Figure.ratio("send, 1,000 groups / bare insert", rates["1,000 groups"], rates["bare"], hold=0.70),
        Figure.ratio("send, hot group / bare insert", rates["hot group"], rates["bare"], hold=0.70),
        Figure.ratio("send, hot group / pgbench", rates["hot group"], rates["pgbench"], hold=0.60),
    ]
