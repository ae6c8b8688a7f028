"""The same operations through the wheel, in CPython or Pyodide: median microseconds of each, as a dict.

`measure(messages, size, members)`; run as a script it prints JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from coterie_mls import Backend

JOINS = 15


def device(user: str) -> Backend:
    backend = Backend.create(user)
    backend.bind_device("1")
    return backend


def median(count: int, operation: Callable[[int], Any]) -> tuple[float, list[Any]]:
    """Median microseconds, and what each run gave."""
    times, results = [], []
    for number in range(count):
        began = time.perf_counter()
        results.append(operation(number))
        times.append((time.perf_counter() - began) * 1e6)
    return sorted(times)[count // 2], results


def measure(messages: int, size: int, members: int) -> dict[str, float]:
    alice, bob = device("alice"), device("bob")
    package, packages = median(51, lambda _: bob.create_key_package())
    others = [device(f"member{number}").create_key_package().bytes for number in range(2, members)]

    def found(newcomers: list[bytes]) -> tuple[bytes, bytes]:
        group = alice.create_group(bytes(64))
        commit = alice.commit(group, add=newcomers)
        alice.merge_pending(group)
        return group, commit.welcome or b""

    # Groups of two first, so that the code is warm; then the one that counts, if it is larger.
    offers = [found([offered.bytes]) for offered in packages[:JOINS]]
    if members > 2:
        for _, welcome in offers:
            bob.join(welcome)
        offers = [found([packages[JOINS + number].bytes, *others]) for number in range(3)]
    joined, _ = median(len(offers), lambda number: bob.join(offers[number][1]))
    group = offers[-1][0]

    text = bytes([7]) * size
    encrypt, sent = median(messages, lambda _: alice.encrypt(group, text))
    decrypt, opened = median(messages, lambda number: bob.process(group, sent[number]))
    assert all(message.data == text for message in opened)

    def renew(_: int) -> bytes:
        made = alice.commit(group).commit
        alice.merge_pending(group)
        return made

    renewed, commits = median(11, renew)
    process, _ = median(11, lambda number: bob.process(group, commits[number]))
    return {
        "encrypt": encrypt,
        "decrypt": decrypt,
        "key_package": package,
        "join": joined,
        "commit": renewed,
        "process_commit": process,
    }


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:4]))))
