"""What a check is, and all of them in the order of their files."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coterie_conformance.world import World


class Broken(Exception):
    """The service broke a promise; the text says which and what it did instead."""


class NotAsked(Exception):
    """The check cannot be made here; the text says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise."""

    name: str
    """As in `--only`."""
    promise: str
    """One sentence."""
    reference: str
    """RFC sections, and the place in docs/protocol.md."""
    run: "Callable[[World], Awaitable[None]]"


CHECKS: dict[str, Check] = {}
"""By name."""


def check(promise: str, reference: str) -> "Callable[[Callable[[World], Awaitable[None]]], None]":
    """Register a coroutine function as a check; its name, with dashes, is the check's."""

    def register(function: "Callable[[World], Awaitable[None]]") -> None:
        name = re.sub("_", "-", function.__name__)
        if name in CHECKS:
            raise ValueError(f"There are two checks of the name {name}.")
        CHECKS[name] = Check(name, promise, reference, function)

    return register


def require(condition: object, text: str) -> None:
    """Raise `Broken` unless it holds."""
    if not condition:
        raise Broken(text)


def same(found: object, expected: object, what: str) -> None:
    """Raise `Broken` unless both are equal."""
    if found != expected:
        raise Broken(f"{what}: expected {_short(expected)}, found {_short(found)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
