"""Every cause that a line or a group of this device can name: one table.

Rule: a code that the core puts into a line or a group stands here, with a sentence and with what happens next.
docs/failures.md is made from this table, views take their sentences from it, and a group counts by it.
"""

from __future__ import annotations

from collections.abc import Callable

from coterie.core.causes.base import Cause, Kind
from coterie.core.causes.events import EVENTS
from coterie.core.causes.stopped import STOPPED
from coterie.core.causes.unreadable import UNREADABLE
from coterie.core.causes.warnings import WARNINGS

__all__ = ["CAUSES", "UNREADABLE", "Cause", "Kind", "advice", "counts", "sentence"]

CAUSES: dict[str, Cause] = {**EVENTS, **UNREADABLE, **WARNINGS, **STOPPED}
"""By code."""

UNKNOWN = Cause(
    Kind.WARNING,
    "Something happened here that this version of Coterie does not know.",
    "A newer version wrote it. Reload the page, or update the program.",
)
"""For a code that stands in a stored line and not in the table."""


def counts(code: str) -> bool:
    """Whether a group counts how often this happens."""
    return CAUSES.get(code, UNKNOWN).kind is not Kind.EVENT


def sentence(code: str, about: list[str], name: Callable[[str], str] = str) -> str:
    """What a cause says, with names in it."""
    return _filled(CAUSES.get(code, UNKNOWN).sentence, about, name)


def advice(code: str, about: list[str], name: Callable[[str], str] = str) -> str:
    """What happens next, with names in it; empty for an event."""
    return _filled(CAUSES.get(code, UNKNOWN).advice, about, name)


def _filled(text: str, about: list[str], name: Callable[[str], str]) -> str:
    return text.format(*[name(word) for word in about], "somebody", "somebody")
