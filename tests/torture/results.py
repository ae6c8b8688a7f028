"""Files of results, a play a line: what is done already, sums over several of them, and docs/torture.md."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COUNTS = ("lines", "recorded", "ciphertexts", "opened", "commits")


@dataclass(slots=True)
class Sum:
    """Of all plays of one kind."""

    plays: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)
    points: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    reached: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    seeds: set[int] = field(default_factory=set)
    revisions: set[str] = field(default_factory=set)

    def add(self, record: dict[str, Any]) -> None:
        """One more play."""
        self.plays += 1
        self.points.update(record["points"])
        self.acts.update(record["acts"])
        self.places.update(dict(record["places"]))
        self.reached.update(record["reached"])
        self.counts.update({name: record[name] for name in COUNTS})
        self.seconds += record["seconds"]
        self.seeds.add(record["seed"])
        self.revisions.add(record["revision"])
        if record["failed"]:
            self.failed.append(record)

    @property
    def kills(self) -> int:
        return self.points.total()


def read(*files: Path) -> list[dict[str, Any]]:
    """The records of these files, each play once."""
    plays: dict[tuple[str, int, int], dict[str, Any]] = {}
    for file in files:
        for line in file.read_text().splitlines() if file.exists() else []:
            record = json.loads(line)
            plays[record["kind"], record["seed"], record["number"]] = record
    return list(plays.values())


def keep(file: Path, record: dict[str, Any]) -> None:
    """One more line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as out:
        out.write(json.dumps(record) + "\n")


def summed(records: list[dict[str, Any]]) -> dict[str, Sum]:
    """By kind: native, browser."""
    sums: dict[str, Sum] = {"native": Sum(), "browser": Sum()}
    for record in records:
        sums[record["kind"]].add(record)
    return sums


def figures(sums: dict[str, Sum]) -> str:
    """The one line at the end of a run."""
    said = [f"{one.kills} {kind} kill points" for kind, one in sums.items() if one.plays]
    counts = sum((one.counts for one in sums.values()), Counter[str]())
    failed = sum(len(one.failed) for one in sums.values())
    return (
        f"torture: {', '.join(said) or 'nothing'} in {sum(one.plays for one in sums.values())} plays; "
        f"{counts['lines']} lines, {counts['ciphertexts']} ciphertexts; {failed} plays failed"
        + (" (0 lost, 0 shown twice, 0 keys reused)" if not failed else "")
    )


def missing(sums: dict[str, Sum], asked: dict[str, int]) -> list[str]:
    """What a run has not done of the kill points that were `asked` for, by kind."""
    return [
        f"{asked[kind] - one.kills} of {asked[kind]} {kind} kill points are missing"
        for kind, one in sums.items()
        if one.kills < asked.get(kind, 0)
    ]


def report(sums: dict[str, Sum]) -> str:
    """docs/torture.md."""
    parts = [HEAD.format(line=figures(sums).removeprefix("torture: "))]
    for kind, one in sums.items():
        if one.plays:
            parts.append(_table(kind, one))
    return "\n".join(parts)


def _table(kind: str, one: Sum) -> str:
    passed = len(one.reached | set(one.places))
    rows = [
        ("kill points", f"{one.kills}"),
        ("at an `await`", f"{one.points['await']}, at {len(one.places)} of {passed} places and phases"),
        ("at a random moment", f"{one.points['random']}"),
        ("at rest, when the chosen place was not passed", f"{one.points['idle']}"),
        ("plays; failed", f"{one.plays}; {len(one.failed)}"),
        ("lines compared", f"{one.counts['lines']}"),
        ("distinct ciphertexts that reached the service", f"{one.counts['recorded']}"),
        ("of which a witness looked at", f"{one.counts['ciphertexts']}"),
        ("opened by a witness", f"{one.counts['opened']}"),
        ("commits that a witness merged", f"{one.counts['commits']}"),
        ("kill points a second, in one lane", f"{one.kills / max(one.seconds, 1):.1f}"),
        ("revisions", ", ".join(sorted(one.revisions))),
        ("seeds", ", ".join(map(str, sorted(one.seeds)))),
    ]  # fmt: skip
    lines = [
        f"## {kind.capitalize()}",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
    ]
    acts = ", ".join(f"{name} {count}" for name, count in one.acts.most_common())
    lines += ["", f"Kill points by act: {acts}.", ""]
    for record in one.failed:
        lines.append(f"- play {record['number']} of seed {record['seed']}: {record['failed'][:300]}")
    places = ", ".join(f"{place} {count}" for place, count in sorted(one.places.items()))
    lines += ["", f"Killed at these places (file, line, function, phase, how often): {places}."]
    if never := sorted(one.reached - set(one.places)):
        lines += ["", f"Passed, and never killed at: {', '.join(never)}."]
    return "\n".join(lines) + "\n"


HEAD = """# Killed again and again

What `make torture` last reported: a real client on its state file is killed at every `await` that it reaches and at
random moments, started again, and goes on talking. After each act the members are compared: every line that was taken
stands everywhere once and in one order, the screen shows what the disk has, epochs and authenticators agree.

Into each group there comes, before all others, a witness who is never killed. Of every distinct ciphertext that reaches
the service from then on, those that it refuses included, she opens what can be opened, and each (leaf, generation) of
an epoch may have one. What a group's maker sends while alone has no second reader: there a device's counter stands for
it, which the service compares, as everywhere else.

A place is the innermost line of the client that waits, `stop` when it has begun to and `go` when it is about to go on,
up to its eighth passing in a life; the lines that wait for that one are killed with it. Coming back into a group is
killed in [a test of its own](../tests/unit/core/test_rejoin_crashes.py), restoring a backup and changing the lock are
not killed here. [tests/torture](../tests/torture) has it all; `make torture REPORT=1` writes this file.

The goal is 10,000 kill points of native clients and 2,000 of browsers; the counts below say how far the last run came.

{line}.
"""
